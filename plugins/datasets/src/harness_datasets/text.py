"""Reading annotation files as text."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

TOLD = 5
"""Names that a message lists of many."""


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
