"""Measured rows, as `leaderboards/results.jsonl` keeps them: one JSON object a line, one line a cell."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from harness.durable import durable
from harness.errors import InputError, StoreError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA = 3


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

    # How pydantic reads a line: no key too many, no text for a number, no NaN.
    __pydantic_config__: ClassVar[dict[str, Any]] = {
        "extra": "forbid",
        "strict": True,
        "allow_inf_nan": False,
    }

    @property
    def cell(self) -> tuple[Any, ...]:
        """What the row is a result of; also its place in the file."""
        return self.matrix, tuple(sorted((axis, natural(label)) for axis, label in self.labels.items()))


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key that puts seed 10 after seed 9."""
    parts = re.findall(r"[0-9]+|[^0-9]+", text)
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts)


def read_rows(path: Path) -> tuple[Row, ...]:
    """Read all rows; none where there is no file.

    Raises:
        StoreError: names the line that is damaged, of a newer schema, limited, or a second one of its cell.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"cannot read {path}: {error}", hint=_RESTORE) from error
    rows: dict[tuple[Any, ...], Row] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        row = _parse(line, f"{path}, line {number}")
        if row.cell in rows:
            raise StoreError(f"{path}, line {number}: a second row of cell {_name(row)}", hint=_RESTORE)
        rows[row.cell] = row
    return tuple(rows.values())


def merge_rows(path: Path, rows: Iterable[Row]) -> tuple[Row, ...]:
    """Add rows to the file, each in place of an older one of the same matrix and labels; return all rows.

    The file is replaced as a whole, in a stable order, or not at all. Two processes take turns.

    Raises:
        InputError: if a row is limited or holds what JSON cannot, such as NaN.
        StoreError: if the file is damaged, of a newer schema, or cannot be written; it stays as it was.
    """
    import filelock

    new = {}
    for row in rows:
        if row.limit is not None:
            raise InputError(
                f"{_name(row)} was measured on {row.limit} images only",
                hint="Run it without --limit: a limited run stands on no leaderboard.",
            )
        new[row.cell] = row, _line(row)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path.with_name(f".{path.name}.lock")):
            merged = {row.cell: (row, _line(row)) for row in read_rows(path)} | new
            ordered = [merged[cell] for cell in sorted(merged)]
            content = "".join(f"{line}\n" for _, line in ordered).encode("ascii")
            if not path.is_file() or path.read_bytes() != content:
                with durable(path) as file:
                    file.write(content)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
    return tuple(row for row, _ in ordered)


_RESTORE = "Nothing was changed. Mend the line, or restore the file from git."


def _name(row: Row) -> str:
    return " ".join((row.matrix, *(f"{axis}={label}" for axis, label in row.labels.items())))


def _line(row: Row) -> str:
    values = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    plain = {key: dict(value) if isinstance(value, Mapping) else value for key, value in values.items()}
    try:
        line = json.dumps(plain, sort_keys=True, allow_nan=False)
        _parse(line, _name(row))
    except (TypeError, ValueError, StoreError) as error:
        raise InputError(f"{_name(row)} cannot be stored: {error}") from error
    return line


def _parse(line: str, where: str) -> Row:
    import pydantic

    try:
        raw = json.loads(line)
        schema = raw["schema"] if isinstance(raw, dict) else None
    except (ValueError, KeyError, RecursionError) as error:
        raise StoreError(f"{where} is damaged: {type(error).__name__}: {error}", hint=_RESTORE) from error
    if isinstance(schema, int) and schema > SCHEMA:
        raise StoreError(
            f"{where} was written by a newer version (schema {schema}, known: {SCHEMA})",
            hint="Nothing was changed. Update the harness.",
        )
    try:
        row = _schema().validate_json(line)
    except pydantic.ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(str(part) for part in fault["loc"])
        raise StoreError(f"{where} is damaged: {key or 'row'}: {fault['msg']}", hint=_RESTORE) from error
    if row.limit is not None:
        raise StoreError(f"{where} is of a limited run and must not stand here", hint=_RESTORE)
    return row


@cache
def _schema() -> TypeAdapter[Row]:
    import pydantic

    return pydantic.TypeAdapter(Row)
