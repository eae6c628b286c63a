"""Where the threads of a process are, told to whoever asks by a signal, also where C code does not return."""

from __future__ import annotations

import faulthandler
import os
import signal
import time
from pathlib import Path
from typing import IO

FOLDER = "HARNESS_STACKS"
"""Environment variable: where a process and those that it starts write their stacks when they are asked."""

_files: list[IO[str]] = []


def show_stacks_when_asked() -> None:
    """Write the stacks of all threads at SIGUSR1."""
    folder = os.environ.get(FOLDER)
    if not folder:
        return
    file = Path(folder, f"{os.getpid()}.txt").open("w", encoding="utf-8")  # noqa: SIM115 - as long as the process
    _files.append(file)
    faulthandler.register(signal.SIGUSR1, file=file, all_threads=True)


def read_stacks(folder: Path, seconds: float) -> str:
    """Return what processes wrote, once it grows no more, or after so many seconds."""
    end, before = time.monotonic() + seconds, ""
    while True:
        time.sleep(0.3)
        files = sorted(folder.glob("*.txt"))
        found = [(file.stem, file.read_text(encoding="utf-8", errors="replace")) for file in files]
        text = "\n".join(f"process {name}\n{stack}" for name, stack in found if stack)
        if (text and text == before) or time.monotonic() > end:
            return text or "(it did not answer)"
        before = text
