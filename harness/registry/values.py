"""Values that the environment completes: ``${VAR}`` and ``file:PATH``."""

from __future__ import annotations

import os
import re
from pathlib import Path

from harness.errors import RegistryError

FILE = "file:"
"""Begins a value that names a file: its content, not its path, enters a fingerprint."""

_VARIABLE = re.compile(r"\$\{([^}]*)\}")


def expand(text: str) -> str:
    """Replace each ``${VAR}`` by its value in the environment.

    Raises:
        RegistryError: names a variable that is not set.
    """

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise RegistryError(
                f"{text!r} needs the environment variable {name!r}, which is not set",
                hint=f"Set it: export {name}=...",
            )
        return os.environ[name]

    return _VARIABLE.sub(value, text)


def file_path(value: str, folder: Path) -> Path:
    """Return the absolute path of a ``file:`` value; a relative one is below `folder`.

    Raises:
        RegistryError: if a variable is not set, or there is no such file.
    """
    path = (folder / Path(expand(value.removeprefix(FILE))).expanduser()).absolute()
    if not path.is_file():
        raise RegistryError(f"{value!r} names {path}, which is not a file")
    return path
