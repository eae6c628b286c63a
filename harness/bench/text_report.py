"""What the benchmark of text paths found, and the figures that follow from it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from harness.bench.origin import Machine
from harness.bench.report import Group, load_json, no_report, read_groups
from harness.bench.rounds import spread

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
class TextReport:
    """Speeds of text encoders; the first of them is the one that the others are compared with.

    Attributes:
        profile: of registry.yaml; ``None`` for its entries as they are.
        batch: captions of a step.
        seconds: the least time of one measurement.
        dataset: whose train captions the words come from.
        words: how many different ones the captions were drawn from.
        groups: what else of text paths was timed: the lookup of words, and the mining of captions.
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
    groups: tuple[Group, ...] = ()

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


def text_summary(report: TextReport) -> dict[str, Any]:
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


def read_text_report(path: Path) -> TextReport:
    """Read what `text_summary` returned, from a file.

    Raises:
        InputError: if it is no such file.
    """
    try:
        data = load_json(path, "text", VERSION)
        fields: dict[str, Any] = {
            "encoders": tuple(Measured(**entry) for entry in data.pop("encoders")),
            "speeds": tuple(Speed(**{**e, "rounds": tuple(e["rounds"])}) for e in data.pop("speeds")),
            "groups": read_groups(data.pop("groups", ())),
            "machine": Machine(**data.pop("machine")),
        }
        return TextReport(**fields, **data)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise no_report(path, "text", error) from error
