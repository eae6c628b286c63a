"""How certain a table is: an interval for each measured row, and letters for rows that a test cannot tell apart."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.leaderboard.groups import Group
from harness.leaderboard.questions import Question, question
from harness.leaderboard.ranks import Ranks
from harness.statistics import ALPHA, RSUM, Interval, Sample, bootstrap, contrasts, holm, letters_apart

Samples = Sequence[Sample]


@dataclass(frozen=True, kw_only=True)
class Certainty:
    """What is known of one group's rSum.

    Attributes:
        interval: 95 %, over images; ``None`` where ranks were not kept.
        letters: two groups share one if a test cannot tell them apart; empty where ranks were not kept, or no other
            group was asked the same.
    """

    interval: Interval | None = None
    letters: str = ""


@dataclass(frozen=True, kw_only=True)
class Tested:
    """The test of two groups of a table: its p-value, alone and corrected for all `pairs` that were asked the same.

    Attributes:
        over_seeds: whether a variance between seeds is in it, of any row.
    """

    p_value: float
    adjusted: float
    pairs: int
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

    Attributes:
        pairs: how many were tested and corrected for together, a number for each set of rows that were asked the
            same and has two rows or more. Rows of two sets are not compared, and share no letter.
    """

    def __init__(self, groups: Sequence[Group], evaluator: str, ranks: Ranks) -> None:
        self._samples = {id(group): samples_of(group, evaluator, ranks) for group in groups}
        self._found: dict[int, Certainty] = {}
        self._tested: dict[frozenset[int], Tested] = {}
        known = [group for group in groups if self._samples[id(group)]]
        # The best first, so that it carries the letter a.
        known.sort(
            key=lambda group: (-self._rsum(group), question(group, evaluator), group.first.fingerprint)
        )
        subsets: dict[Question, list[Group]] = {}
        for group in known:
            subsets.setdefault(question(group, evaluator), []).append(group)
        compared = [members for members in subsets.values() if len(members) > 1]
        self.pairs = tuple(math.comb(len(members), 2) for members in compared)
        marks = letters_apart([self._tell_apart(members) for members in compared])
        for group in known:
            self._found[id(group)] = Certainty(
                interval=bootstrap(self._samples[id(group)])[RSUM], letters=marks.get(_key(group), "")
            )

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

    def _tell_apart(self, groups: Sequence[Group]) -> tuple[list[str], list[tuple[str, str]]]:
        """Test all pairs; return the keys of the groups and the pairs that differ."""
        samples = {_key(group): self._samples[id(group)] for group in groups}
        pairs = list(itertools.combinations(samples, 2))
        # One variance between seeds for all: a row of one seed is not taken for certain.
        tested = contrasts(samples, [{a: 1.0, b: -1.0} for a, b in pairs])
        adjusted = holm([found.p_value for found in tested])
        for (a, b), alone, p in zip(pairs, tested, adjusted, strict=True):
            self._tested[frozenset((int(a), int(b)))] = Tested(
                p_value=alone.p_value, adjusted=p, pairs=len(pairs), over_seeds=alone.over_seeds
            )
        return list(samples), [pair for pair, p in zip(pairs, adjusted, strict=True) if p < ALPHA]


def _key(group: Group) -> str:
    return str(id(group))
