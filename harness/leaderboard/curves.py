"""Learning curves: their data as committed json, so that a figure depends on committed files alone."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.durable import durable
from harness.errors import InputError, StoreError
from harness.leaderboard.groups import Group
from harness.specs import valid_name

SCHEMA = 2
"""1 had histories by title, without the runs and stages that they come from."""
_LEFT_OUT = ("rate", "seconds")
EpochRows = Sequence[Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class History:
    """One stage of training.

    Args:
        run: fingerprint of the run; empty if it is not known, as in files of schema 1.
        rows: by epoch: ``epoch``, ``loss``, ``val.rsum`` (0..600), each loss by its name, and what losses report,
            such as ``instance.image_ce`` and ``instance.text_top5``.
    """

    run: str
    rows: EpochRows


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The learning curve of one method: of the run that its row speaks of, and before it of those it starts from."""

    title: str
    stages: tuple[History, ...]

    @property
    def run(self) -> str:
        """Fingerprint of the run that the curve ends with."""
        return self.stages[-1].run

    @property
    def epochs(self) -> int:
        """Epochs of all its stages; 1 for a closed form, which has no curve."""
        return sum(len(stage.rows) for stage in self.stages)


def write_curves(folder: Path, dataset: str, curves: Iterable[Curve]) -> Path:
    """Store the learning curves of a dataset as ``curves/<dataset>.json``; return its path.

    All that a row holds is kept but rate and seconds, and what is not finite, with six digits.

    Raises:
        InputError: if the dataset's name is no file name, or a row has no epoch.
        StoreError: if the file cannot be written.
    """
    if not valid_name(dataset):
        raise InputError(f"{dataset!r} is not the name of a dataset")
    ordered = sorted(curves, key=lambda curve: (curve.title, curve.run))
    runs = {stage.run: _columns(stage.rows, curve.title) for curve in ordered for stage in curve.stages}
    listed = [{"title": c.title, "runs": [stage.run for stage in c.stages]} for c in ordered]
    path = folder / "curves" / f"{dataset}.json"
    with durable(path) as file:
        file.write(_content(dataset, listed, runs).encode("ascii"))
    return path


def read_curves(folder: Path) -> dict[str, tuple[Curve, ...]]:
    """Read the stored curves, dataset -> curves.

    Raises:
        StoreError: names a file that is damaged or of a newer version.
    """
    found = {}
    for path in sorted((folder / "curves").glob("*.json")):
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            if raw["schema"] > SCHEMA:
                schemas = f"schema {raw['schema']}, known: {SCHEMA}"
                raise StoreError(f"{path} was written by a newer version ({schemas})")
            found[path.stem] = _first_schema(raw) if raw["schema"] == 1 else _curves(raw)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"{path} is damaged: {error}", hint="Restore it from git.") from error
    return found


def owned(groups: Sequence[Group], curves: Sequence[Curve]) -> list[tuple[Group, Curve]]:
    """Return the groups that have a curve, each with that of its lowest seed; of two of one run the later counts.

    A curve of schema 1 goes by its title, where no other group without a curve has it.
    """
    runs = {curve.run: curve for curve in curves if curve.run}
    titles = {curve.title: curve for curve in curves if not curve.run}
    own = {
        id(group): next((runs[row.fingerprint] for row in group.rows if row.fingerprint in runs), None)
        for group in groups
    }
    waiting = Counter(group.first.title for group in groups if own[id(group)] is None)
    found = []
    for group in groups:
        first, curve = group.first, own[id(group)]
        if curve is None and waiting[first.title] == 1 and first.title in titles:
            (stage,) = titles[first.title].stages
            curve = Curve(title=first.title, stages=(replace(stage, run=first.fingerprint),))
        if curve is not None:
            found.append((group, curve))
    return found


def _columns(rows: EpochRows, title: str) -> dict[str, list[float | None]]:
    """Turn rows into columns, which take a fraction of the space; ``None`` where a row lacks a figure."""
    if any("epoch" not in row for row in rows):
        raise InputError(f"a row of the history of {title!r} has no epoch")
    names = sorted({key for row in rows for key in row if key not in _LEFT_OUT})
    table = {name: [_rounded(row.get(name)) for row in rows] for name in names}
    return {name: values for name, values in table.items() if any(value is not None for value in values)}


def _rounded(value: float | None) -> float | None:
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None


def _content(dataset: str, curves: Sequence[Mapping[str, Any]], runs: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the json, a line a column: it is read in diffs."""
    tables = []
    for run, columns in sorted(runs.items()):
        lines = ",\n".join(f"   {json.dumps(name)}: {json.dumps(column)}" for name, column in columns.items())
        tables.append(f"  {json.dumps(run)}: {{\n{lines}\n  }}")
    listed = ",\n".join(f"  {json.dumps(curve, sort_keys=True)}" for curve in curves)
    return (
        f'{{\n "schema": {SCHEMA},\n "dataset": {json.dumps(dataset)},\n "curves": [\n{listed}\n ],\n'
        ' "runs": {\n' + ",\n".join(tables) + "\n }\n}\n"
    )


def _curves(raw: Mapping[str, Any]) -> tuple[Curve, ...]:
    histories = {str(run): History(run=str(run), rows=_rows(table)) for run, table in raw["runs"].items()}
    return tuple(
        Curve(title=str(curve["title"]), stages=tuple(histories[run] for run in curve["runs"]))
        for curve in raw["curves"]
        if curve["runs"]
    )


def _rows(columns: Mapping[str, Sequence[float | None]]) -> EpochRows:
    names = list(columns)
    return [
        {name: float(value) for name, value in zip(names, values, strict=True) if value is not None}
        for values in zip(*columns.values(), strict=True)
    ]


def _first_schema(raw: Mapping[str, Any]) -> tuple[Curve, ...]:
    return tuple(
        Curve(
            title=str(title),
            stages=(History(run="", rows=[{k: float(v) for k, v in row.items()} for row in rows]),),
        )
        for title, rows in sorted(raw["histories"].items())
    )
