"""Differences between cells of a matrix, with intervals from the variance between seeds."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.leaderboard.groups import Group
from harness.statistics.student import central_quantile

LEVEL = 0.95
Verdict = Literal["holds", "does not hold", "cannot be told"]


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Standard deviation between seeds, pooled over cells, and its degrees of freedom; 0 and 0 if not known."""

    sd: float
    df: int


def pooled(cells: Iterable[Sequence[float]]) -> Spread:
    """Pool the variance between seeds of cells of one value a seed: each counts with its seeds less one."""
    several = [values for values in cells if len(values) > 1]
    df = sum(len(values) - 1 for values in several)
    if df == 0:
        return Spread(sd=0.0, df=0)
    squares = sum((len(values) - 1) * statistics.variance(values) for values in several)
    return Spread(sd=math.sqrt(squares / df), df=df)


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A difference; `half` is half the width of its interval, ``None`` where no variance is known."""

    difference: float
    half: float | None

    @property
    def interval(self) -> str:
        """The interval as text, ``+1.2 to +3.4``; empty where there is none."""
        if self.half is None:
            return ""
        return f"{signed(self.difference - self.half)} to {signed(self.difference + self.half)}"

    @property
    def verdict(self) -> Verdict:
        """Whether the difference is above 0: told only where the interval leaves 0 out."""
        if self.half is None or abs(self.difference) <= self.half:
            return "cannot be told"
        return "holds" if self.difference > 0 else "does not hold"


def signed(value: float) -> str:
    """Return a difference with one digit and its sign."""
    return f"{value:+.1f}" if round(value, 1) else "0.0"


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Cells of one design, by variant.

    Args:
        groups: all of them.
        rsums: rSum by seed of those that can be compared: of one protocol, with all six recalls.
    """

    groups: Mapping[str, Group]
    rsums: Mapping[str, tuple[float, ...]]

    @property
    def spread(self) -> Spread:
        """The variance between seeds over all cells that can be compared."""
        return pooled(self.rsums.values())

    def effect(self, weights: Mapping[str, float]) -> Effect:
        """Return the contrast: the sum over variants of weight times mean rSum. All must be in `rsums`.

        Cells are independent and have one variance: the standard error is sd sqrt(sum of weight² / seeds).
        """
        difference = sum(weight * statistics.fmean(self.rsums[name]) for name, weight in weights.items())
        spread = self.spread
        if spread.df == 0:
            return Effect(difference=difference, half=None)
        error = spread.sd * math.sqrt(sum(w * w / len(self.rsums[name]) for name, w in weights.items()))
        return Effect(difference=difference, half=central_quantile(LEVEL, spread.df) * error)

    def lacking(self, variants: Iterable[str]) -> str:
        """Say in a few words why variants cannot be compared; empty if they can."""
        reasons: dict[str, list[str]] = {}
        for name in variants:
            if name not in self.groups:
                reasons.setdefault("not run", []).append(f"`{name}`")
            elif name not in self.rsums:
                reasons.setdefault("of another protocol or without all recalls", []).append(f"`{name}`")
        return "; ".join(f"{', '.join(names)} {reason}" for reason, names in reasons.items())


def choose(groups: Sequence[Group], variants: Iterable[str], evaluator: str) -> Cells:
    """Choose a group for each variant: that with most seeds, of several the newest.

    Args:
        groups: of one dataset and matrix.
        variants: labels of the axis ``variant``; a group with labels on other axes is none of them.
        evaluator: whose recalls make rSum.
    """
    found: dict[str, Group] = {}
    for name in variants:
        same = [group for group in groups if group.variant == name]
        if same:
            found[name] = max(same, key=lambda g: (len(g.rows), max(row.date for row in g.rows)))
    passports = Counter(group.passport for group in found.values())
    usual = min(passports, key=lambda passport: (-passports[passport], passport), default="")
    rsums = {name: tuple(group.rsums(evaluator).values()) for name, group in found.items()}
    comparable = {
        name: values
        for name, values in rsums.items()
        if len(values) == len(found[name].rows) and found[name].passport == usual
    }
    return Cells(groups=found, rsums=comparable)


def basis(cells: Cells) -> str:
    """Say in a sentence or two what the intervals rest on, or why there are none."""
    spread = cells.spread
    if spread.df == 0:
        return "No interval is given: with one seed a cell, the variance between seeds is not known."
    freedom = f"{spread.df} degree{'s' if spread.df > 1 else ''} of freedom"
    return (
        f"Intervals are 95 % intervals of Student's t with {freedom}, from one variance between seeds, pooled "
        f"over the cells above (standard deviation {spread.sd:.1f}), which are taken as independent and of equal "
        "variance. They speak of other seeds, not of other test images."
    )
