"""How well scores agree with people's grades: rank correlation and graded nDCG."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def correlations(scores: Floats, grades: Floats) -> Mapping[str, float]:
    """Correlate the order of scores with that of grades, -1..1.

    With C concordant and D discordant among the n(n-1)/2 pairs of items, T_s and T_g pairs that tie in score and
    in grade, and m the smaller number of distinct values (Kendall 1945, Stuart 1953):

        tau-b     (C - D) / sqrt((n(n-1)/2 - T_s) (n(n-1)/2 - T_g))
        tau-c     2 (C - D) m / (n^2 (m - 1))
        spearman  correlation of the ranks, tied ones at their mean

    Args:
        scores: (n,) and
        grades: (n,).

    Returns:
        Nothing if all scores or all grades are the same: there is no order to compare.
    """
    if len(scores) < 2 or (scores == scores[0]).all() or (grades == grades[0]).all():
        return {}
    return {
        "kendall_tau_b": float(stats.kendalltau(scores, grades, variant="b").statistic),
        "kendall_tau_c": float(stats.kendalltau(scores, grades, variant="c").statistic),
        "spearman": float(stats.spearmanr(scores, grades).statistic),
    }


def ndcg(scores: Floats, gains: Floats, queries: Ints) -> float | None:
    """Return the mean over queries of the discounted cumulative gain, divided by the best that is possible, 0..1.

    ``DCG = sum of gain_i / log2(i + 1)`` over the judged items of a query by falling score, i from 1 (Järvelin and
    Kekäläinen, 2002). Of items with the same score the one of lower gain stands first.

    Args:
        scores: (n,) and
        gains: (n,) of the judged items, gains not negative.
        queries: (n,) to which query an item belongs.

    Returns:
        ``None`` if no query has an item with a gain; those without one are left out.
    """
    reached = _discounted(queries, np.lexsort((gains, -scores, queries)), gains)
    best = _discounted(queries, np.lexsort((-gains, queries)), gains)
    useful = best > 0
    return float((reached[useful] / best[useful]).mean()) if useful.any() else None


def _discounted(queries: Ints, order: npt.NDArray[np.intp], gains: Floats) -> Floats:
    """Sum the discounted gains of each query, whose items stand together in `order`."""
    ordered = queries[order]
    names, first, which = np.unique(ordered, return_index=True, return_inverse=True)
    place = np.arange(len(ordered)) - first[which]
    sums: Floats = np.bincount(which, gains[order] / np.log2(place + 2.0), minlength=len(names)).astype(
        np.float64
    )
    return sums
