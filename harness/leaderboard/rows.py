"""Measured rows, as `leaderboards/results.jsonl` keeps them: one JSON object a line, one line a cell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

SCHEMA = 3
STRICT: dict[str, Any] = {"extra": "forbid", "strict": True, "allow_inf_nan": False}
"""How pydantic reads a line: no key too many, no text for a number, no NaN."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured run on the test split.

    Args:
        labels: axis -> label of the cell, such as ``{"dataset": "flickr8k", "seed": "0"}``.
        dataset: the dataset's name in registry.yaml; `dataset_title` is its name for people.
        fingerprint: of the run.
        passport: hash of `protocol`; figures with different passports are not comparable.
        protocol: parts of the passport, see `harness.passport`; empty where only the hash was kept.
        evaluators: evaluator -> component, revision and parameters, as text.
        metrics: ``<evaluator>.<figure>``, rates as fractions, such as ``recall.i2t.recall@1``.
        intervals: bounds of the 95 % interval over images of those metrics that have one beside their ranks.
        val_rsum: rSum on val of the weights that were kept, 0..600.
        images: number of test images; `captions`, of test captions.
        parameters: number of trained parameters; ``None``, as what training cost, where nobody told.
        efficiency: counts, operations and speeds of both encoders, see `harness.execute.efficiency`; empty where
            nobody measured them.
        date: of the run, ISO 8601.
        source_revision: commit that the run was made with; empty outside a checkout.
        recipe: hash of all that the fingerprint covers but the seed. Seeds are averaged within one recipe.
        limit: set if only so many images were used; such a row is refused.
        source: where embeddings or ranks that another code wrote come from, as whoever imported them says.
    """

    matrix: str
    labels: Mapping[str, str]
    experiment: str
    title: str
    visual: str
    textual: str
    dataset: str
    dataset_title: str
    fingerprint: str
    passport: str
    seed: int
    metrics: Mapping[str, float]
    val_rsum: float | None
    images: int
    captions: int
    parameters: int | None
    train_seconds: float | None
    peak_memory_bytes: int | None
    epochs: int | None
    best_epoch: int | None
    hardware: str
    versions: Mapping[str, str]
    command: str
    date: str
    source_revision: str
    recipe: str = ""
    protocol: Mapping[str, str] = field(default_factory=dict)
    evaluators: Mapping[str, str] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    efficiency: Mapping[str, float] = field(default_factory=dict)
    limit: int | None = None
    source: str = ""
    schema: int = SCHEMA

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    @property
    def cell(self) -> tuple[Any, ...]:
        """What the row is a result of; also its place in the file."""
        return place(self.matrix, self.labels)


def place(matrix: str, labels: Mapping[str, str]) -> tuple[Any, ...]:
    """Return a key of a cell, by which cells are sorted."""
    return matrix, tuple(sorted((axis, natural(label)) for axis, label in labels.items()))


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key that puts seed 10 after seed 9."""
    parts = re.findall(r"[0-9]+|[^0-9]+", text)
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts)
