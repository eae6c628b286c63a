"""Shows a matrix at work: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from harness.cli.console import log, plain, say
from harness.cli.figures import percent
from harness.execute.outcome import Outcome
from harness.plan import Cell, RunSpec

QUIET_SECONDS = 20.0


class Watcher:
    """A `harness.execute.Listener` that prints on standard error."""

    def __init__(self) -> None:
        self.bars = log.is_terminal
        self.shown = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=log,
            transient=True,
            disable=not self.bars,
        )
        self.all: TaskID | None = None
        self.phase: TaskID | None = None
        self.current, self.spoken = "", time.monotonic()
        self.names: dict[str, str] = {}

    def __enter__(self) -> Watcher:
        self.shown.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.shown.stop()

    def started(self, index: int, total: int, run: RunSpec, cell: Cell | None) -> None:
        """Name the run that starts."""
        name = describe(cell) if cell else f"parent run {run.fingerprint}"
        self.current = self.names[run.fingerprint] = f"[{index}/{total}] {name}"
        if self.bars:
            if self.all is None:
                self.all = self.shown.add_task("matrix", total=total, note="")
            self.shown.update(self.all, completed=index - 1, note=plain(name))
        self.spoken = time.monotonic()

    def turn(self, run: RunSpec) -> None:
        """Show one of several runs at work."""
        self.current = self.names.get(run.fingerprint, self.current)
        if self.bars and self.all is not None:
            self.shown.update(self.all, note=plain(self.current.partition("] ")[2]))

    def progress(self, phase: str, done: int, total: int, note: str) -> None:
        """Move the bar of the phase, or say a line when the last is some time ago."""
        if self.bars:
            if self.phase is None:
                self.phase = self.shown.add_task(phase, total=total, note="")
            self.shown.update(
                self.phase, description=plain(phase), completed=done, total=total, note=plain(note)
            )
        elif time.monotonic() - self.spoken > QUIET_SECONDS:
            self.spoken = time.monotonic()
            say(f"{self.current}  {phase} {done}/{total}  {note}")

    def finished(self, outcome: Outcome) -> None:
        """Say what became of a cell."""
        name = f"{self.current.split(']')[0]}] {describe(outcome.cell)}"
        if outcome.status == "failed":
            say(f"{name}  FAILED: {outcome.error}", style="red")
            return
        if outcome.status == "skipped":
            return
        assert outcome.result is not None
        rsum = percent(outcome.result.figures, "recall", "rsum", scale=1.0)
        state = "from the store" if outcome.status == "cached" else f"{outcome.seconds:.0f} s"
        say(f"{name}  rSum {rsum}  ({state})")

    def note(self, text: str) -> None:
        """Say something that a person should know."""
        say(text, style="yellow")


def describe(cell: Cell) -> str:
    """Return the labels of a cell on one line."""
    return ", ".join(f"{axis}={label}" for axis, label in cell.labels) or cell.experiment
