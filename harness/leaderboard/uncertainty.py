"""How certain a table is: an interval for each measured row, and letters for rows that a test cannot tell apart."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.leaderboard.groups import Group
from harness.leaderboard.ranks import Ranks
from harness.passport import SAME_TRUTH
from harness.statistics import ALPHA, RSUM, Interval, Sample, bootstrap, contrasts, holm, letters

Samples = Sequence[Sample]


@dataclass(frozen=True, kw_only=True)
class Certainty:
    """What is known of one group's rSum.

    Attributes:
        interval: 95 %, over images; ``None`` where ranks were not kept.
        letters: two groups share one if a test cannot tell them apart; empty where ranks were not kept.
    """

    interval: Interval | None = None
    letters: str = ""


@dataclass(frozen=True, kw_only=True)
class Tested:
    """The test of two groups of a table: its p-value, alone and corrected for all pairs of the table.

    Attributes:
        over_seeds: whether a variance between seeds is in it, of any row.
    """

    p_value: float
    adjusted: float
    over_seeds: bool


def samples_of(group: Group, evaluator: str, ranks: Ranks) -> Samples:
    """Return the ranks of a group, one sample a seed; none where those of a seed were not kept."""
    found = [ranks.sample(row, evaluator) for row in group.rows]
    kept = [sample for sample in found if sample is not None]
    # No mean leaves a seed out.
    return kept if len(kept) == len(found) else ()


class Uncertainty:
    """Intervals and letters of the groups of one table.

    Args:
        groups: its measured rows.
        evaluator: whose ranks count.
        ranks: the committed ranks.
    """

    def __init__(self, groups: Sequence[Group], evaluator: str, ranks: Ranks) -> None:
        self._samples = {id(group): samples_of(group, evaluator, ranks) for group in groups}
        self._found: dict[int, Certainty] = {}
        self._tested: dict[frozenset[int], Tested] = {}
        self.pairs = 0
        known = [group for group in groups if self._samples[id(group)]]
        # The best first, so that it carries the letter a.
        known.sort(key=lambda group: -self._rsum(group))
        for members in _by(known, lambda group: _question(group, evaluator)):
            self._tell_apart(members)

    def of(self, group: Group) -> Certainty:
        """Return what is known of a group."""
        return self._found.get(id(group), Certainty())

    def between(self, one: Group, other: Group) -> Tested | None:
        """Return the test of two groups; ``None`` if they were not tested against each other."""
        return self._tested.get(frozenset((id(one), id(other))))

    def samples(self, group: Group) -> Samples:
        """Return the ranks of a group, one sample a seed; none where they were not kept."""
        return self._samples[id(group)]

    def _rsum(self, group: Group) -> float:
        samples = self._samples[id(group)]
        return sum(sample.figures()[RSUM] for sample in samples) / len(samples)

    def _tell_apart(self, groups: Sequence[Group]) -> None:
        samples = {str(place): self._samples[id(group)] for place, group in enumerate(groups)}
        pairs = list(itertools.combinations(samples, 2))
        # One variance between seeds for all: a row of one seed is not taken for certain.
        tested = contrasts(samples, [{a: 1.0, b: -1.0} for a, b in pairs])
        adjusted = holm([found.p_value for found in tested])
        self.pairs += len(pairs)
        for (a, b), alone, p in zip(pairs, tested, adjusted, strict=True):
            both = frozenset((id(groups[int(a)]), id(groups[int(b)])))
            self._tested[both] = Tested(p_value=alone.p_value, adjusted=p, over_seeds=alone.over_seeds)
        differ = [pair for pair, p in zip(pairs, adjusted, strict=True) if p < ALPHA]
        marks = letters(list(samples), differ) if pairs else {}
        for place, group in enumerate(groups):
            self._found[id(group)] = Certainty(
                interval=bootstrap(samples[str(place)])[RSUM], letters=marks.get(str(place), "")
            )


def _question(group: Group, evaluator: str) -> tuple[str, ...]:
    """Return what two groups must share to be paired query by query."""
    row = group.first
    asked = tuple(row.protocol.get(part, "") for part in SAME_TRUTH) if row.protocol else (row.passport,)
    return row.dataset, row.evaluators.get(evaluator, ""), *asked


def _by(groups: Sequence[Group], key: Callable[[Group], tuple[str, ...]]) -> list[list[Group]]:
    found: dict[tuple[str, ...], list[Group]] = {}
    for group in groups:
        found.setdefault(key(group), []).append(group)
    return list(found.values())
