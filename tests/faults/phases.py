"""What a victim is doing, told to a file that outlives it, and its death at a named point; imported by the victim."""

from __future__ import annotations

import functools
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import durable

PHASES = ("train", "evaluate", "store", "render")
"""What a kill may fall into; what lies between them, planning and reading data, is told as ``else``."""


@dataclass(frozen=True)
class Watched:
    """The files that a victim under `watch` writes.

    Args:
        path: holds the phase it is in and how often it entered each.
    """

    path: Path

    @property
    def log(self) -> Path:
        """Holds each phase that came to its end, with its seconds."""
        return self.path.with_suffix(".log")

    def clear(self) -> None:
        """Forget the victim before."""
        self.path.write_bytes(_told("else", Counter()))

    def now(self) -> tuple[str, Counter[str]]:
        """Return the phase that the victim is, or was killed, in, and how often it entered each."""
        phase, *counts = self.path.read_text().split()
        return phase, Counter(dict(zip(PHASES, map(int, counts), strict=True)))

    def seconds(self) -> dict[str, list[float]]:
        """Return how long each passage of a phase took."""
        found: dict[str, list[float]] = {phase: [] for phase in PHASES}
        for line in self.log.read_text().splitlines():
            phase, seconds = line.split()
            found[phase].append(float(seconds))
        return found

    def before(self) -> str:
        """Return Python by which a victim tells its phases."""
        return f"from tests.faults import phases\nphases.watch({str(self.path)!r})\n"


def _told(phase: str, entered: Counter[str]) -> bytes:
    return " ".join([phase, *(str(entered[each]) for each in PHASES)]).ljust(64).encode()


def watch(path: str) -> None:
    """Tell the file, which `Watched.clear` made, whenever this process enters or leaves a phase."""
    from harness.execute import local, rows, run
    from harness.store import Store

    file, log = os.open(path, os.O_RDWR), Watched(Path(path)).log
    now, entered = ["else"], Counter[str]()

    def tell(phase: str) -> None:
        now[0] = phase
        os.pwrite(file, _told(phase, entered), 0)

    def mark(owner: Any, name: str, phase: str) -> None:
        real = getattr(owner, name)

        @functools.wraps(real)
        def marked(*positional: Any, **named: Any) -> Any:
            before, begun = now[0], time.monotonic()
            if before == "train":  # it evaluates val, too
                return real(*positional, **named)
            entered[phase] += 1
            tell(phase)
            try:
                return real(*positional, **named)
            finally:
                tell(before)
                with log.open("a") as lines:
                    lines.write(f"{phase} {time.monotonic() - begun}\n")

        setattr(owner, name, marked)

    mark(run, "train", "train")
    for name in ("embed", "rank", "efficiency"):
        mark(run, name, "evaluate")
    mark(local, "score", "evaluate")
    mark(Store, "_replace", "store")
    mark(rows, "publish_rows", "render")


def record(path: str) -> None:
    """Write down every named point that this process passes."""

    def failpoint(name: str) -> None:
        with open(path, "a", encoding="utf-8") as file:
            file.write(name + "\n")

    durable.failpoint = failpoint


def die_at(name: str, passage: int) -> None:
    """Be killed when the named point is passed for the given time, counted from 1."""
    left = [passage]

    def failpoint(passed: str) -> None:
        left[0] -= passed == name
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    durable.failpoint = failpoint
