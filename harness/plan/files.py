"""The files that parameters name, and what stands for them in a fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.plan.records import File
from harness.registry import FILE, file_path


def files_of(params: Mapping[str, Any], folder: Path) -> dict[str, File]:
    """Find and hash the files of all ``file:`` values; a relative path is below `folder`.

    Raises:
        RegistryError: if a variable is not set, or there is no such file.
    """
    found = {}
    for value in _values(params):
        if value.startswith(FILE):
            path = file_path(value, folder)
            state = path.stat()
            found[value] = File(path=path, sha256=_sha256(path, state.st_size, state.st_mtime_ns))
    return found


def _values(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _values(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _values(item)


@lru_cache(maxsize=256)
def _sha256(path: Path, size: int, changed: int) -> str:
    """Hash a file once a process, as long as its size and time of change stay."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
