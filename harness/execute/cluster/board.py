"""What the tasks of a plan and the process that gave them out tell each other."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from signal import SIGTERM
from typing import Any, Literal

Event = tuple[Any, ...]
Answer = Literal["go", "stopped", "closed", "lost"]


class Board:
    """An actor: events of tasks, until they are taken; a signal that asks for the end; which runs may begin.

    Args:
        times: that a run may begin. It begins anew where its worker was lost. Ray counts that, too, but not where it
            killed the worker itself for want of memory: it would do so without end.
    """

    def __init__(self, times: int) -> None:
        self.times = times
        self.events: list[Event] = []
        self.begun: dict[int, int] = {}
        self.signal, self.closed = 0, False

    def tell(self, *event: Any) -> None:
        """Add an event: its kind, the number of the run, and what belongs to it."""
        self.events.append(event)

    def take(self) -> list[Event]:
        """Return the events since the last call."""
        taken, self.events = self.events, []
        return taken

    def begin(self, number: int, *, whatever: bool) -> Answer:
        """Say whether a run may begin, and enter that it does.

        Args:
            whatever: it may, though no other does.

        Returns:
            ``stopped`` after a signal, ``closed`` where no other is to begin, ``lost`` if it began too often.
        """
        if self.signal:
            return "stopped"
        if self.closed and not whatever:
            return "closed"
        begun = self.begun.get(number, 0)
        if begun == self.times:
            return "lost"
        self.begun[number] = begun + 1
        self.tell("started", number)
        return "go"

    def close(self) -> None:
        """Let no other run begin."""
        self.closed = True

    def stop(self, signal: int) -> set[int]:
        """Ask all for the end; return those that began. No other will."""
        self.signal = signal
        return set(self.begun)

    def asked(self) -> int:
        """Return the signal that asks for the end, or 0."""
        return self.signal


class Teller:
    """A `harness.execute.Listener` of one task; what it tells is heard where the plan was given out.

    Args:
        tell: gets events and does not wait.
        number: of the run.
    """

    SECONDS = 0.5
    """Between two events of progress, except for the last of a phase."""

    def __init__(self, tell: Callable[..., Any], number: int) -> None:
        self.tell, self.number, self.last = tell, number, 0.0

    def started(self, *_: Any) -> None:
        """Say nothing: the board knows."""

    def finished(self, *_: Any) -> None:
        """Say nothing: outcomes are returned."""

    def progress(self, phase: str, done: int, total: int, note: str) -> None:
        """Say how far a phase is, now and then."""
        now = time.monotonic()
        if done == total or now - self.last > self.SECONDS:
            self.last = now
            self.tell("progress", self.number, phase, done, total, note)

    def note(self, text: str) -> None:
        """Say something that a person should know."""
        self.tell("note", self.number, text)


class Asking:
    """Asks a board again and again whether the end is wanted, without making a training wait for the answer.

    Args:
        ask: returns a signal or 0; whatever it raises means that nobody is there any more.
    """

    SECONDS = 0.5

    def __init__(self, ask: Callable[[], int]) -> None:
        self.ask, self.signal = ask, ask()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._again, daemon=True)

    def __call__(self) -> int:
        return self.signal

    def __enter__(self) -> Asking:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()

    def _again(self) -> None:
        while not self.signal and not self.over.wait(self.SECONDS):
            answer: int = SIGTERM
            with contextlib.suppress(Exception):
                answer = self.ask()
            self.signal = answer
