"""Names that a message has no room for, whole, in files beside the prepared dataset."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import DataError

SHOWN = 20
"""Problems that an error spells out."""
PROBLEMS = "problems"
"""Under which name all of them are kept where there are more."""

_FILE = "{name}~{key}.txt"  # "~" stands in no dataset's name
_ODD = re.compile("[^a-z0-9_-]+")


@dataclass(frozen=True, kw_only=True)
class ListFile:
    """A list in its file.

    Attributes:
        what: such as ``missing images``.
        count: how many names there are.
        path: of the file, which holds a name a line.
    """

    what: str
    count: int
    path: Path

    def __str__(self) -> str:
        return f"all {self.count:,} {self.what}: {self.path}"


def clear(root: Path, name: str) -> None:
    """Remove the lists that an earlier prepare of `name` wrote."""
    for path in root.glob(_FILE.format(name=name, key="*")):
        path.unlink()


def keep(root: Path, name: str, lists: Mapping[str, Sequence[str]]) -> tuple[ListFile, ...]:
    """Write each list into a file of its own.

    Args:
        lists: by what they are; a plugin's text, which may not choose the folder.

    Raises:
        OSError: if they cannot be written.
    """
    files = []
    for key, names in lists.items():
        path = root / _FILE.format(name=name, key=_ODD.sub("-", key.lower())[:64] or "list")
        path.write_text("".join(f"{_line(each)}\n" for each in names), encoding="utf-8")
        files.append(ListFile(what=key.replace("-", " "), count=len(names), path=path))
    return tuple(files)


def spelled_out(error: DataError, root: Path, name: str, notes: Sequence[str]) -> DataError:
    """Return an error that tells the first of its problems, and the files that hold all of them and its lists.

    Where the files cannot be written, it is the error as it was.

    Args:
        notes: what may be the cause.
    """
    more = len(error.problems) - SHOWN
    lists = error.lists | ({PROBLEMS: error.problems} if more > 0 else {})
    try:
        files = keep(root, name, lists)
    except OSError:
        return error
    shown = error.problems if more <= 0 else (*error.problems[:SHOWN], f"and {more:,} more")
    text = "".join(f"\n  - {problem}" for problem in shown) + "".join(
        f"\n  {line}" for line in (*files, *notes)
    )
    told = DataError(error.headline + text, hint=error.hint)
    told.problems, told.lists = error.problems, error.lists
    return told


def _line(name: str) -> str:
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in name)
