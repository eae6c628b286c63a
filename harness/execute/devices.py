"""One run trained by several processes, a device each; this process watches over them and lets none hang."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from harness.errors import Interrupted, RunError
from harness.execute import member, run
from harness.execute.outcome import Listener, Workspace, moving, never, still
from harness.memory import RanOutError
from harness.plan import RunSpec
from harness.store import Result, Store

LOADED = ("torch._dynamo", "torch.nn.parallel", "pandas", "pyarrow.parquet", "safetensors.torch")
"""What each process would load by itself; torch._dynamo when a DistributedDataParallel is made."""
GRACE = 3.0
"""Seconds in which a process that failed first may say so, where others broke off for its sake."""


def perform(spec: RunSpec, workspace: Workspace, store: Store, listener: Listener) -> Result:
    """Train one run, or resume it, and store it; on several devices where the workspace says so.

    A solution in closed form is found by one process whatever it says.

    Raises:
        RunError: names the process that died, and how; what one of them raised is raised here.
        Interrupted: a signal asked for the end; the checkpoint is on disk.
    """
    if workspace.devices == 1 or spec.stage.epochs == 0:
        return run.perform(spec, replace(workspace, devices=1, stopping=moving(workspace)), store, listener)
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        _Members(spec, workspace, listener, Path(folder)).wait()
    return store.result(spec.fingerprint)


class _Members:
    def __init__(self, spec: RunSpec, workspace: Workspace, listener: Listener, folder: Path) -> None:
        self.workspace, self.listener = workspace, listener
        context = forking()
        self.stop = context.Value("i", 0)
        self.pipes, self.processes = [], []
        bare = replace(workspace, catalog=workspace.catalog.plain(), stopping=never, beat=still)
        for rank in range(workspace.devices):
            receive, send = context.Pipe(duplex=False)
            invitation = member.Invitation(rank, workspace.devices, folder, spec, bare)
            process: Any = context.Process(target=member.take_part, args=(invitation, send, self.stop))
            with _beating(workspace):
                process.start()
            send.close()
            self.pipes.append(receive)
            self.processes.append(process)
        self.ended: set[int] = set()
        self.failures: list[tuple[float, BaseException, str, int | None]] = []
        self.interrupted = 0
        self.begun = False

    def wait(self) -> None:
        """Wait until all have ended; then none is left, whatever became of them."""
        with self._ending():
            while any(rank not in self.ended for rank in range(len(self.processes))):
                self._listen()
                if self.failures and time.monotonic() - self.failures[0][0] > GRACE:
                    break
        if self.failures:
            _, error, story, peak = min(self.failures, key=lambda failure: failure[0])
            story = f"in another process:\n{story}"
            raise error from (RunError(story) if peak is None else RanOutError(story, peak))
        if self.interrupted:
            raise Interrupted(self.interrupted)

    def _listen(self) -> None:
        alive = [rank for rank in range(len(self.processes)) if rank not in self.ended]
        connection.wait(
            [*(self.pipes[rank] for rank in alive), *(self.processes[rank].sentinel for rank in alive)], 0.2
        )
        self.stop.value = self.workspace.stopping()
        if not self.begun:  # until they have found each other, nothing of the run has begun that could hang
            self.workspace.beat()
        for rank in alive:
            dead = not self.processes[rank].is_alive()
            with contextlib.suppress(EOFError, OSError):
                while self.pipes[rank].poll():
                    self._hear(rank, *self.pipes[rank].recv())
            if dead and rank not in self.ended:
                self._lost(rank)

    def _hear(self, rank: int, what: str, *told: Any) -> None:
        self.begun = True
        self.workspace.beat()
        match what:
            case "progress":
                self.listener.progress(*told)
            case "note":
                self.listener.note(*told)
            case "failed":
                self.failures.append(told)
            case "interrupted":
                self.interrupted = told[0]
        if what in ("failed", "interrupted", "done"):
            self.ended.add(rank)

    def _lost(self, rank: int) -> None:
        """Enter a process that ended without a word; the others break off for its sake, however soon they said so."""
        self.ended.add(rank)
        how = how_it_ended(self.processes[rank].exitcode)
        error = RunError(
            f"process {rank + 1} of the {len(self.processes)} that trained it {how}",
            hint="If the system was out of memory, lower the stage's batch or --devices; the same command goes on "
            "from the last checkpoint.",
        )
        self.failures.append((0.0, error, "it could not tell why", None))

    @contextlib.contextmanager
    def _ending(self) -> Iterator[None]:
        try:
            yield
            if not self.failures:
                for process in self.processes:
                    process.join(GRACE)
        finally:
            for process in self.processes:
                process.kill()
                process.join()


@contextlib.contextmanager
def _beating(workspace: Workspace) -> Iterator[None]:
    """Give signs of life while the server of processes starts, which loads torch; no plugin's code runs."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(0.2):
            workspace.beat()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def how_it_ended(code: int) -> str:
    """Say how a process ended, by its exit code."""
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def forking() -> ForkServerContext:
    """Return how processes are started: forked from a server that has torch loaded, those of a next run at once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*LOADED, member.__name__])
    return context
