"""Figures of queries that have several right answers: mAP@R, R-Precision, R@K."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

BLOCK = 256  # queries a tile: scores of 25,000 items then take 26 MB
LEAST = 64  # rows and columns that a product has at least, see `_at_least`


@dataclass(frozen=True, eq=False, kw_only=True)
class Query:
    """One query and what is right for it.

    Attributes:
        row: its place among the queries' embeddings.
        items: (p,) places of its positives in the gallery, distinct, at least one.
        relevant: R, how many positives it has in all, those that the gallery lacks included; at least p.
    """

    row: int
    items: Ints
    relevant: int


def positive_ranks(queries: Sequence[Query], asked: Floats, gallery: Floats) -> Iterator[Ints]:
    """Rank the positives of each query among all items, by counting.

    The k-th best positive stands at k plus the number of wrong items that score as high or higher: a tie with
    a wrong item is lost, and the order among tied positives does not matter.

    Args:
        asked: (queries, dim) and
        gallery: (items, dim), L2-normalised; score = dot product.

    Yields:
        (p,) ranks from 1, rising, in the order of `queries`. No more than `BLOCK` rows of scores exist at a time.
    """
    items = _at_least(gallery)
    for start in range(0, len(queries), BLOCK):
        block = queries[start : start + BLOCK]
        scores = _at_least(asked[[query.row for query in block]]) @ items.T
        for query, row in zip(block, scores[: len(block), : len(gallery)], strict=True):
            own = np.sort(row[query.items])[::-1]
            at_least = np.count_nonzero(row >= own[:, None], axis=1)
            positives = np.count_nonzero(own >= own[:, None], axis=1)
            yield np.arange(1, len(own) + 1) + at_least - positives


def _at_least(rows: Floats) -> Floats:
    """Return rows with zeros below them, if they are few.

    For a few rows a library may take another kernel, which adds up in another order at the edges of its blocks: equal
    items would then have unequal scores.
    """
    lacking = LEAST - len(rows)
    return np.pad(rows, ((0, lacking), (0, 0))) if lacking > 0 else rows


def per_query(queries: Sequence[Query], ranks: Iterable[Ints], k: Sequence[int]) -> Mapping[str, Values]:
    """Compute the figures of each query of one direction, all of which are means over queries.

    With R positives of a query, of which the i-th best stands at rank r_i (Musgrave, Belongie and Lim, ECCV 2020):

        mAP@R        1/R * sum of i / r_i over the positives with r_i <= R
        R-Precision  1/R * number of positives with r_i <= R
        R@K          1 if r_1 <= K, else 0

    Args:
        ranks: of each query the ranks of its positives, as `positive_ranks` yields them.

    Returns:
        By name: (queries,) values in 0..1.
    """
    maps, precisions, best = [], [], []
    for query, places in zip(queries, ranks, strict=True):
        within = places[places <= query.relevant]
        maps.append((np.arange(1, len(within) + 1) / within).sum() / query.relevant)
        precisions.append(len(within) / query.relevant)
        best.append(places[0])
    first = np.array(best)
    return {
        "map@r": np.array(maps),
        "r_precision": np.array(precisions),
        **{f"recall@{cut}": (first <= cut).astype(np.float64) for cut in k},
    }
