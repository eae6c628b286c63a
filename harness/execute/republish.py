"""New figures of stored runs into the leaderboard rows of the same runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from harness.execute.rows import efficiency_of, identities, intervals_of, keep_ranks, metrics_of
from harness.leaderboard import RESULTS, Ranks, Row, merge_rows, read_rows, write
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
        for row in read_rows(folder / RESULTS)
        if row.fingerprint in by_run
    ]
    merge_rows(folder / RESULTS, fresh)
    for row in fresh:
        keep_ranks(row.fingerprint, store, Ranks(folder))
    return write(folder)


def refreshed(row: Row, result: Result, asked: Collection[str] = ()) -> Row:
    """Return a row with the figures, and what embedding takes, that its run has now."""
    # Rows of versions that did not name evaluators: those whose figures they have.
    shown = row.evaluators or [n for n in result.figures if any(m.startswith(f"{n}.") for m in row.metrics)]
    names = [name for name in dict.fromkeys([*shown, *asked]) if name in result.figures]
    judged = {name: result.figures[name] for name in names}
    stale = tuple(f"{name}." for name in names)
    kept = {name: value for name, value in row.metrics.items() if not name.startswith(stale)}
    bounds = {name: value for name, value in row.intervals.items() if not name.startswith(stale)}
    return replace(
        row,
        metrics=kept | metrics_of(judged),
        intervals=bounds | intervals_of(judged),
        evaluators={**row.evaluators, **identities(judged)},
        efficiency={**row.efficiency, **efficiency_of(result.cost)},
    )
