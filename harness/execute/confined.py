"""Runs in processes of their own, so that one that hangs can be ended wherever it hangs, and the others go on."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from multiprocessing import connection
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from harness.errors import Interrupted, RunError
from harness.execute.devices import forking, how_it_ended
from harness.execute.failure import Failure, failed_outcome, record
from harness.execute.member import Surroundings, Teller, end_with_parent, flushing, sendable
from harness.execute.outcome import Listener, Outcome, Workspace, never, still
from harness.execute.stacks import FOLDER, read_stacks, show_stacks_when_asked
from harness.plan import Cell, RunSpec
from harness.store import Store

GRACE = 2.0
"""Seconds in which a process that is to be ended may write its stacks."""


class Execution(Protocol):
    """What does the runs of a plan, one by one: here, and in the processes that this module starts."""

    workspace: Workspace
    listener: Listener
    force: bool
    store: Store
    failures: dict[str, Failure]

    def one(
        self, run: RunSpec, cells: list[Cell], tell: Callable[[Outcome | None], None] = ...
    ) -> list[Outcome]:
        """Do one run and score it for its cells."""
        ...

    def fail(self, run: RunSpec, cells: list[Cell], failure: Failure, seconds: float) -> list[Outcome]:
        """Enter the failure of a run; return what that makes of its cells."""
        ...


@dataclass(frozen=True, kw_only=True)
class Order:
    """A run for a process of its own.

    Attributes:
        execution: makes what does it there.
        cells: that want it.
        failures: of runs before it, by fingerprint.
        workspace: its `stopping` and `beat` are not asked.
    """

    execution: Callable[..., Execution]
    run: RunSpec
    cells: tuple[Cell, ...]
    force: bool
    failures: Mapping[str, Failure]
    workspace: Workspace
    surroundings: Surroundings = field(default_factory=Surroundings)


def confined(execution: Execution, run: RunSpec, cells: list[Cell]) -> list[Outcome]:
    """Do what `Execution.one` does in a process that is ended once nothing has moved for `workspace.stalled_after`.

    What moves is a step of training, a batch, whatever is told. A cell whose evaluator hangs costs itself alone.

    Raises:
        Interrupted: a signal asked for the end; what can be resumed is on disk.
        StoreError: if not even the story of a failure can be written.
    """
    outcomes: list[Outcome] = []
    force = execution.force
    while True:
        begun = time.monotonic()
        watch = _Watch(execution, run, cells[len(outcomes) :], force=force)
        error = watch.wait()
        outcomes += watch.outcomes
        if watch.failure is not None:
            execution.failures[run.fingerprint] = watch.failure
        if error is None:
            return outcomes
        name = f"{run.fingerprint}-{len(outcomes) + 1}" if outcomes else run.fingerprint
        failure = record(error, run, execution.workspace, execution.store, name=name)
        seconds = time.monotonic() - begun
        left = cells[len(outcomes) :]
        if not watch.trained:
            return [*outcomes, *execution.fail(run, left, failure, seconds)]
        outcomes += [failed_outcome(cell, failure, seconds) for cell in left[:1]]
        if len(left) < 2:
            return outcomes
        force = False  # what was trained again is stored


class _Watch:
    """One process, from its start to its end."""

    def __init__(self, execution: Execution, run: RunSpec, cells: list[Cell], *, force: bool) -> None:
        self.workspace, self.listener = execution.workspace, execution.listener
        self.outcomes: list[Outcome] = []
        self.failure: Failure | None = None
        self.trained = self.over = False
        self.interrupted = 0
        self.error: BaseException | None = None
        self.moved: float | None = None
        self.process: Any = None
        bare = replace(
            self.workspace,
            catalog=self.workspace.catalog.plain(),
            stopping=never,
            beat=still,
            stalled_after=0.0,
        )
        self.order = Order(
            execution=type(execution),
            run=run,
            cells=tuple(cells),
            force=force,
            failures=dict(execution.failures),
            workspace=bare,
        )

    def wait(self) -> RunError | None:
        """Wait until the process has ended; return why it did, if not by itself.

        Raises:
            Interrupted, HarnessError: as told by the process.
        """
        with self._process() as folder:
            while not self.over:
                dead = not self.process.is_alive()  # before its last words are heard
                self._listen()
                if dead and not self.over:
                    return self._lost()
                if self.moved is not None and time.monotonic() - self.moved > self.workspace.stalled_after:
                    return self._stalled(folder)
        if self.error is not None:
            raise self.error
        if self.interrupted:
            raise Interrupted(self.interrupted)
        return None

    @contextlib.contextmanager
    def _process(self) -> Iterator[Path]:
        """Start the process; at the end, neither it nor what it started is left."""
        context = forking()
        self.stop = context.Value("i", 0)
        self.pipe, send = context.Pipe(duplex=False)
        with tempfile.TemporaryDirectory(prefix="harness-") as folder:
            self.process = context.Process(target=work, args=(self.order, folder, send, self.stop))
            self.process.start()
            send.close()
            try:
                yield Path(folder)
                self.process.join(GRACE)
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                self.process.kill()
                self.process.join()

    def _listen(self) -> None:
        connection.wait([self.pipe, self.process.sentinel], 0.1)
        self.stop.value = self.workspace.stopping()
        with contextlib.suppress(EOFError, OSError):
            while self.pipe.poll():
                self._hear(*self.pipe.recv())
                self.moved = time.monotonic()

    def _hear(self, what: str, *told: Any) -> None:
        match what:
            case "progress":
                self.listener.progress(*told)
            case "note":
                self.listener.note(*told)
            case "trained":
                self.trained = True
            case "outcome":
                self.outcomes += told
            case "done":
                (self.failure,) = told
            case "interrupted":
                (self.interrupted,) = told
            case "failed":
                self.error, story = told
                self.error.__cause__ = RunError(f"in another process:\n{story}")
        self.over = self.over or what in ("done", "interrupted", "failed")

    def _lost(self) -> RunError:
        return RunError(
            f"the process that did it {how_it_ended(self.process.exitcode)}",
            hint="If the system was out of memory, lower the stage's batch; the same command goes on from the last "
            "checkpoint.",
        )

    def _stalled(self, folder: Path) -> RunError:
        """Ask for the stacks of all threads, which come also where C code does not return."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGUSR1)
        stacks = read_stacks(folder, GRACE)
        error = RunError(
            f"it stalled: nothing has moved for {_spoken(self.workspace.stalled_after)}",
            hint="The file of its traceback tells where each thread was. If it is only slow, raise --stalled-after; "
            "the same command goes on from the last checkpoint.",
        )
        error.__cause__ = RunError(f"in its process, which was ended:\n{stacks}")
        return error


