"""Text of other people inside markdown, and tables of it."""

from __future__ import annotations

import unicodedata
from collections.abc import Container, Sequence

LONGEST = 120
"""Characters of a name that a table shows."""

_ENTITIES = {
    **{character: f"&#{ord(character)};" for character in "|`$@"},
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    **{character: f"\\{character}" for character in "\\*_[]~#!"},
}


def plain(text: str, longest: int = LONGEST) -> str:
    """Return one line that shows what it holds: spaces for line breaks, ``⟨U+202E⟩`` for the invisible."""
    line = "".join(_visible(character) for character in " ".join(text.split()))
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _visible(character: str) -> str:
    # Cc control, Cf bidi and zero-width, Cs lone surrogate, Co private, Zl and Zp line breaks.
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"):
        return f"⟨U+{ord(character):04X}⟩"
    return character


def escape(text: str, longest: int = LONGEST) -> str:
    """Return a text that stays itself in a cell or paragraph of markdown: no markup, HTML or link."""
    escaped = "".join(_ENTITIES.get(character, character) for character in plain(text, longest))
    return escaped.replace("://", ":&#47;&#47;").replace("www.", "www&#46;")


def fence(text: str, language: str = "sh") -> str:
    """Return a code block that its content cannot end."""
    lines = ["".join(_visible(c) for c in line) for line in text.split("\n")]
    ticks = "```"
    while any(ticks in line for line in lines):
        ticks += "`"
    return "\n".join([f"{ticks}{language}", *lines, ticks])


def pipe_table(header: Sequence[str], rows: Sequence[Sequence[str]], figures: Container[int]) -> str:
    """Return a markdown table of cells that are escaped already; `figures` are the columns to align right."""
    return tabulated(header, rows, figures, "pipe")


def tabulated(
    header: Sequence[str], rows: Sequence[Sequence[str]], figures: Container[int], form: str
) -> str:
    """Return a table in one of tabulate's formats; `figures` are the columns to align right."""
    import tabulate

    align = ["right" if column in figures else "left" for column in range(len(header))]
    # Its width of wide characters depends on whether another package is installed; the bytes must not.
    before, tabulate.WIDE_CHARS_MODE = tabulate.WIDE_CHARS_MODE, False
    try:
        return tabulate.tabulate(
            rows, headers=header, tablefmt=form, colalign=align if rows else None, disable_numparse=True
        )
    finally:
        tabulate.WIDE_CHARS_MODE = before
