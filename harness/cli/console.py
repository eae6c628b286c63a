"""What is printed: tables and JSON on standard output, everything else on standard error."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import textwrap
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.errors import HarnessError

WIDTH = 120  # of tables in a file or a pipe, which have no width of their own
PROSE = 30
"""To which width a column of text is folded before figures are broken into lines."""


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDTH
    return console


log = _console(stderr=True)
out = _console(stderr=False)


def plain(text: object) -> str:
    """Return other people's text without what would steer a terminal: control and bidi characters are escaped."""
    return "".join(
        char
        if char == "\n" or unicodedata.category(char) not in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")
        else f"\\u{ord(char):04x}"
        for char in str(text)
    )


def say(text: object, style: str = "") -> None:
    """Print one message on standard error; no markup is read."""
    log.print(Text(plain(text), style=style), soft_wrap=True)


@contextlib.contextmanager
def busy(text: str) -> Iterator[None]:
    """Say on a terminal what is being done, at once and until it is; elsewhere nothing."""
    if not log.is_terminal:
        yield
        return
    from rich.live import Live
    from rich.spinner import Spinner

    # Unlike a status of rich, it is shown before the next import begins.
    shown = Spinner("line", text=Text(plain(text)))
    with Live(shown, console=log, transient=True, refresh_per_second=8, redirect_stdout=False):
        yield


def complain(error: HarnessError) -> None:
    """Print an error with its hint."""
    log.print(
        Text("error: ", style="bold red").append(Text(plain(error.args[0]), style="not bold default")),
        soft_wrap=True,
    )
    if error.hint:
        say(f"  {error.hint}", style="cyan")


def table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    numeric: int = 10**6,
    whole: Collection[str] = (),
) -> None:
    """Print a table on standard output; where the terminal is narrow, columns of figures are broken into lines.

    Args:
        numeric: columns from this position on are aligned to the right.
        whole: names of other columns that are not folded where the terminal is narrow, since people copy from them.
    """
    drawn = Table(title=Text(plain(title)) if title else None, title_justify="left", title_style="bold")
    names = [*columns]
    folding = {place for place, name in enumerate(columns) if place < numeric and name not in whole}
    if not _fits(names, rows, folding):
        names[numeric:] = [_broken(name, rows, numeric + place) for place, name in enumerate(names[numeric:])]
    fits = _fits(names, rows, folding)
    for position, column in enumerate(columns):
        right = position >= numeric
        # Rather two lines than a figure cut off; a number without a space is never broken.
        one_line = right and (fits or not any(" " in str(row[position]) for row in rows))
        drawn.add_column(
            Text(plain(names[position])),
            justify="right" if right else "left",
            overflow="fold",
            no_wrap=one_line or column in whole,
        )
    for row in rows:
        drawn.add_row(*(cell if isinstance(cell, Text) else Text(plain(cell)) for cell in row))
    out.print(drawn)


def _fits(columns: Sequence[str], rows: Sequence[Sequence[object]], folding: Collection[int]) -> bool:
    """Tell whether a table fits into the terminal, its lines and margins too, with `folding` columns of prose."""
    widths = _widths(columns, rows)
    told = [min(width, PROSE) if place in folding else width for place, width in enumerate(widths)]
    return sum(told) + 3 * len(told) + 1 <= out.width


def _widths(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[int]:
    """Return the width of each column whose cells are not folded."""
    lines = [[column, *(str(row[place]) for row in rows)] for place, column in enumerate(columns)]
    return [max(cell_len(part) for text in texts for part in text.split("\n")) for texts in lines]


def _broken(column: str, rows: Sequence[Sequence[object]], place: int) -> str:
    """Return the name of a column in lines as narrow as its cells and its longest word allow."""
    words = column.split() or [""]
    cells = _widths([max(words, key=cell_len)], [[row[place]] for row in rows])
    return textwrap.fill(column, cells[0], break_long_words=False, break_on_hyphens=False)


def emit(value: Any) -> None:
    """Print JSON on standard output."""
    json.dump(value, sys.stdout, indent=1, sort_keys=True, allow_nan=False)
    sys.stdout.write("\n")
