"""Progress of one task: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from harness.cli.console import log, plain, say

QUIET_SECONDS = 20.0


class Bar:
    """A progress bar as a callback."""

    def __init__(self) -> None:
        self.shown = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=log,
            transient=True,
            disable=not log.is_terminal,
        )
        self.task = self.shown.add_task("", total=None)
        self.spoken = time.monotonic()

    def __enter__(self) -> Bar:
        self.shown.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shown.stop()

    def __call__(self, done: int, total: int, note: str = "") -> None:
        if not log.is_terminal and time.monotonic() - self.spoken > QUIET_SECONDS:
            self.spoken = time.monotonic()
            far = f" {done:,}/{total:,}" if total else f" {done:,}" if done else ""
            say(f"{note}{far}")
        self.shown.update(self.task, completed=done, total=total, description=plain(note))
