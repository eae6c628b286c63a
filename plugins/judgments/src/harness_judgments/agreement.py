"""How well scores agree with people's grades: rank correlation and graded nDCG."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

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
    # scipy takes longer to load than a stored matrix to show.
    from scipy import stats

    if len(scores) < 2 or (scores == scores[0]).all() or (grades == grades[0]).all():
        return {}
    return {
        "kendall_tau_b": float(stats.kendalltau(scores, grades, variant="b").statistic),
        "kendall_tau_c": float(stats.kendalltau(scores, grades, variant="c").statistic),
        "spearman": float(stats.spearmanr(scores, grades).statistic),
    }


def influences(scores: Floats, grades: Floats) -> Mapping[str, Floats]:
    """Return how much each item adds to each of the `correlations`: their derivatives by its weight, at weight 1.

    If items count w times, every correlation is a ratio of sums over items that carry w; derivatives of all items
    sum to 0. The nonparametric delta method (Davison and Hinkley 1997, section 2.7) takes the correlation of a
    resample for ``tau + sum of (w - 1) times derivative``.

    Args:
        scores: (n,) and
        grades: (n,), of few different values: memory is n times their number.

    Returns:
        By name (n,) derivatives; nothing where `correlations` has nothing.
    """
    n = len(scores)
    if n < 2 or (scores == scores[0]).all() or (grades == grades[0]).all():
        return {}
    levels, level = np.unique(grades, return_inverse=True)
    places = np.arange(len(levels))
    # Concordant less discordant partners of each item, one level of their grades a column.
    agree = (_above(scores, level[:, None] == places) * np.sign(level[:, None] - places)).sum(axis=1)
    differ, other = _differing(scores), _differing(grades)
    size = math.sqrt(float(differ.sum()) * float(other.sum()))
    shares = differ / differ.sum() + other / other.sum()
    m = min(len(np.unique(scores)), len(levels))
    most = n**2 * (m - 1) / m
    # Twice the ranks, less their mean; the ranks of others move with the weight of an item, too.
    u, v = _above(scores, np.ones(n)), _above(grades, np.ones(n))
    both = u * v - _above(scores, v) - _above(grades, u)
    each = (u * u - 2 * _above(scores, u)) / (u @ u) + (v * v - 2 * _above(grades, v)) / (v @ v)
    spread = math.sqrt(float(u @ u) * float(v @ v))
    return {
        "kendall_tau_b": 2 * agree / size - agree.sum() / size * shares,
        "kendall_tau_c": 2 * agree / most - 2 * agree.sum() / most / n,
        "spearman": both / spread - (u @ v) / spread * each / 2,
    }


def _above(values: Floats, weights: npt.NDArray[Any]) -> Floats:
    """Sum for each value the weights, (n,) or (n, columns), of smaller values less those of larger ones."""
    order = np.argsort(values, kind="stable")
    sums = np.zeros((len(values) + 1, *weights.shape[1:]))
    np.cumsum(weights[order], axis=0, out=sums[1:], dtype=np.float64)
    low, high = (np.searchsorted(values[order], values, side=side) for side in ("left", "right"))
    found: Floats = sums[low] + sums[high] - sums[-1]
    return found


def _differing(values: Floats) -> Floats:
    """Count for each value those that are not the same."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (len(values) - counts[place]).astype(np.float64)


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
    reached = list(ndcgs(scores, gains, queries).values())
    return float(np.mean(reached)) if reached else None


def ndcgs(scores: Floats, gains: Floats, queries: Ints) -> Mapping[int, float]:
    """Return the share of each query that has an item with a gain, see `ndcg`."""
    reached = _discounted(queries, np.lexsort((gains, -scores, queries)), gains)
    best = _discounted(queries, np.lexsort((-gains, queries)), gains)
    useful = best > 0
    names = np.unique(queries)[useful].tolist()
    return dict(zip(names, (reached[useful] / best[useful]).tolist(), strict=True))


def _discounted(queries: Ints, order: npt.NDArray[np.intp], gains: Floats) -> Floats:
    """Sum the discounted gains of each query, whose items stand together in `order`."""
    ordered = queries[order]
    names, first, which = np.unique(ordered, return_index=True, return_inverse=True)
    place = np.arange(len(ordered)) - first[which]
    sums: Floats = np.bincount(which, gains[order] / np.log2(place + 2.0), minlength=len(names)).astype(
        np.float64
    )
    return sums
