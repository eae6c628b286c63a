"""Rows that differ in nothing but the seed, and their statistics."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.leaderboard.attempts import Attempts
from harness.leaderboard.markdown import escape
from harness.leaderboard.published import RECALLS
from harness.leaderboard.rows import Row, natural
from harness.passport import differing, passport, with_figures
from harness.statistics import Interval


@dataclass(frozen=True)
class Statistic:
    """Mean over `n` seeds and its standard deviation (n - 1); 0 for one seed."""

    mean: float
    sd: float
    n: int

    def text(self, digits: int = 1) -> str:
        """Return ``254.1 ± 1.2``, or ``254.1`` for one seed."""
        mean = f"{self.mean:.{digits}f}"
        return f"{mean} ± {self.sd:.{digits}f}" if self.n > 1 else mean


def statistic(values: Sequence[float]) -> Statistic:
    """Compute mean and standard deviation of at least one value."""
    sd = statistics.stdev(values) if len(values) > 1 else 0.0
    return Statistic(statistics.fmean(values), sd, len(values))


@dataclass(frozen=True)
class Group:
    """One method on one protocol: `rows` has one row a seed, by seed; `failed`, its cells that failed last."""

    rows: tuple[Row, ...]
    failed: tuple[Attempts, ...] = ()

    @property
    def seeds(self) -> str:
        """How many seeds its figures are of; ``2 of 3`` where another one failed."""
        lost = {one.seed for one in self.failed} - {row.seed for row in self.rows}
        return f"{len(self.rows)} of {len(self.rows) + len(lost)}" if lost else str(len(self.rows))

    @property
    def first(self) -> Row:
        """The row that speaks for the group in all but figures."""
        return self.rows[0]

    @property
    def protocol(self) -> Mapping[str, str]:
        """What its figures may be compared with, part by part; empty where only a hash was kept."""
        return terms(self.first)

    @property
    def passport(self) -> str:
        """The hash of it."""
        return passport_of(self.first)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels that tell it from others of its matrix, without dataset and seed."""
        axes = sorted(self.first.labels.items())
        return tuple(label for axis, label in axes if axis not in ("dataset", "seed"))

    @property
    def variant(self) -> str:
        """Label on the axis ``variant``, if that is the only one that tells it from others; else empty."""
        return self.first.labels.get("variant", "") if len(self.labels) == 1 else ""

    def values(self, figure: str) -> list[float] | None:
        """Return one metric of every row; ``None`` if a row lacks it: no mean leaves a seed out."""
        found = [row.metrics[figure] for row in self.rows if figure in row.metrics]
        return found if len(found) == len(self.rows) else None

    def statistic(self, figure: str, scale: float = 1.0) -> Statistic | None:
        """Return the statistic of one metric."""
        values = self.values(figure)
        return statistic([scale * value for value in values]) if values else None

    def interval(self, figure: str, scale: float = 1.0) -> Interval | None:
        """Return the mean over rows of the bounds of their intervals over images; ``None`` if a row has none.

        For one row that is its own. For several it is not that of their mean: what their average evens out is still
        in it, so that it is longer as a rule. It cannot be shorter where resamples are normal, as a standard deviation
        of a mean is at most the mean of the standard deviations; for percentiles in general that is not certain.
        """
        found = [row.intervals[figure] for row in self.rows if figure in row.intervals]
        if len(found) < len(self.rows):
            return None
        low, high = (scale * statistics.fmean(ends) for ends in zip(*found, strict=True))
        return Interval(low=low, high=high)

    def rsums(self, evaluator: str) -> dict[int, float]:
        """Return the sum of the six recalls in percent by seed, of the rows that have all six."""
        names = [f"{evaluator}.{name}" for name in RECALLS]
        return {
            row.seed: 100.0 * sum(row.metrics[name] for name in names)
            for row in self.rows
            if all(name in row.metrics for name in names)
        }

    def rsum(self, evaluator: str) -> Statistic | None:
        """Return the statistic of rSum; ``None`` if a row lacks a recall."""
        values = self.rsums(evaluator)
        return statistic(list(values.values())) if len(values) == len(self.rows) else None