def _spoken(seconds: float) -> str:
    return f"{seconds / 60:g} minutes" if seconds >= 60 else f"{seconds:g} seconds"


def work(order: Order, folder: str, pipe: Connection[Any, Any], stop: Any) -> None:
    """Do a run; `pipe` is told ``done``, ``failed`` or ``interrupted`` at the end.

    Args:
        folder: for the stacks of this process and of those that it starts.
        stop: its `value` is the number of a signal that asks for the end, or 0.
    """
    os.setpgid(0, 0)  # a process that it starts ends with it; Ctrl-C reaches the one that asked
    order.surroundings.take_over()
    os.environ[FOLDER] = folder
    end_with_parent()
    show_stacks_when_asked()
    teller = Teller(pipe)
    teller.beat()
    try:
        with flushing():
            failure = _done(order, teller, stop)
        teller.tell("done", failure)
    except Interrupted as end:
        teller.tell("interrupted", end.signal)
    except BaseException as error:
        teller.tell("failed", sendable(error), "".join(traceback.format_exception(error)))
    pipe.close()
    os._exit(0)


def _done(order: Order, teller: Teller, stop: Any) -> Failure | None:
    workspace = replace(order.workspace, stopping=lambda: stop.value, beat=teller.beat)
    listener: Listener = teller
    execution = order.execution(workspace, listener, force=order.force)
    execution.failures.update(order.failures)
    told = 0

    def tell(outcome: Outcome | None) -> None:
        nonlocal told
        if outcome is None:
            teller.tell("trained")
        else:
            told += 1
            teller.tell("outcome", outcome)

    outcomes = execution.one(order.run, list(order.cells), tell)
    for outcome in outcomes[told:]:
        teller.tell("outcome", outcome)
    return execution.failures.get(order.run.fingerprint)
