"""Differences between cells of a matrix: intervals and verdicts over test images and seeds, as the tables' letters."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from harness.leaderboard.groups import Group
from harness.leaderboard.ranks import Ranks
from harness.leaderboard.uncertainty import Samples, samples_of
from harness.statistics import ALPHA, Contrast, contrast, holm, probability, seed_contrast, seed_variance

Verdict = Literal["holds", "does not hold", "cannot be told"]
Weights = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A difference in rSum.

    Attributes:
        test: its interval; ``None`` where no variance is known.
        adjusted: its p-value, corrected for all that was asked with it; ``None`` as `test`.
    """

    difference: float
    test: Contrast | None
    adjusted: float | None

    @property
    def interval(self) -> str:
        """The interval as text, ``+1.2 to +3.4``, and what it leaves out; empty where there is none."""
        if self.test is None:
            return ""
        bounds = f"{signed(self.test.interval.low)} to {signed(self.test.interval.high)}"
        if not self.test.over_images:
            return f"{bounds} over seeds alone"
        return bounds if self.test.over_seeds else f"{bounds} over images alone"

    @property
    def probability(self) -> str:
        """The corrected p-value as text; empty where there is none."""
        return "" if self.adjusted is None else probability(self.adjusted)

    @property
    def verdict(self) -> Verdict:
        """Whether the difference is above 0: told only where the corrected p-value is below 5 %."""
        if self.adjusted is None or self.adjusted >= ALPHA:
            return "cannot be told"
        return "holds" if self.difference > 0 else "does not hold"

    @property
    def scope(self) -> str:
        """What a verdict is limited to, with a space before it; empty where it speaks of methods."""
        if self.test is None or self.verdict == "cannot be told":
            return ""
        if not self.test.over_images:
            return " on these images"
        return "" if self.test.over_seeds else " for these runs"


def signed(value: float) -> str:
    """Return a difference with one digit and its sign."""
    return f"{value:+.1f}" if round(value, 1) else "0.0"


def bare_probability(p: float) -> str:
    """Return a p-value as it stands in a column of such: ``0.012``, ``< 0.0001``."""
    return probability(p).removeprefix("p ").removeprefix("= ")


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Cells of one design, by variant.

    Args:
        groups: all of them.
        rsums: rSum by seed of those that can be compared: of one protocol, with all six recalls.
        samples: the ranks of those of them whose ranks were kept, one sample a seed.
    """

    groups: Mapping[str, Group]
    rsums: Mapping[str, tuple[float, ...]]
    samples: Mapping[str, Samples] = field(default_factory=dict)

    def effects(self, asked: Mapping[str, Weights]) -> dict[str, Effect]:
        """Return contrasts by name: each the sum over variants of weight times mean rSum.

        Intervals are over images and seeds, with one variance between seeds pooled over the cells, and over seeds
        alone where ranks lack. The p-values are corrected for all that is asked (Holm).

        Args:
            asked: name -> weight of each variant; what no cells that can be compared answer is left out.
        """
        weighed = {name: weights for name, weights in asked.items() if weights.keys() <= self.rsums.keys()}
        tests = {name: self._test(weights) for name, weights in weighed.items()}
        known = {name: test.p_value for name, test in tests.items() if test}
        adjusted = dict(zip(known, holm(list(known.values())), strict=True))
        return {
            name: Effect(
                difference=test.difference if test else self._difference(weighed[name]),
                test=test,
                adjusted=adjusted.get(name),
            )
            for name, test in tests.items()
        }

    def _test(self, weights: Weights) -> Contrast | None:
        if weights.keys() <= self.samples.keys():
            return contrast(self.samples, weights)
        return seed_contrast(self.rsums, weights)

    def _difference(self, weights: Weights) -> float:
        return sum(weight * statistics.fmean(self.rsums[name]) for name, weight in weights.items())

    def lacking(self, variants: Iterable[str]) -> str:
        """Say in a few words why variants cannot be compared; empty if they can."""
        reasons: dict[str, list[str]] = {}
        for name in variants:
            if name not in self.groups:
                reasons.setdefault("not run", []).append(f"`{name}`")
            elif name not in self.rsums:
                reasons.setdefault("of another protocol or without all recalls", []).append(f"`{name}`")
        return "; ".join(f"{', '.join(names)} {reason}" for reason, names in reasons.items())


def chosen(groups: Sequence[Group], variants: Iterable[str]) -> dict[str, Group]:
    """Choose a group for each variant that has one: that with most seeds, of several the newest.

    Args:
        groups: of one dataset and matrix.
        variants: labels of the axis ``variant``; a group with labels on other axes is none of them.
    """
    found: dict[str, Group] = {}
    for name in variants:
        same = [group for group in groups if group.variant == name]
        if same:
            found[name] = max(same, key=lambda g: (len(g.rows), max(row.date for row in g.rows)))
    return found


def choose(groups: Sequence[Group], variants: Iterable[str], evaluator: str, ranks: Ranks) -> Cells:
    """Make cells of the groups that `chosen` gives.

    Args:
        evaluator: whose recalls make rSum.
        ranks: the ranks behind the rows.
    """
    found = chosen(groups, variants)
    passports = Counter(group.passport for group in found.values())
    usual = min(passports, key=lambda passport: (-passports[passport], passport), default="")
    rsums = {name: tuple(group.rsums(evaluator).values()) for name, group in found.items()}
    comparable = {
        name: values
        for name, values in rsums.items()
        if len(values) == len(found[name].rows) and found[name].passport == usual
    }
    samples = {name: samples_of(found[name], evaluator, ranks) for name in comparable}
    kept = {name: own for name, own in samples.items() if own}
    return Cells(groups=found, rsums=comparable, samples=kept)


def basis(cells: Cells, effects: Collection[Effect]) -> str:
    """Say in a few sentences what intervals and verdicts rest on, or why there are none."""
    tests = [effect.test for effect in effects if effect.test]
    if not tests:
        return (
            "No interval is given: ranks were not kept, and with one seed a cell, the variance between seeds is not "
            "known."
            if effects
            else ""
        )
    over_images = any(test.over_images for test in tests)
    sentences = [
        "Intervals, each by itself, are 95 % intervals of Student's t "
        f"{_over(cells.samples if over_images else cells.rsums, cells, over_images=over_images)}."
    ]
    bare = [name for name in cells.rsums if name not in cells.samples]
    if bare:
        sentences.append(
            f"The ranks of {', '.join(f'`{name}`' for name in bare)} were not kept: what concerns them speaks of "
            "other seeds, not of other test images."
        )
    sentences.append(
        f"An order is told where p, corrected for the {len(tests)} differences of this section (Holm), is below 5 %."
    )
    if over_images:
        sentences.append(
            "The letters of the dataset's own page come from the same test, corrected for the many more pairs of its "
            "table and with the variance between seeds, where there is one, of all its rows: two rows that are told "
            "apart here may share a letter there."
        )
    return " ".join(sentences)


def _over(counted: Collection[str], cells: Cells, *, over_images: bool) -> str:
    variance, df = seed_variance([cells.rsums[name] for name in counted])
    if not df:
        return "over test images alone, paired: with one seed a cell they speak of these runs, not of other seeds"
    freedom = f"{df} degree{'s' if df > 1 else ''} of freedom"
    seeds = (
        f"seeds (one variance between seeds, pooled over the cells above: standard deviation "
        f"{math.sqrt(variance):.1f}, {freedom})"
    )
    return f"over test images, paired, and over {seeds}" if over_images else f"over {seeds}"
