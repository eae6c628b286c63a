"""Gives the runs of a plan out as tasks of a Ray cluster, and tells what becomes of them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.durable import durable
from harness.errors import HarnessError, Interrupted
from harness.execute.cluster.board import Board
from harness.execute.cluster.connect import check_room, connected, device_on, here, threads_on
from harness.execute.cluster.hosts import installed
from harness.execute.cluster.work import Report, Task, lost, seal, work
from harness.execute.failure import Failure, failed_outcome
from harness.execute.local import cells_of
from harness.execute.outcome import Listener, Outcome, Turning, Workspace, never
from harness.plan import Plan, RunSpec
from harness.store import Store

TIMES = 4
"""That a run may begin: where it loses its worker as often, it may be what kills them."""
STALE = 30 * 86400.0
"""Seconds after which nobody looks for a beacon any more."""
SECONDS = 0.2
"""Between two looks at what tasks have told."""


def execute(
    plan: Plan,
    workspace: Workspace,
    *,
    listener: Listener,
    force: bool = False,
    fail_fast: bool = False,
    address: str = "",
) -> tuple[Outcome, ...]:
    """Run what is not stored yet on a cluster, as many runs at a time as it has room for.

    A run takes `workspace.threads` CPUs and, on GPUs, `workspace.devices` of them. It starts when its parent is done.
    Where the threads are 0, it takes a node's, or on GPUs its share of them.
    One whose worker or node is lost goes on elsewhere from its last checkpoint. The store must lie on a file system
    that all hosts share.

    Args:
        workspace: its device may be ``auto``.
        force, fail_fast: see `harness.execute.local.execute`.
        address: see `harness.execute.cluster.connect.connected`.

    Returns:
        One outcome a cell, in the plan's order.

    Raises:
        InputError: if there is no cluster, or none with room for a run.
        Interrupted: a signal asked for the end; everything up to the last checkpoints is kept.
    """
    with connected(address, cpus=workspace.threads) as ray, _beacon(workspace.home) as beacon:
        device = device_on(ray, workspace.device, workspace.devices)
        gpus = workspace.devices if device != "cpu" else 0
        threads = workspace.threads or threads_on(ray, device, workspace.devices)
        check_room(ray, cpus=threads, gpus=gpus)
        placed = replace(workspace, device=device, threads=threads)
        drive = _Drive(ray, plan, placed, listener, fail_fast=fail_fast)
        try:
            drive.give_out(beacon, gpus=gpus, force=force)
            return drive.outcomes()
        finally:
            drive.end()


@contextmanager
def _beacon(home: Path) -> Iterator[Path]:
    path = home / "locks" / f"cluster-{secrets.token_hex(8)}"
    for left in path.parent.glob("cluster-*"):  # of a command that was killed
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > STALE:
                left.unlink()
    try:
        with durable(path):
            pass
        yield path
    finally:
        path.unlink(missing_ok=True)


class _Drive:
    def __init__(
        self, ray: Any, plan: Plan, workspace: Workspace, listener: Listener, *, fail_fast: bool
    ) -> None:
        self.ray, self.plan, self.workspace = ray, plan, workspace
        self.listener, self.fail_fast = listener, fail_fast
        self.store = Store(workspace.home)
        self.cells = cells_of(plan)
        # Where this process is: a board that is lost with a worker's node would end them all.
        self.board = ray.remote(Board).options(num_cpus=0, scheduling_strategy=here(ray)).remote(TIMES)
        self.numbers: dict[Any, int] = {}
        self.waiting: list[Any] = []
        self.failures: dict[str, Failure] = {}
        self.begun: set[int] = set()
        self.signal = 0

    def give_out(self, beacon: Path, *, gpus: int, force: bool) -> None:
        """Submit every run; Ray starts each after its parent, where there is room.

        Raises:
            Interrupted: if a signal asked for the end before.
        """
        if signal := self.workspace.stopping():
            raise Interrupted(signal)
        workspace = self.workspace
        bare = replace(workspace, catalog=workspace.catalog.plain(), stopping=never)
        known = installed(workspace)
        demand = {"num_cpus": workspace.threads, "num_gpus": gpus, "max_retries": TIMES}
        remote = self.ray.remote(work)
        given: dict[str, Any] = {}
        for number, run in enumerate(self.plan.runs):
            sealed = seal(self.store, run.fingerprint)
            task = Task(
                number=number,
                run=run,
                cells=tuple(self.plan.cells[position] for position in self.cells.get(run.fingerprint, [])),
                workspace=bare,
                force=force,
                seal=sealed,
                beacon=beacon,
                installed=known,
                times=TIMES,
            )
            # What is stored needs no parent.
            parent = given.get(run.parent or "") if force or not sealed else None
            options = {**demand, "name": f"run {run.fingerprint}"}
            reference = remote.options(**options).remote(task, self.board, parent)
            given[run.fingerprint] = reference
            self.numbers[reference] = number
            self.waiting.append(reference)

    def outcomes(self) -> tuple[Outcome, ...]:
        """Wait for all tasks, and tell what they tell."""
        found: dict[int, Outcome] = {}
        while self.waiting:
            ready, self.waiting = self.ray.wait(self.waiting, timeout=SECONDS)
            self._hear()
            self._pass_on_signal()
            for reference in ready:
                run = self.plan.runs[self.numbers[reference]]
                report = self._report(reference, run)
                self.signal = self.signal or report.interrupted
                if report.failure is not None:
                    self.failures[run.fingerprint] = report.failure
                self._turn(run)
                for position, outcome in zip(
                    self.cells.get(run.fingerprint, []), report.outcomes, strict=False
                ):
                    found[position] = outcome
                    self.listener.finished(outcome)
                failed = report.failure or any(outcome.status == "failed" for outcome in report.outcomes)
                if self.fail_fast and failed:
                    self.board.close.remote()
        if self.signal:
            raise Interrupted(self.signal)
        return tuple(found[position] for position in range(len(self.plan.cells)))

    def _report(self, reference: Any, run: RunSpec) -> Report:
        """Return what became of a run, also where no worker was left to tell.

        Raises:
            HarnessError: if a worker is not fit for the plan, or the store cannot be written.
        """
        errors = self.ray.exceptions
        try:
            report: Report = self.ray.get(reference)
            return report
        except errors.RayTaskError as error:
            if isinstance(error.cause, HarnessError):
                raise error.cause from error
            if self.signal and isinstance(error.cause, errors.RayError):  # its parent's
                return Report(interrupted=self.signal)
            raise
        except errors.RayError as error:
            if self.signal:
                return Report(interrupted=self.signal)
            cells = [self.plan.cells[position] for position in self.cells.get(run.fingerprint, [])]
            if run.parent not in self.failures:
                return lost(run, cells, self.workspace, f"Ray gave it up: {_first_line(error)}")
            failure = self.failures[run.parent].of_child()
            return Report(outcomes=[failed_outcome(cell, failure, 0.0) for cell in cells], failure=failure)

    def _hear(self) -> None:
        for kind, number, *told in self.ray.get(self.board.take.remote()):
            run = self.plan.runs[number]
            positions = self.cells.get(run.fingerprint, [])
            cell = self.plan.cells[positions[0]] if positions else None
            if kind == "progress":
                self._turn(run)
                self.listener.progress(*told)
            elif kind == "note":
                self.listener.note(*told)
            elif number in self.begun:
                self.listener.note(f"run {run.fingerprint} lost its worker; another goes on with it")
            else:
                self.begun.add(number)
                self.listener.started(number + 1, len(self.plan.runs), run, cell)

    def _turn(self, run: RunSpec) -> None:
        if isinstance(self.listener, Turning):
            self.listener.turn(run)

    def _pass_on_signal(self) -> None:
        """Let what has begun write its checkpoint, and nothing else begin."""
        signal = self.workspace.stopping()
        if signal and not self.signal:
            self.signal = signal
            begun = self.ray.get(self.board.stop.remote(signal))
            for reference in self.waiting:
                if self.numbers[reference] not in begun:
                    self.ray.cancel(reference)

    def end(self) -> None:
        """Leave nothing on a cluster that others use, too: what still runs, after an error, is killed."""
        for reference in self.waiting:
            self.ray.cancel(reference, force=True)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
