"""The queries that one method wins and the other loses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.statistics.sample import KS, RSUM, SIDES, Sample, known, one_gallery

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Win:
    """A query that one method answers better.

    Attributes:
        side: ``i2t``, and `query` is the position of an image, or ``t2i``, and it is that of a caption.
        ahead: by how many hits, a mean over seeds: above 0, at most 1 for a recall and 3 for rSum.
        rank: where the winner has it, a mean over seeds; `other`: where the loser has it.
    """

    side: str
    query: int
    ahead: float
    rank: float
    other: float


@dataclass(frozen=True, kw_only=True)
class Decided:
    """Queries by who wins them; `queries` is the number of all."""

    a: tuple[Win, ...]
    b: tuple[Win, ...]
    queries: int


def decided(a: Sequence[Sample], b: Sequence[Sample], *, figure: str = RSUM) -> Decided:
    """Return the queries on which two methods differ in a figure.

    A recall decides by a hit within its K; rSum by the number of hits within 1, 5 and 10. First come the queries
    that are won by most, then those with the largest ratio of ranks, then images before captions, in order.

    Args:
        a, b: one sample a seed, all of one gallery.
        figure: one of `FIGURES`.

    Raises:
        ScoreError: if samples are of different galleries.
        ParameterError: if there is no such figure.
    """
    one_gallery([*a, *b])
    sides, ks = (SIDES, KS) if known(figure) == RSUM else _recall(figure)
    wins: tuple[list[Win], list[Win]] = ([], [])
    queries = 0
    for side in sides:
        mine, theirs = _ranks(a, side), _ranks(b, side)
        queries += mine.shape[1]
        gap = _hits(mine, ks) - _hits(theirs, ks)
        rank, other = mine.mean(axis=0), theirs.mean(axis=0)
        for place in gap.nonzero()[0].tolist():
            won, ahead = gap[place] > 0, float(abs(gap[place]))
            pair = (float(rank[place]), float(other[place]))
            own, rival = pair if won else pair[::-1]
            wins[not won].append(Win(side=side, query=place, ahead=ahead, rank=own, other=rival))
    first, second = (tuple(sorted(found, key=lambda w: (-w.ahead, -w.other / w.rank))) for found in wins)
    return Decided(a=first, b=second, queries=queries)


def _recall(figure: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    side, _, k = figure.partition(".recall@")
    return (side,), (int(k),)


def _ranks(samples: Sequence[Sample], side: str) -> Floats:
    """Return (seeds, queries) ranks."""
    import numpy as np

    return np.stack([getattr(sample, side) for sample in samples]).astype(np.float64)


def _hits(ranks: Floats, ks: Sequence[int]) -> Floats:
    """Return (queries,) hits summed over cut-offs, their mean over seeds."""
    import numpy as np

    hits: Floats = np.sum([ranks <= k for k in ks], axis=0).mean(axis=0)
    return hits
