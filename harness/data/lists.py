"""Names that a message has no room for, whole, in files beside the prepared dataset."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.data.checks import number
from harness.errors import DataError

SHOWN = 20
"""Problems that an error spells out."""
PROBLEMS = "problems"
"""Under which name all of them are kept where there are more."""

_FILE = "{name}~{key}.txt"  # "~" stands in no dataset's name
_ODD = re.compile("[^a-z0-9_-]+")


def clear(root: Path, name: str) -> None:
    """Remove the lists that an earlier prepare of `name` wrote."""
    for path in root.glob(_FILE.format(name=name, key="*")):
        path.unlink()


def keep(root: Path, name: str, lists: Mapping[str, Sequence[str]]) -> dict[str, Path]:
    """Write each list, a name a line; return the files by key.

    Args:
        lists: by what they are; a plugin's text, which may not choose the folder.

    Raises:
        OSError: if they cannot be written.
    """
    paths = {}
    for key, names in lists.items():
        path = root / _FILE.format(name=name, key=_ODD.sub("-", key.lower())[:64] or "list")
        path.write_text("".join(f"{_line(each)}\n" for each in names), encoding="utf-8")
        paths[key] = path
    return paths


def spelled_out(error: DataError, root: Path, name: str) -> DataError:
    """Return an error that tells the first of its problems, and the files that hold all of them and its lists.

    Where the files cannot be written, it is the error as it was.
    """
    more = len(error.problems) - SHOWN
    lists = error.lists | ({PROBLEMS: error.problems} if more > 0 else {})
    try:
        paths = keep(root, name, lists)
    except OSError:
        return error
    lines = list(error.problems[:SHOWN] if more > 0 else error.problems)
    if more > 0:
        lines.append(f"and {number(more, 'problem')} more, all in {paths.pop(PROBLEMS)}")
    text = "".join(f"\n  - {line}" for line in lines)
    text += "".join(f"\n  {in_full(key, path)}" for key, path in paths.items())
    told = DataError(error.headline + text, hint=error.hint)
    told.problems, told.lists = error.problems, error.lists
    return told


def in_full(key: str, path: Path) -> str:
    """Say where the names of a list are."""
    return f"{key.replace('-', ' ')} in full: {path}"


def _line(name: str) -> str:
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in name)