def terms(row: Row) -> Mapping[str, str]:
    """Return the protocol of a row with the way in which its recalls were counted."""
    return with_figures(row.protocol, row.evaluators) if row.protocol else {}


def passport_of(row: Row) -> str:
    """Return the hash of `terms`, or that of the row where its parts were not kept."""
    return passport(terms(row)) if row.protocol else row.passport


def grouped(rows: Iterable[Row], attempts: Iterable[Attempts] = ()) -> list[Group]:
    """Put rows of one dataset together that differ in the seed only.

    A run that stands in two matrices counts once. Without `recipe`, only rows of one cell but for its seed
    are taken for one method. Attempts that failed, and that no figures followed, go with the rows of their recipe.
    """
    groups: dict[Any, dict[str, Row]] = {}
    for row in rows:
        origin: Any = row.recipe or (row.matrix, row.experiment, _without_seed(row))
        method = (row.dataset, passport_of(row), row.title, row.visual, row.textual, origin)
        groups.setdefault(method, {}).setdefault(row.fingerprint, row)
    lost = [one for one in attempts if not one.measured]
    return [
        Group(
            tuple(sorted(members.values(), key=lambda row: (row.seed, row.fingerprint))),
            tuple(one for one in lost if _alike(one, next(iter(members.values())))),
        )
        for members in groups.values()
    ]


def _alike(one: Attempts, row: Row) -> bool:
    """Tell whether what failed is a seed of a row's method; under which protocol it would have been, nobody knows."""
    return bool(row.recipe) and (one.dataset, one.title, one.visual, one.textual, one.last.recipe) == (
        row.dataset,
        row.title,
        row.visual,
        row.textual,
        row.recipe,
    )


def _without_seed(row: Row) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((axis, label) for axis, label in row.labels.items() if axis != "seed"))


def names(groups: Sequence[Group]) -> list[str]:
    """Return what tells the groups apart: the title, and where two share it, labels, then fingerprint."""
    paths = [(group.first.title, group.first.visual, group.first.textual) for group in groups]
    shared = Counter(paths)
    labelled = [
        f"{path[0]} ({', '.join(group.labels)})" if shared[path] > 1 and group.labels else path[0]
        for group, path in zip(groups, paths, strict=True)
    ]
    again = Counter((name, *path[1:]) for name, path in zip(labelled, paths, strict=True))
    return [
        f"{name} [{group.first.fingerprint[:8]}]" if again[name, path[1], path[2]] > 1 else name
        for group, name, path in zip(groups, labelled, paths, strict=True)
    ]


def passport_letters(groups: Iterable[Group]) -> dict[str, str]:
    """Return a letter for each passport, if there is more than one."""
    return lettered(group.passport for group in groups)


def lettered(passports: Iterable[str]) -> dict[str, str]:
    """Return a letter for each of these hashes, if there is more than one."""
    keys = sorted(set(passports), key=natural)
    return {key: _letter(place) for place, key in enumerate(keys)} if len(keys) > 1 else {}


def mark(group: Group, letters: Mapping[str, str]) -> str:
    """Return the letter of a group's protocol as it stands behind its name; empty where there is one protocol only."""
    return f" \\[{letters[group.passport]}\\]" if letters else ""


def protocol_notes(groups: Iterable[Group]) -> str:
    """Say which letter is which passport, and in which parts of the protocol they differ."""
    listed = list(groups)
    letters = passport_letters(listed)
    protocols = {group.passport: group.protocol for group in listed}
    told = ", ".join(f"\\[{letter}\\] `{short(key)}`" for key, letter in letters.items())
    parts = differing([protocols[key] for key in letters])
    details = [
        f"{name} ("
        + ", ".join(
            f"\\[{letter}\\] {escape(protocols[p].get(name, 'not kept'))}" for p, letter in letters.items()
        )
        + ")"
        for name in parts
    ]
    return told + (f". They differ in {', '.join(details)}" if details else "")


def short(key: str) -> str:
    """Return the first characters of a hash, safe inside backticks."""
    return "".join(c for c in key if c.isalnum() and c.isascii())[:8] or "none"


def _letter(place: int) -> str:
    return chr(ord("A") + place) if place < 26 else f"P{place + 1}"
