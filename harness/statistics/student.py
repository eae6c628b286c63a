"""Student's t with degrees of freedom that need not be whole, from standard errors of several sources."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.statistics.intervals import TAIL, Interval


@dataclass(frozen=True, kw_only=True)
class Error:
    """A standard error and its degrees of freedom."""

    se: float
    df: float

    def interval(self, value: float) -> Interval:
        """Return the 95 % interval around a value."""
        from scipy.special import stdtrit

        half = float(stdtrit(self.df, 1.0 - TAIL)) * self.se if self.se else 0.0
        return Interval(low=value - half, high=value + half)

    def probability(self, value: float) -> float:
        """Return the two-sided p of a value under the hypothesis that the truth is 0."""
        from scipy.special import stdtr

        if value == 0.0:
            return 1.0
        return 2.0 * float(stdtr(self.df, -abs(value) / self.se)) if self.se else 0.0


def combined(terms: Iterable[tuple[float, float]]) -> Error:
    """Add independent variances, given with their degrees of freedom: df = (sum v)² / sum (v² / df).

    The formula is that of Welch (1947) and Satterthwaite (1946); for one term it is that term's.
    """
    listed = list(terms)
    total = sum(variance for variance, _ in listed)
    if total == 0.0:
        return Error(se=0.0, df=sum(df for _, df in listed))
    # As shares: squares of tiny variances would vanish.
    shares = [(variance / total, df) for variance, df in listed if variance]
    df = shares[0][1] if len(shares) == 1 else 1.0 / sum(share**2 / df for share, df in shares)
    return Error(se=math.sqrt(total), df=df)


def seed_variance(methods: Iterable[Sequence[float]]) -> tuple[float, int]:
    """Return the variance between seeds, pooled over methods of one value a seed, and its degrees of freedom.

    Each method counts with its seeds less one; both are 0 where no method has two.
    """
    import numpy as np

    several = [seeds for seeds in methods if len(seeds) > 1]
    df = sum(len(seeds) - 1 for seeds in several)
    return (sum((len(s) - 1) * float(np.var(s, ddof=1)) for s in several) / df if df else 0.0), df


def probability(p: float) -> str:
    """Return a p-value as people write it."""
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}" if p < 0.995 else "p = 1"
