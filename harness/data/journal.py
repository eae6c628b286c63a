"""What an interrupted prepare has seen of image files, so that the next one need not decode them again."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

from harness.data.images import Inspection, inspect


class Journal:
    """Inspections of one source folder, a line each as soon as it is made; for several threads.

    What is reused is held to the file's size and time, as where nothing changed since the last prepare. Lines of other
    versions of the harness or of Pillow, of another folder, and a last line that was cut off count for nothing.

    Args:
        path: of the journal; it is made or continued.
        source: real path of the folder that holds the images.

    Raises:
        OSError: if it cannot be written.
    """

    def __init__(self, path: Path, source: Path) -> None:
        self.path = path
        self._of = [version("retrieval-harness"), version("pillow"), str(source)]
        self._seen: dict[str, Inspection] = {}
        self._lock = threading.Lock()
        old = path.read_bytes() if path.is_file() else b""
        for line in old.split(b"\n"):
            self._read(line)
        self._file = path.open("a", encoding="utf-8", buffering=1)
        if old and not old.endswith(b"\n"):
            self._file.write("\n")

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def inspect(self, file: str, path: Path) -> Inspection:
        """Return what was seen of a file that is as it was, else decode it and write that down.

        Args:
            file: path below the source folder.
            path: where that is.

        Raises:
            ImageError: as `harness.data.images.inspect` does; nothing is written down.
        """
        known = self._seen.get(file)
        if known is not None and _stamp(path) == (known.size, known.mtime_ns):
            return known
        found = inspect(path)
        line = json.dumps([self._of, file, asdict(found)])
        with self._lock:
            self._file.write(f"{line}\n")
        return found

    def _read(self, line: bytes) -> None:
        try:
            of, file, told = json.loads(line)
            if of == self._of and isinstance(file, str):
                self._seen[file] = _inspection(**told)
        except (ValueError, TypeError):
            return


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


def _inspection(
    *, sha256: str, size: int, mtime_ns: int, width: int, height: int, remarks: list[Any]
) -> Inspection:
    return Inspection(
        sha256=sha256, size=size, mtime_ns=mtime_ns, width=width, height=height, remarks=tuple(remarks)
    )
