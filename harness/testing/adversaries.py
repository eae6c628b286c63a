"""The adversaries: scorers and galleries whose answers are known, so that an evaluator which errs is caught.

Each plants embeddings in a small gallery, has it ranked as a run does, asks the evaluator, and checks a property.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.testing import galleries, scorers
from harness.testing.findings import Attack, Finder
from harness.testing.settings import ADVICE, UNTOUCHED
from harness.testing.subject import Subject
from harness.testing.violation import Violation


@dataclass(frozen=True, kw_only=True)
class Adversary:
    """One adversary.

    Attributes:
        summary: what it plants and what must hold.
        where: where to look when it does not.
        attack: yields the violations.
    """

    summary: str
    where: str
    attack: Attack


def attack(subject: Subject) -> Iterator[Violation]:
    """Let all adversaries loose on an evaluator; only the first if it does not even judge a perfect scorer."""
    for name, adversary in ADVERSARIES.items():
        finder = Finder(subject=subject, adversary=name, where=adversary.where)
        yield from adversary.attack(subject, finder)
        if not subject.oracle.figures:
            return


ADVERSARIES: Mapping[str, Adversary] = {
    "declaration": Adversary(
        summary="a perfect scorer gets figures, of names and scales that are declared",
        where="'metrics', 'scales' and 'gallery' of the EvaluatorSpec",
        attack=scorers.declaration,
    ),
    "oracle": Adversary(
        summary="own captions score highest: every figure is at its best",
        where="whether ranks count from 1, and whether a high score is taken for near",
        attack=scorers.oracle,
    ),
    "anti-oracle": Adversary(
        summary="own captions score lowest: nothing is better than chance",
        where="signs and absolute values of scores",
        attack=scorers.anti_oracle,
    ),
    "constant scorer": Adversary(
        summary="all scores are the same: nothing is better than chance",
        where="ties: a wrong item of the same score stands before the right one, or at the mean of their orders",
        attack=scorers.constant,
    ),
    "random scorer": Adversary(
        summary="scores in random order: the mean of many is at chance, within its interval",
        where="what is counted as right, and from where ranks are counted",
        attack=scorers.random,
    ),
    "shuffled positives": Adversary(
        summary="every image scores as another one should: nothing is better than chance",
        where="whether right items are found by the split (`caption_image`), and not by their scores",
        attack=scorers.shuffled,
    ),
    "NaN": Adversary(
        summary="NaN or infinity in embeddings: an error, or figures that do not depend on them",
        where="comparisons with NaN, which are all false: refuse embeddings that are not finite",
        attack=scorers.nan,
    ),
    "duplicated images": Adversary(
        summary="every image is there twice: a tie with the copy is not won",
        where="what is counted as right: another image with the same embedding is wrong",
        attack=galleries.duplicated_images,
    ),
    "duplicated captions": Adversary(
        summary="a caption twice for its image costs nothing, one for two images is a tie",
        where="which items are wrong: a second caption of the same image is not",
        attack=galleries.duplicated_captions,
    ),
    "one query": Adversary(
        summary="one image: figures or a clear refusal",
        where="deviations over one value, squeezed dimensions, divisions by the number of wrong items",
        attack=galleries.one_query,
    ),
    "varying captions": Adversary(
        summary="1, 5 or 7 captions an image: exact figures",
        where="a fixed number of captions an image: the owner of caption j is `split.caption_image[j]`",
        attack=galleries.varying_captions,
    ),
    "float16 saturation": Adversary(
        summary="scores that differ in float32 and are one in float16: they differ",
        where="casts of embeddings or scores to half precision",
        attack=scorers.float16,
    ),
    "another order": Adversary(
        summary="images in another order, or asked twice: the same figures, ties or not",
        where="ties that a sort breaks by position, state that is kept between calls, parts that are left out",
        attack=galleries.another_order,
    ),
    "plain gallery": Adversary(
        summary="an evaluator of particular galleries leaves others alone: no figures, or a clear refusal",
        where="tags and files that a gallery need not have",
        attack=galleries.plain_gallery,
    ),
    "global state": Adversary(summary=UNTOUCHED, where=ADVICE, attack=scorers.global_state),
}
"""Name -> adversary, in the order in which they attack."""
