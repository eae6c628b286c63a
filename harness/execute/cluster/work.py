"""One run as a task of a cluster, wherever it is done."""

from __future__ import annotations

import contextlib
import platform
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.durable import file_sha256
from harness.errors import Interrupted, PluginError, StoreError
from harness.execute.cluster.board import Asking, Teller
from harness.execute.failure import Failure
from harness.execute.local import Execution
from harness.execute.outcome import Outcome, Workspace
from harness.execute.provenance import versions
from harness.plan import Cell, RunSpec
from harness.store import MANIFEST, Store


@dataclass(frozen=True, kw_only=True)
class Task:
    """One run to do.

    Args:
        number: of the run in the plan, from 0.
        cells: that want it.
        seal: of what was stored of it when the plan was given out, see `seal`.
        beacon: a file in the store that every worker must see.
        versions: of all that can change a figure, where the plan was given out.
    """

    number: int
    run: RunSpec
    cells: tuple[Cell, ...]
    workspace: Workspace
    force: bool
    seal: str
    beacon: Path
    versions: dict[str, str]


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


def plugin_versions(workspace: Workspace) -> dict[str, str]:
    """Return the version of each distribution that brought a plugin."""
    return {plugin.distribution: plugin.version for plugin in workspace.catalog.plugins}


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
        if not ray.get(board.begin.remote(task.number, whatever=failed is not None)):
            return Report(outcomes=[Outcome(cell=cell, status="skipped") for cell in task.cells])
        _check(task)
        store = Store(task.workspace.home)
        # One that was lost may have published its result just before.
        again = task.force and seal(store, task.run.fingerprint) == task.seal
        workspace = replace(task.workspace, stopping=stopping)
        execution = Execution(workspace, Teller(board.tell.remote, task.number), force=again)
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


def _check(task: Task) -> None:
    host = platform.node()
    if not task.beacon.exists():
        raise StoreError(
            f"host {host} of the cluster does not see the store {task.workspace.home}",
            hint="Put it, with --home, on a file system that all hosts share under one path.",
        )
    own = versions(_installed(task.workspace))
    differing = [
        f"{name} {own.get(name, 'not')} there, {version} here"
        for name, version in task.versions.items()
        if own.get(name) != version
    ]
    if differing:
        raise PluginError(
            f"host {host} of the cluster has other versions installed: {'; '.join(differing)}",
            hint="Install the same on all hosts: their figures stand in one table.",
        )


def _installed(workspace: Workspace) -> dict[str, str]:
    import importlib.metadata

    found = {}
    for name in plugin_versions(workspace):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
