"""Flickr8k's human judgments as graded relevance: does a model order pairs as people do?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.api import Ranking, Split, demand_finite
from harness_judgments.agreement import correlations, influences, ndcg, ndcgs
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
        figures: dict[str, float] = {}
        for name, pairs in self._judged(ranking).items():
            values = dict(correlations(pairs.scores, pairs.means))
            if name == "expert":
                each = correlations(np.repeat(pairs.scores, pairs.grades.shape[1]), pairs.grades.ravel())
                values |= {f"judgments.{figure}": value for figure, value in each.items()}
                gain = ndcg(pairs.scores, pairs.means - LOWEST, pairs.rows)
                values |= {} if gain is None else {"ndcg": gain}
            values |= {"pairs": float(len(pairs.scores)), "left_out": float(pairs.left_out)}
            figures |= {f"{name}.{figure}": value for figure, value in values.items()}
        return figures

    def by_image(self, ranking: Ranking) -> Mapping[str, tuple[Floats, Floats]]:
        """Return what each image adds to each figure, so that the figure is the mean over images.

        A correlation is one figure of all pairs. It is linearised (see `influences`), and a pair counts for its image
        and for the image that its caption was written for: drawing an image anew, with its captions, draws all pairs
        of either anew (Snijders and Borgatti 1999).

        Raises:
            DataError: as `evaluate`.
            ScoreError: as `evaluate`.
        """
        images = len(ranking.split.records)
        found: dict[str, tuple[Floats, Floats]] = {}
        for name, pairs in self._judged(ranking).items():
            shares = _shares(pairs, images, pairs.means[:, None])
            if name == "expert":
                each = _shares(pairs, images, pairs.grades)
                shares |= {f"judgments.{figure}": share for figure, share in each.items()}
                gains = ndcgs(pairs.scores, pairs.means - LOWEST, pairs.rows)
                if gains:
                    sums, counts = np.zeros(images), np.zeros(images)
                    sums[list(gains)], counts[list(gains)] = list(gains.values()), 1.0
                    shares["ndcg"] = sums, counts
            found |= {f"{name}.{figure}": share for figure, share in shares.items()}
        return found

    def labels_of(self, ranking: Ranking) -> str:
        """Return a hash of all judgments and of the captions that they are of; empty where there are no files."""
        captions = _captions(ranking.split, find(self.source, TOKENS))
        told = [
            [name, j.image, j.caption, j.grades]
            for name, path in self._files().items()
            for j in sorted(read_judgments(path), key=lambda j: (j.image, j.caption))
            if j.caption in captions
        ]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16] if told else ""

    def _files(self) -> dict[str, Path]:
        return {name: path for name, file in NAMES.items() if (path := find(self.source, file))}

    def _judged(self, ranking: Ranking) -> dict[str, _Pairs]:
        """Return the pairs that each group of people judged and the split holds, with their scores."""
        files = self._files()
        if not files:
            return {}
        demand_finite("expert-judgments", ranking)
        captions = _captions(ranking.split, find(self.source, TOKENS))
        found = {name: _pairs(ranking, read_judgments(path), captions) for name, path in files.items()}
        return {name: pairs for name, pairs in found.items() if pairs is not None}


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


@dataclass(frozen=True, eq=False, kw_only=True)
class _Pairs:
    """Judged pairs of an image and a caption that was not written for it.

    Attributes:
        rows: (p,) places of the images; `owners`, of the images that the captions were written for.
        scores: (p,) of a model.
        grades: (p, judges).
        left_out: number of judgments that the split does not hold.
    """

    rows: Ints
    owners: Ints
    scores: Floats
    grades: Floats
    left_out: int

    @property
    def means(self) -> Floats:
        """(p,) mean grades."""
        means: Floats = self.grades.mean(axis=1)
        return means


def _pairs(ranking: Ranking, judgments: Sequence[Judgment], captions: Mapping[str, int]) -> _Pairs | None:
    images = {image: place for place, image in enumerate(ranking.split.image_ids)}
    there = [j for j in judgments if j.image in images and j.caption in captions]
    pairs = [judgment for judgment in there if not judgment.own]
    if not pairs:
        return None
    rows = np.array([images[judgment.image] for judgment in pairs], dtype=np.int64)
    columns = np.array([captions[judgment.caption] for judgment in pairs], dtype=np.int64)
    return _Pairs(
        rows=rows,
        owners=ranking.split.caption_image[columns],
        scores=_scores(ranking, rows, columns),
        grades=np.array([judgment.grades for judgment in pairs]),
        left_out=len(judgments) - len(there),
    )


def _shares(pairs: _Pairs, images: int, grades: Floats) -> dict[str, tuple[Floats, Floats]]:
    """Return the shares of images in the correlations with grades, (p, judges)."""
    scores, flat = np.repeat(pairs.scores, grades.shape[1]), grades.ravel()
    values = correlations(scores, flat)
    found: dict[str, tuple[Floats, Floats]] = {}
    for figure, items in influences(scores, flat).items():
        each = items.reshape(grades.shape).sum(axis=1)
        moved = np.bincount(np.concatenate([pairs.rows, pairs.owners]), np.tile(each, 2), images)
        found[figure] = (values[figure] + images * moved).astype(np.float64), np.ones(images)
    return found


def _scores(ranking: Ranking, rows: Ints, columns: Ints) -> Floats:
    # Row by row in float64, so that equal embeddings get equal scores: a tie must not look like an order.
    parts = [
        (ranking.image[rows[a : a + BLOCK]].astype(np.float64) * ranking.text[columns[a : a + BLOCK]]).sum(
            axis=1
        )
        for a in range(0, len(rows), BLOCK)
    ]
    return np.concatenate(parts)
