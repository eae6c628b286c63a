"""Runs a plan in this process, one run after the other."""

from __future__ import annotations

import time
import traceback
from typing import Literal

from harness.errors import HarnessError
from harness.execute.outcome import Listener, Outcome, Workspace
from harness.execute.run import perform, score
from harness.plan import Cell, Plan, RunSpec
from harness.store import Store, hold


def execute(
    plan: Plan, workspace: Workspace, *, listener: Listener, force: bool = False
) -> tuple[Outcome, ...]:
    """Run what is not stored yet; a failing run fails its cells and those after it, and no other.

    Args:
        force: train again even what is stored; the old result stays until the new one is complete.

    Returns:
        One outcome a cell, in the plan's order.

    Raises:
        Interrupted: a signal asked for the end; everything up to the last checkpoint is kept.
    """
    store = Store(workspace.home)
    outcomes: dict[int, Outcome] = {}
    failures: dict[str, str] = {}
    wanted: dict[str, list[int]] = {}
    for position, cell in enumerate(plan.cells):
        wanted.setdefault(cell.run.fingerprint, []).append(position)
    for index, run in enumerate(plan.runs, 1):
        positions = wanted.get(run.fingerprint, [])
        cells = [plan.cells[position] for position in positions]
        listener.started(index, len(plan.runs), run, cells[0] if cells else None)
        finished = _one(run, cells, workspace, store, listener, failures, force=force)
        for position, outcome in zip(positions, finished, strict=True):
            outcomes[position] = outcome
            listener.finished(outcome)
    return tuple(outcomes[position] for position in range(len(plan.cells)))


def _one(
    run: RunSpec,
    cells: list[Cell],
    workspace: Workspace,
    store: Store,
    listener: Listener,
    failures: dict[str, str],
    *,
    force: bool,
) -> list[Outcome]:
    start = time.monotonic()
    try:
        if run.parent in failures:
            raise HarnessError(f"its parent run {run.parent} failed: {failures[run.parent]}")
        with hold(workspace.home, run.fingerprint, lambda who: listener.note(f"waiting for {who}")):
            store.recover(run.fingerprint)
            cached = store.finished(run.fingerprint) and not force
            stored = store.result(run.fingerprint) if cached else None
            result = stored or perform(run, workspace, store, listener.progress)
            for cell in cells:
                result = score(result, run, cell.evaluators, workspace, store)
    # A component is somebody else's code: whatever it raises, the matrix goes on.
    except Exception as error:
        return _failed(run, cells, error, store, failures, time.monotonic() - start)
    seconds = time.monotonic() - start
    status: Literal["done", "cached"] = "cached" if cached else "done"
    return [Outcome(cell=cell, status=status, result=result, seconds=seconds) for cell in cells]


def _failed(
    run: RunSpec,
    cells: list[Cell],
    error: Exception,
    store: Store,
    failures: dict[str, str],
    seconds: float,
) -> list[Outcome]:
    story = "".join(traceback.format_exception(error))
    path = store.record_failure(run.fingerprint, story)
    cause = str(error) if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
    outcomes = [
        Outcome(cell=cell, status="failed", error=cause, traceback=path, seconds=seconds) for cell in cells
    ]
    failures[run.fingerprint] = cause
    return outcomes
