"""The files that parameters name, and what stands for them in a fingerprint."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.errors import RegistryError
from harness.plan.records import File
from harness.registry import FILE, expand, file_path


def files_of(params: Mapping[str, Any], folder: Path) -> dict[str, File]:
    """Find and hash the files of all ``file:`` values; a relative path is below `folder`.

    Raises:
        RegistryError: if a variable is not set, or there is no such file; or a value without ``file:`` is the
            path of a file, whose content no fingerprint would hold.
    """
    found = {}
    for key, value in _values(params):
        if not value.startswith(FILE):
            _refuse_file(key, value, folder)
        else:
            path = file_path(value, folder)
            state = path.stat()
            found[value] = File(path=path, sha256=_sha256(path, state.st_size, state.st_mtime_ns))
    return found


def _refuse_file(key: str, value: str, folder: Path) -> None:
    variable = "${" in value
    # A word such as `package` or `random` is no path, even where a file is called so.
    if not (variable or os.sep in value or Path(value).suffix):
        return
    try:
        text = os.path.expanduser(expand(value))
    except RegistryError:  # a variable that is not set: told when the parameters are checked
        return
    for place in (folder, Path.cwd()):
        path = (place / text).absolute()
        if os.path.isfile(path):  # unlike Path.is_file, it takes any text
            written = value if place == folder or os.path.isabs(text) else str(path)
            raise RegistryError(
                f"parameter {key!r} is {value!r}, which names {path}: without {FILE!r} its content would not "
                "enter the fingerprint",
                hint=f'Write "{FILE}{written}"',
            )


def _values(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _values(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from _values(item, f"{key}[{position}]")


@lru_cache(maxsize=256)
def _sha256(path: Path, size: int, changed: int) -> str:
    """Hash a file once a process, as long as its size and time of change stay."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
