"""Attempts at a cell that failed, as `leaderboards/results.jsonl` keeps them: one line a cell, without a figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from harness.leaderboard.rows import STRICT, place

SCHEMA = 4
"""The first that has such lines: versions that do not know them refuse the file and leave it as it is."""
KEPT = 20
"""Failed attempts of a cell that are kept with their causes; of more, the newest."""


@dataclass(frozen=True, kw_only=True)
class FailedAttempt:
    """One attempt that gave no figure.

    Args:
        cause: on one line.
        date: when it failed, ISO 8601.
        fingerprint: of the run that was asked for; `recipe` is that of a row.
        source_revision: commit that it was made with; empty outside a checkout.
    """

    cause: str
    date: str
    fingerprint: str
    recipe: str
    source_revision: str
    command: str

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT


@dataclass(frozen=True, kw_only=True)
class Attempts:
    """The failed attempts at one cell; what is not told here is told of a `Row` under the same name.

    Args:
        failures: at least one, the oldest first.
        failed: how many failed, those too that are not kept.
        measured: whether the cell gave figures at a later attempt.
    """

    matrix: str
    labels: Mapping[str, str]
    title: str
    visual: str
    textual: str
    dataset: str
    dataset_title: str
    seed: int
    failures: tuple[FailedAttempt, ...]
    failed: int = 1
    measured: bool = False
    kind: Literal["attempts"] = "attempts"
    schema: int = SCHEMA

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    @property
    def cell(self) -> tuple[Any, ...]:
        """What was attempted, as `Row.cell`."""
        return place(self.matrix, self.labels)

    @property
    def last(self) -> FailedAttempt:
        """The newest."""
        return self.failures[-1]

    def after(self, earlier: Attempts | None) -> Attempts:
        """Return these attempts together with earlier ones at the same cell; one that is in both counts once."""
        if earlier is None:
            return self
        new = tuple(one for one in self.failures if one not in earlier.failures)
        if not new:
            return earlier
        kept = (*earlier.failures, *new)[-KEPT:]
        return replace(self, failures=kept, failed=earlier.failed + len(new))
