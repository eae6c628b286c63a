"""Runs a plan in this process, one run after the other."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from typing import Literal

from harness.durable import Waiting, hold
from harness.errors import Interrupted, StoreError, TrainingError
from harness.execute.confined import confined
from harness.execute.devices import perform
from harness.execute.failure import Failure, failed_outcome, record
from harness.execute.outcome import Listener, Outcome, Workspace, moving
from harness.execute.score import score, settled
from harness.memory import release
from harness.plan import Cell, Plan, RunSpec
from harness.store import Result, Store

_WORKER = "DataLoader worker (pid"  # how torch begins the message of one that is gone; it has no class for it


def execute(
    plan: Plan, workspace: Workspace, *, listener: Listener, force: bool = False, fail_fast: bool = False
) -> tuple[Outcome, ...]:
    """Run what is not stored yet; a failing run fails its cells and those after it, and no other.

    Args:
        force: train again even what is stored; the old result stays until the new one is complete.
        fail_fast: begin no other run once one failed; cells that were not begun are ``skipped``.

    Returns:
        One outcome a cell, in the plan's order.

    Raises:
        Interrupted: a signal asked for the end; everything up to the last checkpoint is kept.
    """
    outcomes: dict[int, Outcome] = {}
    wanted = cells_of(plan)
    execution = Execution(workspace, listener, force=force)
    for index, run in enumerate(plan.runs, 1):
        if signal := workspace.stopping():
            raise Interrupted(signal)
        positions = wanted.get(run.fingerprint, [])
        cells = [plan.cells[position] for position in positions]
        failed = execution.failures or any(outcome.status == "failed" for outcome in outcomes.values())
        if fail_fast and failed and run.parent not in execution.failures:
            finished = [Outcome(cell=cell, status="skipped") for cell in cells]
        else:
            listener.started(index, len(plan.runs), run, cells[0] if cells else None)
            # What a component prints is no output of ours: `--json` is read by programs.
            with contextlib.redirect_stdout(sys.stderr):
                finished = execution.one(run, cells)
        for position, outcome in zip(positions, finished, strict=True):
            outcomes[position] = outcome
            listener.finished(outcome)
    return tuple(outcomes[position] for position in range(len(plan.cells)))


def cells_of(plan: Plan) -> dict[str, list[int]]:
    """Return the positions of the cells that want each run, by its fingerprint."""
    wanted: dict[str, list[int]] = {}
    for position, cell in enumerate(plan.cells):
        wanted.setdefault(cell.run.fingerprint, []).append(position)
    return wanted


class Execution:
    """The runs of one plan; knows those that failed, by fingerprint."""

    def __init__(self, workspace: Workspace, listener: Listener, *, force: bool) -> None:
        self.workspace, self.listener, self.force = workspace, listener, force
        self.store = Store(workspace.home)
        self.failures: dict[str, Failure] = {}

    def one(
        self, run: RunSpec, cells: list[Cell], tell: Callable[[Outcome | None], None] = lambda _: None
    ) -> list[Outcome]:
        """Do one run and score it for its cells; whatever its components raise, it returns.

        Args:
            tell: is told ``None`` when the run is trained, and then each outcome at once.

        Raises:
            StoreError: if not even the story of a failure can be written.
        """
        start = time.monotonic()
        # A child that is stored needs no parent.
        if run.parent in self.failures and (self.force or not self.store.finished(run.fingerprint)):
            failure = self.failures[run.fingerprint] = self.failures[run.parent].of_child()
            return [failed_outcome(cell, failure, 0.0) for cell in cells]
        if self.workspace.stalled_after and not self._answered(run, cells):
            return confined(self, run, cells)
        try:
            waiting = Waiting(lambda who: self.listener.note(f"waiting for {who}"), moving(self.workspace))
            with hold(self.workspace.home, run.fingerprint, waiting):
                return self._held(run, cells, start, tell)
        except (KeyboardInterrupt, Interrupted):
            raise
        # A component is somebody else's code: whatever it raises, sys.exit among it, the matrix goes on.
        except BaseException as error:
            failure = record(error, run, self.workspace, self.store, name=run.fingerprint)
        release()
        return self.fail(run, cells, failure, time.monotonic() - start)

    def fail(self, run: RunSpec, cells: list[Cell], failure: Failure, seconds: float) -> list[Outcome]:
        """Enter the failure of a run; return what that makes of its cells."""
        self.failures[run.fingerprint] = failure
        if not cells:
            self.listener.note(
                f"run {run.fingerprint} failed: {failure.cause}\n  traceback: {failure.traceback}"
            )
        return [failed_outcome(cell, failure, seconds) for cell in cells]

    def _answered(self, run: RunSpec, cells: list[Cell]) -> bool:
        """Tell whether the store answers for all cells of a run, so that no component is asked that could hang."""
        if self.force or not self.store.finished(run.fingerprint):
            return False
        try:
            result = self.store.result(run.fingerprint)
        except StoreError:
            return False
        whole = all(settled(result, cell.evaluators) for cell in cells)
        return whole and not self.store.damage(run.fingerprint)

    def _held(
        self, run: RunSpec, cells: list[Cell], start: float, tell: Callable[[Outcome | None], None]
    ) -> list[Outcome]:
        """Train a run unless it is stored, and score it; its lock is held."""
        self.store.recover(run.fingerprint)
        self.store.begin(run.fingerprint, force=self.force)
        stored = None if self.force else _stored(run, self.store, self.listener)
        result = stored or self._performed(run)
        status: Literal["done", "cached"] = "cached" if stored else "done"
        tell(None)
        outcomes: list[Outcome] = []
        for number, cell in enumerate(cells):
            if outcomes:
                tell(outcomes[-1])
            # The trained weights are stored: an evaluator that fails costs its own cell alone.
            try:
                result = score(result, run, cell.evaluators, self.workspace, self.store)
            except (KeyboardInterrupt, Interrupted):
                raise
            except BaseException as error:
                name = f"{run.fingerprint}-{number + 1}" if number else run.fingerprint
                failure = record(error, run, self.workspace, self.store, name=name)
                outcomes.append(failed_outcome(cell, failure, time.monotonic() - start))
            else:
                seconds = time.monotonic() - start
                outcomes.append(Outcome(cell=cell, status=status, result=result, seconds=seconds))
                continue
            release()  # the embeddings, which the frames of the error held
        return outcomes

    def _performed(self, run: RunSpec) -> Result:
        """Train a run; where a process that prepares its images is killed, go on from the last checkpoint, once."""
        try:
            return perform(run, self.workspace, self.store, self.listener)
        except RuntimeError as error:
            if not str(error).startswith(_WORKER):
                raise
            self.listener.note(f"{error}; the run goes on from its last checkpoint, once")
        try:
            return perform(run, self.workspace, self.store, self.listener)
        except RuntimeError as error:
            if not str(error).startswith(_WORKER):
                raise
            raise TrainingError(
                f"a process that prepares images was killed twice: {error}",
                hint="The system does so when memory runs out: give fewer --threads; two of them are one process.",
            ) from error


def _stored(run: RunSpec, store: Store, listener: Listener) -> Result | None:
    """Return the stored result, every file of which is compared with its checksum; ``None`` if one is damaged."""
    if not store.finished(run.fingerprint):
        return None
    damaged = store.damage(run.fingerprint)
    for path in damaged:
        listener.note(f"{path} is missing or damaged; its run is done again")
    return None if damaged else store.result(run.fingerprint)
