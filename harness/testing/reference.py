"""What an honest evaluator may say of a gallery where a caption is right for its own image: a plain count.

Independent of `harness.ranking` and of `Ranks`: those are held against it, too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.testing.planting import Planted

    Doubles = npt.NDArray[np.float64]
    Flags = npt.NDArray[np.bool_]
    Ints = npt.NDArray[np.int64]

Block = tuple[int, int]
_FIGURE = re.compile(r"(expected\.)?(i2t|t2i)\.(?:recall@(\d+)|(median|mean)_rank)")
_SUM = re.compile(r"(expected\.)?rsum")


@dataclass(frozen=True, kw_only=True)
class Query:
    """Where the right items of one query stand.

    Attributes:
        above: wrong items that score higher than the best right one.
        tied: wrong items at its score.
        matched: right items at its score, 1 or more.
    """

    above: int
    tied: int
    matched: int

    def rank(self, *, expected: bool) -> float:
        """Return the rank from 1; `expected` is the mean over all orders of the tied, else ties are lost."""
        return 1.0 + self.above + (self.tied / (self.matched + 1) if expected else self.tied)

    def hit(self, k: int, *, expected: bool) -> float:
        """Return the probability that a right item is among the first `k`."""
        if not expected:
            return float(self.above + self.tied < k)
        # Missed if the places that are left within k all go to wrong ones among the tied.
        places = min(max(k - self.above, 0), self.tied + self.matched)
        return 1.0 - math.comb(self.tied, places) / math.comb(self.tied + self.matched, places)


@dataclass(frozen=True, eq=False)
class Queries:
    """The queries of one side of a gallery.

    Attributes:
        distinct: those that differ.
        which: (queries,) place of each among them.
    """

    distinct: list[Query]
    which: Ints

    def each(self, value: Callable[[Query], float]) -> Doubles:
        """Return (queries,) what a function makes of each query."""
        import numpy as np

        return np.array([value(query) for query in self.distinct])[self.which]


@dataclass(frozen=True, eq=False)
class Reference:
    """The figures of one planted gallery, or their means over blocks of its images, each a gallery of its own."""

    planted: Planted
    blocks: Sequence[Block]

    @cached_property
    def folds(self) -> list[dict[str, Queries]]:
        """The queries of each block, by side."""
        return [self._fold(*block) for block in self.blocks]

    def _fold(self, start: int, stop: int) -> dict[str, Queries]:
        import numpy as np

        owner = self.planted.split.caption_image
        columns = np.flatnonzero((start <= owner) & (owner < stop))
        image, text = self.planted.image[start:stop], self.planted.text[columns]
        # Rounded: a library may add up in another order at the edges of its blocks, and equal items are to tie.
        scores = np.round(image.astype(np.float64) @ text.astype(np.float64).T, 10)
        right = owner[columns][None, :] == np.arange(start, stop)[:, None]
        return {"i2t": _queries(scores, right), "t2i": _queries(scores.T, right.T)}

    def bounds(self, figure: str, others: Iterable[str] = ()) -> tuple[float, float] | None:
        """Return the least and the greatest value: ties lost, and the mean over all orders of the tied.

        Args:
            others: the figures beside it: ``rsum`` is a sum of the recalls among them.

        Returns:
            ``None`` if the name is none of those of the literature.
        """
        if summed := _SUM.fullmatch(figure):
            prefix = summed[1] or ""
            recalls = (f"{prefix}i2t.recall@", f"{prefix}t2i.recall@")
            parts = [limits for name in others if name.startswith(recalls) and (limits := self.bounds(name))]
            return (
                (100 * sum(low for low, _ in parts), 100 * sum(high for _, high in parts)) if parts else None
            )
        parsed = _FIGURE.fullmatch(figure)
        if parsed is None:
            return None
        values = [self._value(parsed, expected=expected) for expected in (bool(parsed[1]), True)]
        return min(values), max(values)

    def _value(self, parsed: re.Match[str], *, expected: bool) -> float:
        import numpy as np

        side, k, mean = parsed[2], parsed[3], parsed[4]
        sides = [fold[side] for fold in self.folds]
        if k is not None:
            return float(
                np.mean([q.each(lambda one: one.hit(int(k), expected=expected)).mean() for q in sides])
            )
        ranks = [queries.each(lambda one: one.rank(expected=expected)) for queries in sides]
        return float(np.mean([part.mean() if mean == "mean" else np.median(part) for part in ranks]))

    def ranks(self) -> Mapping[str, Doubles]:
        """Return the rank of every query, ties lost, by side, in order."""
        import numpy as np

        return {
            side: np.concatenate(
                [fold[side].each(lambda one: one.rank(expected=False)) for fold in self.folds]
            )
            for side in ("i2t", "t2i")
        }


def _queries(scores: Doubles, right: Flags) -> Queries:
    import numpy as np

    best = np.where(right, scores, -np.inf).max(axis=1, keepdims=True)
    counts = [(scores > best) & ~right, (scores == best) & ~right, (scores == best) & right]
    rows, which = np.unique(
        np.stack([part.sum(axis=1) for part in counts], axis=1), axis=0, return_inverse=True
    )
    distinct = [Query(above=int(a), tied=int(t), matched=int(m)) for a, t, m in rows]
    return Queries(distinct, which.reshape(-1).astype(np.int64))
