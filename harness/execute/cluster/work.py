"""One run as a task of a cluster, wherever it is done."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.durable import file_sha256
from harness.errors import Interrupted, RunError
from harness.execute.cluster.board import Answer, Asking, Teller
from harness.execute.cluster.hosts import Installed, check_data, check_host
from harness.execute.failure import Failure, failed_outcome, record
from harness.execute.local import Execution
from harness.execute.outcome import Outcome, Workspace
from harness.manifest import MANIFEST
from harness.plan import Cell, RunSpec
from harness.store import Store


@dataclass(frozen=True, kw_only=True)
class Task:
    """One run to do.

    Args:
        number: of the run in the plan, from 0.
        cells: that want it.
        seal: of what was stored of it when the plan was given out, see `seal`.
        beacon: a file in the store that every worker must see.
        installed: where the plan was given out.
        times: that it may begin.
    """

    number: int
    run: RunSpec
    cells: tuple[Cell, ...]
    workspace: Workspace
    force: bool
    seal: str
    beacon: Path
    installed: Installed
    times: int


@dataclass(frozen=True, kw_only=True)
class Report:
    """What became of a run; `interrupted` is a signal, or 0."""

    outcomes: list[Outcome] = field(default_factory=list)
    failure: Failure | None = None
    interrupted: int = 0


def seal(store: Store, fingerprint: str) -> str:
    """Return a digest of what is stored of a run, empty if nothing is."""
    path = store.folder(fingerprint) / MANIFEST
    return file_sha256(path) if path.is_file() else ""


def work(task: Task, board: Any, parent: Report | None) -> Report:
    """Do one run, as the local executor does; on a worker that took over from one that was lost, what is left of it.

    Args:
        parent: what became of the run that this one starts from, if that is part of the plan.

    Raises:
        HarnessError: if this worker is not fit for the plan.
    """
    import ray

    failed = parent.failure if parent is not None else None
    if parent is not None and parent.interrupted:
        return parent
    with Asking(lambda: int(ray.get(board.asked.remote()))) as stopping:
        if stopping():
            return Report(interrupted=stopping())
        answer: Answer = ray.get(board.begin.remote(task.number, whatever=failed is not None))
        match answer:
            case "stopped":
                return Report(interrupted=ray.get(board.asked.remote()))
            case "closed":
                return Report(outcomes=[Outcome(cell=cell, status="skipped") for cell in task.cells])
            case "lost":
                return lost(task.run, task.cells, task.workspace, f"it lost its worker {task.times} times")
        check_host(task.workspace, task.beacon, task.installed)
        teller = Teller(board.tell.remote, task.number)
        try:
            return _worked(task, replace(task.workspace, stopping=stopping), teller, failed)
        finally:
            # Calls are answered in their order: nothing that was told is under way when the task has ended.
            ray.get(board.asked.remote())


def _worked(task: Task, workspace: Workspace, teller: Teller, failed: Failure | None) -> Report:
    """Do a run that may begin; `failed` is the failure of its parent."""
    store = Store(workspace.home)
    # One that was lost may have published its result just before.
    again = task.force and seal(store, task.run.fingerprint) == task.seal
    if again or not store.finished(task.run.fingerprint):
        check_data(workspace, task.run)
    execution = Execution(workspace, teller, force=again)
    if failed is not None and task.run.parent is not None:
        execution.failures[task.run.parent] = failed
    try:
        with contextlib.redirect_stdout(sys.stderr):
            outcomes = execution.one(task.run, list(task.cells))
    except Interrupted as stop:
        return Report(interrupted=stop.signal)
    if task.force or not task.seal:
        outcomes = [replace(o, status="done") if o.status == "cached" else o for o in outcomes]
    return Report(outcomes=outcomes, failure=execution.failures.get(task.run.fingerprint))


def lost(run: RunSpec, cells: Sequence[Cell], workspace: Workspace, why: str) -> Report:
    """Return the report of a run that is begun no more, since its workers are lost or Ray gave it up."""
    error = RunError(
        why,
        hint="A run that uses up a host's memory is killed with its worker: lower the stage's batch.",
    )
    failure = record(error, run, workspace, Store(workspace.home), name=run.fingerprint)
    return Report(outcomes=[failed_outcome(cell, failure, 0.0) for cell in cells], failure=failure)
