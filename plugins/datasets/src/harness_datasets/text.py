"""Reading annotation files as text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

TOLD = 5
"""Names that a message lists of many."""


@dataclass(kw_only=True)
class Told:
    """What a dataset says of the files that it read.

    Attributes:
        problems: what is wrong.
        notes: what was left out or decided.
        lists: names in full where a problem or note tells the first few.
    """

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    lists: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def listed(self, key: str, names: Iterable[str]) -> str:
        """Return the first few names, and where there are more keep all of them under a key."""
        everything = tuple(names)
        if len(everything) > TOLD:
            self.lists[key] = everything
        return listed(everything)


def read_text(path: Path, problems: list[str]) -> str:
    """Return the text of a UTF-8 file; where it is not, add the line to `problems` and return no text."""
    try:
        data = path.read_bytes()
    except OSError as error:
        problems.append(f"{path.name}: cannot be read ({error.strerror})")
        return ""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problems.append(f"{path.name}:{line}: not UTF-8 (byte 0x{data[error.start]:02x})")
        return ""


def number(n: int, noun: str) -> str:
    """Return a count with its noun, such as ``1 line`` or ``5 lines``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def listed(names: Iterable[str]) -> str:
    """Return the first few names, and dots where there are more."""
    everything = list(names)
    return ", ".join(everything[:TOLD]) + (", ..." if len(everything) > TOLD else "")
