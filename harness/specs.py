"""What a plugin declares. Nothing here imports a component: `target` is imported when it is built."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["dataset", "encoder", "loss", "evaluator"]

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def valid_name(name: str) -> bool:
    """Tell whether `name` may name a component, dataset or run: it is also a file name."""
    return _NAME.fullmatch(name) is not None and ".." not in name


@dataclass(frozen=True, kw_only=True)
class Spec:
    """Declare one component.

    Args:
        name: lower-case, digits, ``.``, ``_`` and ``-``; at most 64 characters; unique among its kind.
        target: ``package.module:attribute``, imported only when the component is built.
        summary: one line for `harness list`.
        reference: paper or code that the component implements.
        revision: rises when the component's numbers change; part of every fingerprint.
        sample: the cheapest parameters that make sense, for the contract tests.

    Raises:
        ValueError: if `name`, `target` or `revision` is malformed.
    """

    name: str
    target: str
    summary: str
    reference: str = ""
    revision: int = 1
    sample: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not valid_name(self.name):
            raise ValueError(f"name {self.name!r} is not 1-64 of a-z, 0-9, '.', '_', '-'")
        if not _TARGET.fullmatch(self.target):
            raise ValueError(f"target {self.target!r} of {self.name!r} is not 'package.module:attribute'")
        if self.revision < 1:
            raise ValueError(f"revision {self.revision} of {self.name!r} is not a positive number")


@dataclass(frozen=True, kw_only=True)
class DatasetSpec(Spec):
    """Declare a dataset.

    Args:
        embedded: it is generated and needs no `harness data prepare`.
        example: ``package.module:function``: what writes a few images and their annotations into an empty folder, a
            `Path`, for the contract tests of a dataset that is not embedded.

    Raises:
        ValueError: if `example` is malformed.
    """

    embedded: bool = False
    example: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.example and not _TARGET.fullmatch(self.example):
            raise ValueError(f"example {self.example!r} of {self.name!r} is not 'package.module:function'")


@dataclass(frozen=True, kw_only=True)
class EncoderSpec(Spec):
    """Declare an encoder of one modality."""

    modality: Literal["image", "text"]


@dataclass(frozen=True, kw_only=True)
class LossSpec(Spec):
    """Declare a loss."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Say how a figure is to be read, so that it can be held against adversaries.

    Args:
        better: which way a better scorer moves it; ``neither`` for a count.
        best: what a perfect scorer gets; ``None`` where it depends.
        worst: what no scorer falls below (or, where less is better, rises above); ``None`` where it depends.
        chance: what a random scorer gets on the average: a number; ``gallery`` where it follows from the numbers of
            images and captions, as of ``i2t.recall@5``; ``None`` where it depends on something else.

    Raises:
        ValueError: if `better` or `chance` is none of these, or worst, chance and best are not in that order.
    """

    better: Literal["higher", "lower", "neither"]
    best: float | None = None
    worst: float | None = None
    chance: float | Literal["gallery"] | None = None

    def __post_init__(self) -> None:
        if self.better not in ("higher", "lower", "neither"):
            raise ValueError(f"better is {self.better!r}, not 'higher', 'lower' or 'neither'")
        if isinstance(self.chance, str) and self.chance != "gallery":
            raise ValueError(f"chance is {self.chance!r}, not a number or 'gallery'")
        ends = [end for end in (self.worst, self.chance, self.best) if not isinstance(end, str | None)]
        if ends != sorted(ends, reverse=self.better == "lower"):
            raise ValueError(
                f"worst, chance and best are {ends}, which is no order where {self.better} is better"
            )


def declared_scale(figure: str, scales: Mapping[str, Scale]) -> Scale | None:
    """Return the scale of the longest name, or prefix that ``*`` ends, that matches a figure; ``None`` if none does."""
    patterns = [
        pattern
        for pattern in scales
        if figure == pattern or (pattern.endswith("*") and figure.startswith(pattern[:-1]))
    ]
    return scales[max(patterns, key=len)] if patterns else None


@dataclass(frozen=True, kw_only=True)
class EvaluatorSpec(Spec):
    """Declare an evaluator and its figures.

    Args:
        metrics: the names of the figures that it returns; ``*`` ends a prefix.
        scales: name of a figure, or prefix that ``*`` ends -> how it is read; the longest one counts. Names of the
            literature (``i2t.recall@5``, ``t2i.median_rank``, ``rsum``, ...) need none.
        gallery: ``package.module:function``: what makes a `Gallery` that the evaluator applies to, where it needs
            particular tags or files; called with an empty folder, a `Path`, which the evaluator gets as `source`.

    Raises:
        ValueError: if `gallery` is malformed.
    """

    metrics: tuple[str, ...]
    scales: Mapping[str, Scale] = field(default_factory=dict)
    gallery: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gallery and not _TARGET.fullmatch(self.gallery):
            raise ValueError(f"gallery {self.gallery!r} of {self.name!r} is not 'package.module:function'")
