"""New figures of stored runs into the leaderboard rows of the same runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.execute.rows import ROWS, identity
from harness.leaderboard import Ranks, Row, merge_rows, read_rows, write
from harness.plan import Part
from harness.queries import FILE
from harness.store import Result, Store


def republish(results: Sequence[Result], asked: Collection[str], store: Store, folder: Path) -> list[Path]:
    """Refresh the rows of runs, the ranks behind them, and the tables; return the pages.

    A row keeps its evaluators and gets those of `asked` that its run was judged by; runs without a row get none.

    Args:
        folder: the leaderboards.
    """
    by_run = {result.fingerprint: result for result in results}
    fresh = [
        refreshed(row, by_run[row.fingerprint], asked)
        for row in read_rows(folder / ROWS)
        if row.fingerprint in by_run
    ]
    merge_rows(folder / ROWS, fresh)
    for row in fresh:
        keep_ranks(row.fingerprint, store, folder)
    return write(folder)


def refreshed(row: Row, result: Result, asked: Collection[str] = ()) -> Row:
    """Return a row with the figures that its run has now."""
    # Rows of versions that did not name evaluators: those whose figures they have.
    shown = row.evaluators or [n for n in result.figures if any(m.startswith(f"{n}.") for m in row.metrics)]
    names = [name for name in dict.fromkeys([*shown, *asked]) if name in result.figures]
    stale = tuple(f"{name}." for name in names)
    kept = {name: value for name, value in row.metrics.items() if not name.startswith(stale)}
    return replace(
        row,
        metrics=kept | metrics_of(result, names),
        evaluators={**row.evaluators, **{name: identity_of(name, result.figures[name]) for name in names}},
    )


def metrics_of(result: Result, names: Collection[str]) -> dict[str, float]:
    """Return the figures of evaluators as a row has them."""
    return {
        f"{name}.{figure}": float(value)
        for name in names
        for figure, value in result.figures[name]["values"].items()
    }


def identity_of(name: str, entry: Mapping[str, Any]) -> str:
    """Name an evaluator, as its entry among the figures of a result tells, for people and for comparison."""
    return identity(Part(name=name, use=entry["use"], revision=entry["revision"], params=entry["params"]))


def keep_ranks(fingerprint: str, store: Store, folder: Path) -> None:
    """Put the ranks of a stored run beside the rows, where it has any."""
    if (store.folder(fingerprint) / FILE).is_file():
        Ranks(folder).keep(fingerprint, store.checked(fingerprint, FILE).read_bytes())
