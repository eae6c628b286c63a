"""The file `leaderboards/results.jsonl`: read line by line, merged as a whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.durable import durable, make_folders
from harness.errors import InputError, StoreError
from harness.leaderboard import attempts, rows
from harness.leaderboard.attempts import Attempts
from harness.leaderboard.rows import Row

if TYPE_CHECKING:
    from pydantic import TypeAdapter

RESULTS = "results.jsonl"
"""Its name."""

_Line = Row | Attempts
_Lines = dict[tuple[Any, ...], _Line]
_RESTORE = "Nothing was changed. Mend the line, or restore the file from git."


def read_rows(path: Path) -> tuple[Row, ...]:
    """Read all measured rows; none where there is no file.

    Raises:
        StoreError: names the line that is damaged, of a newer schema, limited, or a second one of its cell.
    """
    return _rows(_read(path))


def read_attempts(path: Path) -> tuple[Attempts, ...]:
    """Read the failed attempts at all cells, those too that gave figures later; none where there is no file.

    Raises:
        StoreError: as `read_rows`.
    """
    return tuple(line for line in _read(path).values() if isinstance(line, Attempts))


def merge_rows(path: Path, new: Iterable[Row]) -> tuple[Row, ...]:
    """Add rows to the file, each in place of an older one of the same matrix and labels; return all rows.

    The file is replaced as a whole, in a stable order, or not at all. Two processes take turns.

    Raises:
        InputError: if a row is limited or holds what JSON cannot, such as NaN.
        StoreError: if the file is damaged, of a newer schema, or cannot be written; it stays as it was.
    """
    fresh = _checked(new)
    return _merge(path, lambda old: old | fresh)


def merge_attempts(path: Path, measured: Iterable[Row], failed: Iterable[Attempts]) -> tuple[Row, ...]:
    """Add what became of attempts at cells; return all rows.

    A cell that gave figures gets its row, and what failed before at it counts as history. A failed attempt joins the
    earlier ones at its cell; a row of the cell, which is of an earlier attempt, stays as it is.

    Raises:
        InputError, StoreError: as `merge_rows`.
    """
    fresh, lost = _checked(measured), list(failed)

    def change(old: _Lines) -> _Lines:
        merged = old | fresh
        for row in fresh.values():
            if isinstance(earlier := merged.get(_key(row, Attempts)), Attempts):
                merged[_key(row, Attempts)] = replace(earlier, measured=True)
        for line in lost:
            earlier = merged.get(_key(line))
            merged[_key(line)] = line.after(earlier if isinstance(earlier, Attempts) else None)
        return merged

    return _merge(path, change)


def _checked(rows: Iterable[Row]) -> _Lines:
    fresh: _Lines = {}
    for row in rows:
        if row.limit is not None:
            raise InputError(
                f"{_name(row)} was measured on {row.limit} images only",
                hint="Run it without --limit: a limited run stands on no leaderboard.",
            )
        _text(row)
        fresh[_key(row)] = row
    return fresh


def _merge(path: Path, change: Callable[[_Lines], _Lines]) -> tuple[Row, ...]:
    import filelock

    try:
        make_folders(path.parent)
        with filelock.FileLock(path.with_name(f".{path.name}.lock")):
            merged = change(_read(path))
            ordered = {key: merged[key] for key in sorted(merged)}
            content = "".join(f"{_text(line)}\n" for line in ordered.values()).encode("ascii")
            if (path.read_bytes() if path.is_file() else b"") != content:
                with durable(path) as file:
                    file.write(content)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
    return _rows(ordered)


def _rows(lines: _Lines) -> tuple[Row, ...]:
    return tuple(line for line in lines.values() if isinstance(line, Row))


def _key(line: _Line, kind: type[_Line] | None = None) -> tuple[Any, ...]:
    """Return the place of a line in the file, or that of the line of another kind of its cell: a row comes first."""
    return line.cell, (kind or type(line)) is Attempts


def _read(path: Path) -> _Lines:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"cannot read {path}: {error}", hint=_RESTORE) from error
    found: _Lines = {}
    for number, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        line = _parse(content, f"{path}, line {number}")
        if _key(line) in found:
            raise StoreError(f"{path}, line {number}: a second row of cell {_name(line)}", hint=_RESTORE)
        found[_key(line)] = line
    return found


def _name(line: _Line) -> str:
    return " ".join((line.matrix, *(f"{axis}={label}" for axis, label in line.labels.items())))


def _text(line: _Line) -> str:
    try:
        text = json.dumps(vars(line), sort_keys=True, allow_nan=False, default=_plain)
        _parse(text, _name(line))
    except (TypeError, ValueError, StoreError) as error:
        raise InputError(f"{_name(line)} cannot be stored: {error}") from error
    return text


def _plain(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else vars(value)


def _parse(text: str, where: str) -> _Line:
    import pydantic

    try:
        raw = json.loads(text)
        schema, kind = (raw["schema"], raw.get("kind")) if isinstance(raw, dict) else (None, None)
    except (ValueError, KeyError, RecursionError) as error:
        raise StoreError(f"{where} is damaged: {type(error).__name__}: {error}", hint=_RESTORE) from error
    failed = kind == "attempts"
    known = attempts.SCHEMA if failed else rows.SCHEMA
    if isinstance(schema, int) and schema > known:
        raise StoreError(
            f"{where} was written by a newer version (schema {schema}, known: {known})",
            hint="Nothing was changed. Update the harness.",
        )
    try:
        line = _schema(Attempts if failed else Row).validate_json(text)
    except pydantic.ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(str(part) for part in fault["loc"])
        raise StoreError(f"{where} is damaged: {key or 'row'}: {fault['msg']}", hint=_RESTORE) from error
    if isinstance(line, Row) and line.limit is not None:
        raise StoreError(f"{where} is of a limited run and must not stand here", hint=_RESTORE)
    if isinstance(line, Attempts) and not 0 < len(line.failures) <= line.failed:
        raise StoreError(
            f"{where} is damaged: failed: it counts fewer attempts than it keeps, or none", hint=_RESTORE
        )
    return line


@cache
def _schema(kind: type[_Line]) -> TypeAdapter[_Line]:
    import pydantic

    return pydantic.TypeAdapter(kind)
