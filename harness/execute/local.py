"""Runs a plan in this process, one run after the other."""

from __future__ import annotations

import contextlib
import sys
import time
import traceback
from typing import Literal

from harness.durable import Waiting, hold
from harness.errors import HarnessError, Interrupted
from harness.evaluate import EMBEDDINGS, RANKS
from harness.execute.outcome import Listener, Outcome, Workspace
from harness.execute.run import perform
from harness.execute.score import lacking, score
from harness.plan import Cell, Plan, RunSpec
from harness.store import Result, Store


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
        if signal := workspace.stopping():
            raise Interrupted(signal)
        positions = wanted.get(run.fingerprint, [])
        cells = [plan.cells[position] for position in positions]
        listener.started(index, len(plan.runs), run, cells[0] if cells else None)
        # What a component prints is no output of ours: `--json` is read by programs.
        with contextlib.redirect_stdout(sys.stderr):
            finished = _one(run, cells, plan, workspace, store, listener, failures, force=force)
        for position, outcome in zip(positions, finished, strict=True):
            outcomes[position] = outcome
            listener.finished(outcome)
    return tuple(outcomes[position] for position in range(len(plan.cells)))


def _one(
    run: RunSpec,
    cells: list[Cell],
    plan: Plan,
    workspace: Workspace,
    store: Store,
    listener: Listener,
    failures: dict[str, str],
    *,
    force: bool,
) -> list[Outcome]:
    start = time.monotonic()
    outcomes = []
    try:
        if run.parent in failures:
            raise HarnessError(f"its parent run {run.parent} failed: {failures[run.parent]}")
        waiting = Waiting(lambda who: listener.note(f"waiting for {who}"), workspace.stopping)
        with hold(workspace.home, run.fingerprint, waiting):
            store.recover(run.fingerprint)
            store.begin(run.fingerprint, force=force)
            stored = None if force else _stored(run, cells, plan, store, listener)
            result = stored or perform(run, workspace, store, listener)
            status: Literal["done", "cached"] = "cached" if stored else "done"
            for cell in cells:
                # The trained weights are stored: an evaluator that fails costs its own cell alone.
                try:
                    result = score(result, run, cell.evaluators, workspace, store)
                except (Exception, SystemExit) as error:
                    outcomes.append(_failed(cell, error, store, time.monotonic() - start))
                else:
                    seconds = time.monotonic() - start
                    outcomes.append(Outcome(cell=cell, status=status, result=result, seconds=seconds))
    # A component is somebody else's code: whatever it raises, the matrix goes on.
    except (Exception, SystemExit) as error:
        failures[run.fingerprint] = _cause(error)
        store.record_failure(run.fingerprint, _story(error))
        return [_failed(cell, error, store, time.monotonic() - start) for cell in cells]
    return outcomes


def _stored(run: RunSpec, cells: list[Cell], plan: Plan, store: Store, listener: Listener) -> Result | None:
    """Return the stored result, unless a file of it that this plan needs is damaged."""
    if not store.finished(run.fingerprint):
        return None
    needed = {"result.json"}
    if any(child.parent == run.fingerprint and not store.finished(child.fingerprint) for child in plan.runs):
        needed.add("weights.safetensors")
    damaged = store.damage(run.fingerprint, needed)
    if not damaged:
        result = store.result(run.fingerprint)
        if any(lacking(result, cell.evaluators) for cell in cells):
            damaged = store.damage(run.fingerprint, {EMBEDDINGS, RANKS})
        if not damaged:
            return result
    for path in damaged:
        listener.note(f"{path} is missing or damaged; its run is done again")
    return None


def _failed(cell: Cell, error: BaseException, store: Store, seconds: float) -> Outcome:
    path = store.record_failure(cell.run.fingerprint, _story(error))
    return Outcome(cell=cell, status="failed", error=_cause(error), traceback=path, seconds=seconds)


def _story(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _cause(error: BaseException) -> str:
    return str(error) if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
