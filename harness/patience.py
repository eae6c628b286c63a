"""How long a plugin may take to declare what it has: one that hangs must not hang every command."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from harness.errors import PluginError

LIMIT = "HARNESS_PLUGIN_SECONDS"
"""Environment variable: the seconds that each plugin has to load; unset means `SECONDS`."""
SECONDS = 60.0


class HangError(BaseException):
    """A plugin took too long to load. Not an `Exception`, which its own code may catch."""


def patience() -> float:
    """Return the seconds that each plugin has.

    Raises:
        PluginError: if the environment names no such number.
    """
    text = os.environ.get(LIMIT, "")
    try:
        seconds = float(text or SECONDS)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= 1e6:
        raise PluginError(
            f"{LIMIT}: {text!r} is no number of seconds above 0 and up to 1e6",
            hint=f"Correct or unset {LIMIT}.",
        )
    return seconds


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Interrupt what runs within after so many seconds, and again after as many where that was caught.

    Nothing is limited outside the main thread, where the system has no such signal, or where somebody else uses it.

    Raises:
        HangError: in the code that runs within, once it is back in Python.
    """
    if not _free():
        yield
        return
    waiting = True

    def interrupt(number: int, frame: FrameType | None) -> None:
        if waiting:
            raise HangError(f"did not load within {seconds:g} s, which {LIMIT} can change")

    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
        yield
    finally:
        waiting = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def _free() -> bool:
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        return False
    # None: a handler that was installed by C, which could not be put back.
    return signal.getsignal(signal.SIGALRM) is not None and not any(signal.getitimer(signal.ITIMER_REAL))
