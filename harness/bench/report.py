"""What a benchmark found: groups of work that was timed in the same rounds, and what follows from them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.bench.origin import Machine, Origin
from harness.bench.rounds import Spread, spread
from harness.errors import InputError

VERSION = 1
"""Of the JSON."""


@dataclass(frozen=True, kw_only=True)
class Timed:
    """Seconds of one piece of work, one figure a round.

    Attributes:
        memory: bytes that it took beyond what was held before; ``None`` where that was not measured.
        part: how much of the work was done, the first part of it; its time was divided by that.
    """

    name: str
    seconds: tuple[float, ...]
    memory: int | None = None
    part: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A quotient of times that is looked at: that of `over` by that of `under`, of the same round.

    Attributes:
        least, most: what it is to reach; ``None``: no bound.
    """

    over: str
    under: str
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A figure that is no time, with its unit in words."""

    name: str
    value: str


@dataclass(frozen=True, kw_only=True)
class Group:
    """Works that were timed in the same rounds.

    Attributes:
        unit: what `amount` of is done in a call, such as ``images``; empty shows times alone.
    """

    title: str
    timed: tuple[Timed, ...]
    ratios: tuple[Ratio, ...] = ()
    facts: tuple[Fact, ...] = ()
    unit: str = ""
    amount: float = 1.0

    def seconds(self, name: str) -> tuple[float, ...]:
        """Return the seconds of a work, one figure a round."""
        return next(timed.seconds for timed in self.timed if timed.name == name)

    def spread(self, ratio: Ratio) -> Spread:
        """Return median and quartiles of a ratio over the rounds."""
        pairs = zip(self.seconds(ratio.over), self.seconds(ratio.under), strict=True)
        return spread([over / under for over, under in pairs])


@dataclass(frozen=True, kw_only=True)
class Report:
    """What one benchmark found.

    Attributes:
        benchmark: the name of its command.
        section: the name of its section on the page.
        heading: of that section.
        about: what is compared, and how, for people.
    """

    benchmark: str
    section: str
    heading: str
    about: str
    groups: tuple[Group, ...]
    origin: Origin


def reached(ratio: Ratio, value: float) -> bool | None:
    """Tell whether a ratio is what it was to be; ``None`` without a goal."""
    if ratio.least is None and ratio.most is None:
        return None
    return (ratio.least is None or value >= ratio.least) and (ratio.most is None or value <= ratio.most)


def summary(report: Report) -> dict[str, Any]:
    """Return the report in JSON's types, with medians and quartiles beside the figures of the rounds."""
    figures = [
        {
            "group": group.title,
            "over": ratio.over,
            "under": ratio.under,
            "ratio": dataclasses.asdict(group.spread(ratio)),
            "reached": reached(ratio, group.spread(ratio).median),
        }
        for group in report.groups
        for ratio in group.ratios
    ]
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(report)))
    return {**plain, "version": VERSION, "figures": figures}


def read_groups(entries: Iterable[Mapping[str, Any]]) -> tuple[Group, ...]:
    """Read groups from JSON's types.

    Raises:
        TypeError, KeyError, ValueError: if they are none.
    """
    return tuple(
        Group(
            **{
                **entry,
                "timed": tuple(Timed(**{**t, "seconds": tuple(t["seconds"])}) for t in entry["timed"]),
                "ratios": tuple(Ratio(**ratio) for ratio in entry["ratios"]),
                "facts": tuple(Fact(**fact) for fact in entry["facts"]),
            }
        )
        for entry in entries
    )


def load_json(path: Path, benchmark: str, version: int) -> dict[str, Any]:
    """Read what a benchmark printed as JSON, without its name, version and what follows from the rest.

    Raises:
        InputError: if the file cannot be read.
        ValueError, KeyError, AttributeError: if it is of another benchmark or version.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    data: dict[str, Any] = json.loads(text)
    if (data.pop("benchmark"), data.pop("version")) != (benchmark, version):
        raise ValueError("it is of another benchmark or version")
    del data["figures"]
    return data


def no_report(path: Path, benchmark: str, error: Exception) -> InputError:
    """Return the error for a file that holds no report."""
    return InputError(
        f"{path} holds no report of `harness bench {benchmark} --json`: {error}",
        hint=f"Make one: harness bench {benchmark} --json > FILE",
    )


def read_report(path: Path, benchmark: str) -> Report:
    """Read what `summary` returned, from a file.

    Raises:
        InputError: if it is no such file.
    """
    try:
        data = load_json(path, benchmark, VERSION)
        groups = read_groups(data.pop("groups"))
        origin = data.pop("origin")
        where = Origin(**{**origin, "machine": Machine(**origin["machine"])})
        return Report(benchmark=benchmark, groups=groups, origin=where, **data)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise no_report(path, benchmark, error) from error
