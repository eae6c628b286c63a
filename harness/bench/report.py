"""What the benchmark of text paths found, and the figures that follow from it."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from harness.errors import InputError

Mode = Literal["training", "inference"]
MODES: tuple[Mode, ...] = get_args(Mode)
VERSION = 1
"""Of the JSON."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Captions a second of one encoder, in one mode at one length, one figure a round."""

    encoder: str
    mode: Mode
    length: int
    rounds: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """An encoder that was measured: its name in registry.yaml, its title, its number of parameters."""

    name: str
    title: str
    parameters: int


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where it was measured.

    Attributes:
        hardware: processor, threads, accelerator.
        cores: that the process could use.
        load: the system's load average of a minute before it began; ``None`` where there is none.
    """

    hardware: str
    device: str
    cores: int
    threads: int
    load: float | None


@dataclass(frozen=True, kw_only=True)
class TextReport:
    """Speeds of text encoders; the first of them is the one that the others are compared with.

    Attributes:
        profile: of registry.yaml; ``None`` for its entries as they are.
        batch: captions of a step.
        seconds: the least time of one measurement.
        dataset: whose train captions the words come from.
        words: how many different ones the captions were drawn from.
    """

    encoders: tuple[Measured, ...]
    speeds: tuple[Speed, ...]
    profile: str | None
    dim: int
    batch: int
    seconds: float
    dataset: str
    words: int
    machine: Machine
    versions: Mapping[str, str]
    revision: str
    date: str
    command: str

    @property
    def lengths(self) -> tuple[int, ...]:
        """Words of a caption, in the order in which they were measured."""
        return tuple(dict.fromkeys(speed.length for speed in self.speeds))

    def rounds(self, encoder: str, mode: Mode, length: int) -> tuple[float, ...]:
        """Return the captions a second of an encoder, one figure a round."""
        return next(
            speed.rounds
            for speed in self.speeds
            if (speed.encoder, speed.mode, speed.length) == (encoder, mode, length)
        )

    def ratios(self, encoder: str, mode: Mode, length: int) -> tuple[float, ...]:
        """Return how much faster the first encoder is than this one: of each round the quotient."""
        first = self.rounds(self.encoders[0].name, mode, length)
        return tuple(a / b for a, b in zip(first, self.rounds(encoder, mode, length), strict=True))


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A median with the quartiles around it."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Return median and quartiles of at least one figure."""
    if len(values) == 1:
        return Spread(median=values[0], low=values[0], high=values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median=median, low=low, high=high)


def summary(report: TextReport) -> dict[str, Any]:
    """Return the report in JSON's types, with medians, quartiles and ratios beside the figures of the rounds."""
    figures = []
    for speed in report.speeds:
        entry = {"encoder": speed.encoder, "mode": speed.mode, "length": speed.length}
        entry["captions_per_second"] = dataclasses.asdict(spread(speed.rounds))
        if speed.encoder != report.encoders[0].name:
            ratio = spread(report.ratios(speed.encoder, speed.mode, speed.length))
            entry["first_by_this"] = dataclasses.asdict(ratio)
        figures.append(entry)
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(report)))
    return {"benchmark": "text", "version": VERSION, **plain, "figures": figures}


def read_report(path: Path) -> TextReport:
    """Read what `summary` returned, from a file.

    Raises:
        InputError: if it is no such file.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if (data.pop("benchmark"), data.pop("version")) != ("text", VERSION):
            raise ValueError("it is of another benchmark or version")
        del data["figures"]
        fields: dict[str, Any] = {
            "encoders": tuple(Measured(**entry) for entry in data.pop("encoders")),
            "speeds": tuple(Speed(**{**e, "rounds": tuple(e["rounds"])}) for e in data.pop("speeds")),
            "machine": Machine(**data.pop("machine")),
        }
        return TextReport(**fields, **data)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path} holds no report of `harness bench text --json`: {error}",
            hint="Make one: harness bench text --json > FILE",
        ) from error
