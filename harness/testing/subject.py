"""The evaluator under test: asked as the harness asks it, and watched."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from harness.errors import HarnessError, RunError
from harness.evaluate import intervals, judge, per_query
from harness.protocols import Evaluator, Gallery, Split
from harness.ranking import Ranked, rank
from harness.specs import Scale
from harness.testing.planting import (
    IMAGES,
    Planted,
    collapsed,
    dense,
    oracle_levels,
    plain,
    plant,
    random_levels,
)
from harness.testing.reference import Block, Reference
from harness.testing.scales import scale_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]

RANDOM = 32
"""Random scorers whose mean is compared with chance."""
WIDE = 5.0
"""Half-width of that mean's interval in standard errors: with the sixth decimal of certainty, it is no accident."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Watched(Ranked):
    """A ranked gallery that notes which folds are asked for."""

    start: int = 0
    seen: list[Block] = field(default_factory=list)

    def fold(self, start: int, stop: int) -> Watched:
        """Rank images `start`..`stop` among themselves, and note it."""
        part = super().fold(start, stop)
        begin = self.start + start
        self.seen.append((begin, begin + len(part.split.records)))
        return Watched(**vars(part), start=begin, seen=self.seen)


@dataclass(frozen=True, eq=False, kw_only=True)
class Answer:
    """What the evaluator said of one gallery.

    Attributes:
        figures: none if it refused or failed.
        refusal: the message of its own HarnessError.
        fault: what it did that no evaluator may do: another exception, a figure that is no number, a change of
            the embeddings that it was given.
        folds: the blocks of images that it asked for as galleries of their own.
        ranks: (n,) and (m,) ranks of the queries, where it counts them.
    """

    figures: Mapping[str, float] = field(default_factory=dict)
    refusal: str = ""
    fault: str = ""
    folds: tuple[Block, ...] = ()
    ranks: tuple[Ints, Ints] | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """An evaluator with what is known of its figures.

    Attributes:
        metrics: the names that it declares; ``None`` if it was given without a declaration.
        scales: what it declares of its figures.
        gallery: one that it applies to; ``None``: it applies to every gallery.
    """

    name: str
    evaluator: Evaluator
    metrics: Sequence[str] | None = None
    scales: Mapping[str, Scale] = field(default_factory=dict)
    gallery: Gallery | None = None

    @cached_property
    def split(self) -> Split:
        """The images and captions of most adversaries: five captions an image, where the gallery is not its own."""
        return self.gallery.split if self.gallery else plain([5] * IMAGES)

    @property
    def own(self) -> bool:
        """Whether a caption is right for its own image and no other, so that answers are known exactly."""
        return self.gallery is None or self.gallery.relevance is None

    def scale(self, figure: str) -> Scale | None:
        """Return how a figure is read."""
        return scale_of(figure, self.scales)

    def exact(self, figure: str) -> bool:
        """Tell whether a figure is one of the literature's, whose exact value follows from counting."""
        scale = self.scale(figure)
        return scale is not None and (scale.chance == "gallery" or scale is scale_of(figure, {}))

    def perfect(self) -> Ints:
        """Return (n, m) the order of scores of a perfect scorer."""
        if self.gallery is None or self.gallery.relevance is None:
            return oracle_levels(self.split, seed=0)
        return dense(self.gallery.relevance)

    @cached_property
    def oracle(self) -> Answer:
        """What it says of a perfect scorer."""
        return self.ask(plant(self.split, self.perfect()))

    @cached_property
    def random(self) -> Mapping[str, tuple[float, float]]:
        """Mean over random scorers of each figure, and the mean's standard error; none if one of them failed."""
        answers = [
            self.ask(plant(self.split, random_levels(self.split, seed))).figures for seed in range(RANDOM)
        ]
        return means(answers)

    @cached_property
    def chance(self) -> Mapping[str, tuple[float, ...]]:
        """What each figure of a random scorer is on the average, where it is declared or follows from counting.

        Two values where the evaluator asks for folds: a figure may be that of the whole gallery or of them.
        """
        known: dict[str, tuple[float, ...]] = {}
        for figure in self.oracle.figures:
            scale = self.scale(figure)
            if scale is None or scale.chance is None:
                continue
            if not isinstance(scale.chance, str):
                known[figure] = (scale.chance,)
            elif self.own:
                values = [
                    limits
                    for reference in self.references(collapsed(self.split), self.oracle)
                    if (limits := reference.bounds(figure, self.oracle.figures)) is not None
                ]
                # A scorer that says the same of everything is at chance if its ties are broken at random.
                known[figure] = tuple(low if scale.better == "lower" else high for low, high in values)
        return {figure: values for figure, values in known.items() if values}

    def references(self, planted: Planted, answer: Answer) -> list[Reference]:
        """Return the counts of a gallery as a whole and, where it asked for folds, over them."""
        whole = [Reference(planted, [(0, len(planted.split.records))])]
        return whole + ([Reference(planted, answer.folds)] if answer.folds else [])

    def ask(self, planted: Planted, ranked: Ranked | None = None) -> Answer:
        """Let the evaluator judge a gallery.

        Args:
            ranked: whose ranks it gets, in place of those that follow from the embeddings.
        """
        import numpy as np

        image, text = planted.image.copy(), planted.text.copy()
        if ranked is None:
            ranked = rank(planted.split, image, text)
        watched = Watched(**{**vars(ranked), "image": image, "text": text})
        # A warning is none of the figures, whatever the filters of the caller.
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            try:
                figures = judge(self.name, self.evaluator, watched)
                # The folds of its figures, not those of its ranks.
                folds = tuple(dict.fromkeys(watched.seen))
                counted = per_query(self.name, self.evaluator, watched)
                # What it tells of images must add up to its figures.
                intervals(self.name, self.evaluator, watched, figures, self.scales)
            except HarnessError as error:
                # `judge` raises this very class for what the evaluator did wrong; its own errors are of others.
                return Answer(fault=str(error)) if type(error) is RunError else Answer(refusal=str(error))
        for given, kept, what in ((image, planted.image, "image"), (text, planted.text, "caption")):
            if not np.array_equal(given, kept, equal_nan=True):
                return Answer(
                    fault=f"evaluator {self.name!r} changed the {what} embeddings that it was given"
                )
        return Answer(figures=figures, folds=folds, ranks=counted)


def means(answers: Sequence[Mapping[str, float]]) -> Mapping[str, tuple[float, float]]:
    """Return mean and standard error of the figures that all answers hold."""
    import numpy as np

    names = [name for name in answers[0] if all(name in answer for answer in answers)]
    found = {}
    for name in names:
        values = np.array([answer[name] for answer in answers])
        found[name] = (float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))))
    return found
