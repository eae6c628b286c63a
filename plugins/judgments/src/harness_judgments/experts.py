"""Flickr8k's human judgments as graded relevance: does a model order pairs as people do?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.api import Ranking, Split, demand_finite
from harness_judgments.agreement import correlations, ndcg
from harness_judgments.grades import (
    CROWD,
    EXPERT,
    LOWEST,
    TOKENS,
    Judgment,
    find,
    read_judgments,
    read_tokens,
)

BLOCK = 8192  # pairs that are scored at a time

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class ExpertJudgments:
    """Compare the scores of pairs of image and caption with people's grades of the same pairs.

    ``ExpertAnnotations.txt`` has three grades of 1..4 for 5,822 pairs, ``CrowdFlowerAnnotations.txt`` yes or no of
    three to six people for 47,830. Pairs of an image with its own caption are left out, as the literature on
    caption metrics does: 5,664 and 47,109 remain.

    Args:
        source: the folder of the dataset, given by the harness; the files are looked for there.
    """

    def __init__(self, *, source: Path | None = None) -> None:
        self.source = source

    def evaluate(self, ranking: Ranking) -> Mapping[str, float]:
        """Compute rank correlations, -1..1, graded nDCG, 0..1, and the numbers of pairs.

        Under ``expert.`` a pair has the mean of its grades, under ``expert.judgments.`` each grade counts for itself,
        under ``crowd.`` a pair has the share of yes. ``left_out`` counts pairs whose image or caption the split
        does not hold, or holds with another text than ``Flickr8k.token.txt`` beside it.

        Returns:
            Nothing if the source has none of the files, or the split none of the pairs.

        Raises:
            DataError: if a file cannot be read.
            ScoreError: names the embeddings that are NaN or infinite.
        """
        files = {name: path for name, file in NAMES.items() if (path := find(self.source, file))}
        if not files:
            return {}
        demand_finite("expert-judgments", ranking)
        captions = _captions(ranking.split, find(self.source, TOKENS))
        figures: dict[str, float] = {}
        for name, path in files.items():
            values = _figures(ranking, read_judgments(path), captions, experts=name == "expert")
            figures |= {f"{name}.{figure}": value for figure, value in values.items()}
        return figures


NAMES = {"expert": EXPERT, "crowd": CROWD}


def _captions(split: Split, tokens: Path | None) -> dict[str, int]:
    """Return the place of each caption by id; one that reads otherwise in the token file is another caption."""
    published = read_tokens(tokens) if tokens is not None else {}
    return {
        caption: place
        for place, (caption, text) in enumerate(zip(split.caption_ids, split.captions, strict=True))
        if _letters(published.get(caption, text)) == _letters(text)
    }


def _letters(text: str) -> str:
    # Preparing may change case, spaces and punctuation; that makes no other caption of it.
    return "".join(filter(str.isalnum, text)).casefold()


def _figures(
    ranking: Ranking, judgments: Sequence[Judgment], captions: Mapping[str, int], *, experts: bool
) -> Mapping[str, float]:
    images = {image: place for place, image in enumerate(ranking.split.image_ids)}
    there = [j for j in judgments if j.image in images and j.caption in captions]
    pairs = [judgment for judgment in there if not judgment.own]
    if not pairs:
        return {}
    rows = np.array([images[judgment.image] for judgment in pairs], dtype=np.int64)
    scores = _scores(ranking, rows, np.array([captions[j.caption] for j in pairs], dtype=np.int64))
    grades = np.array([judgment.grades for judgment in pairs])
    figures = dict(correlations(scores, grades.mean(axis=1)))
    if experts:
        each = correlations(np.repeat(scores, grades.shape[1]), grades.ravel())
        figures |= {f"judgments.{name}": value for name, value in each.items()}
        gain = ndcg(scores, grades.mean(axis=1) - LOWEST, rows)
        if gain is not None:
            figures["ndcg"] = gain
    return figures | {"pairs": float(len(pairs)), "left_out": float(len(judgments) - len(there))}


def _scores(ranking: Ranking, rows: Ints, columns: Ints) -> Floats:
    # Row by row in float64, so that equal embeddings get equal scores: a tie must not look like an order.
    parts = [
        (ranking.image[rows[a : a + BLOCK]].astype(np.float64) * ranking.text[columns[a : a + BLOCK]]).sum(
            axis=1
        )
        for a in range(0, len(rows), BLOCK)
    ]
    return np.concatenate(parts)
