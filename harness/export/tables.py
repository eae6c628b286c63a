"""A table of the leaderboards in the forms that other programs read: csv, HTML, LaTeX, JSON.

Texts of other people stay texts in each: a spreadsheet computes no formula of theirs, a browser and LaTeX read no
markup of theirs, and nothing invisible is left in them. JSON alone has them as they are, its own signs for what is
not ASCII.
"""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Callable, Sequence

from harness.leaderboard.benchmark import Benchmark, Cell, deviation, kind, paths, source
from harness.leaderboard.groups import Group, short
from harness.leaderboard.markdown import plain, tabulated
from harness.leaderboard.published import NONE, Published
from harness.leaderboard.tables import COLUMNS, HEADER, Line, certainty, parameters, shown, training

FORMULAS = tuple("=+-@＝＋－＠")  # noqa: RUF001 - spreadsheets take the wide ones for the others
"""What a spreadsheet takes for the beginning of a formula."""
# In many countries a spreadsheet splits at semicolons, and quotes that do not begin a cell protect nothing there.
_BEGINS = re.compile(rf'(?:^|[;|])[\s"]*(?=[{re.escape("".join(FORMULAS))}])')
_WHOLE = 10**9
_FIGURES = (*HEADER[3:12], "std")
_RIGHT = range(4, 4 + len(_FIGURES))
_LATEX = str.maketrans(
    {
        "–": "--",
        "±": r"$\pm$",
        "°": r"$^\circ$",
        "§": r"\S{}",
        "†": r"\dag{}",
        "‡": r"\ddag{}",
        "×": r"$\times$",
        "…": r"\ldots{}",
        "⟨": r"$\langle$",
        "⟩": r"$\rangle$",
    }
)
_STYLE = (
    "body{font-family:sans-serif;margin:2em}table{border-collapse:collapse;font-size:90%}"
    "th,td{padding:.2em .6em;text-align:left;border-bottom:1px solid #ccc}"
    "td:nth-child(2){min-width:16em}td.figure,th.figure{text-align:right;white-space:nowrap}tr.measured,tr.imported{font-weight:bold}"
)
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
<p>{about}</p>
<table>
<thead>
{head}
</thead>
<tbody>
{body}
</tbody>
</table>
<ul>
{notes}
</ul>
</body>
</html>
"""


def as_csv(table: Benchmark) -> str:
    """Write the records with a header: figures as numbers, nothing where none is known, UTF-8 text.

    An apostrophe stands before what a spreadsheet would take for a formula, be it split at commas, at ``;`` or ``|``.
    """
    records = table.records()
    written = io.StringIO()
    writer = csv.DictWriter(written, fieldnames=list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: harmless(cell) for key, cell in record.items()} for record in records)
    return written.getvalue()


def harmless(cell: Cell) -> Cell:
    """Return a cell of a csv that no spreadsheet computes; numbers stay what they are."""
    if not isinstance(cell, str):
        return cell
    return _BEGINS.sub(r"\g<0>'", plain(cell, _WHOLE))


def as_json(table: Benchmark) -> str:
    """Write the records with title and notes, in ASCII."""
    whole = {
        "table": table.name,
        "title": table.title,
        "about": table.about,
        "notes": table.notes,
        "rows": table.records(),
    }
    return json.dumps(whole, indent=1, allow_nan=False) + "\n"


def as_html(table: Benchmark) -> str:
    """Write a page that loads nothing and runs nothing."""
    header = ["Kind", *HEADER[:3], *_FIGURES, *HEADER[12:17], "source", "passport"]
    right = {*_RIGHT, *range(_RIGHT.stop, _RIGHT.stop + 5)} - {header.index("group")}
    rows = [
        f'<tr class="{kind(line)}">{_html_cells([*_cells(line), *_more(line)], right, "td")}</tr>'
        for line in table.lines
    ]
    return _PAGE.format(
        title=_escaped(table.title),
        about=_escaped(table.about, _WHOLE),
        style=_STYLE,
        head=f"<tr>{_html_cells(header, right, 'th')}</tr>",
        body="\n".join(rows),
        notes="\n".join(f"<li>{_escaped(note, _WHOLE)}</li>" for note in table.notes),
    )


def as_latex(table: Benchmark) -> str:
    """Write a tabular for the package booktabs, its legend as comments.

    Texts in other letters than Latin ones need XeLaTeX or LuaLaTeX.
    """
    header = ["Kind", *HEADER[:3], *_FIGURES, "seeds"]
    rows = [[*_cells(line), _seeds(line)] for line in table.lines]
    right = {*_RIGHT, len(header) - 1}
    written = tabulated(header, [[plain(cell) for cell in row] for row in rows], right, "latex_booktabs")
    comments = [table.title, table.about, *table.notes, "Needs \\usepackage{booktabs}."]
    # What LaTeX would join into a dash stays two signs.
    while "--" in written:
        written = written.replace("--", "-{}-")
    return "".join(f"% {plain(text, _WHOLE)}\n" for text in comments) + written.translate(_LATEX) + "\n"


FORMS: dict[str, Callable[[Benchmark], str]] = {
    "csv": as_csv,
    "html": as_html,
    "latex": as_latex,
    "json": as_json,
}
"""What writes a table, by the name of the form."""
ENDINGS = {".csv": "csv", ".html": "html", ".htm": "html", ".tex": "latex", ".json": "json"}
"""The form of a file, by the ending of its name."""


def _cells(line: Line) -> list[str]:
    """Return what every form for people shows of a line, as the page has it."""
    spread = deviation(line.rsum)
    marks = line.row.marks if isinstance(line.row, Published) else ""
    return [
        kind(line),
        f"{line.name} {marks}".rstrip(),
        *(text or NONE for text in paths(line)),
        *(shown(figure, column) for figure, column in zip(line.figures, COLUMNS, strict=True)),
        shown(line.rsum),
        NONE if spread is None else f"{spread:.1f}",
    ]


def _more(line: Line) -> list[str]:
    """Return interval, letters, seeds, parameters, training time, source and passport."""
    group = line.row if isinstance(line.row, Group) else None
    costs = [parameters(group), training(group)] if group else [NONE, NONE]
    passport = short(group.passport) if group else NONE
    return [*certainty(line.known), _seeds(line), *costs, source(line) or NONE, passport]


def _seeds(line: Line) -> str:
    return line.row.seeds if isinstance(line.row, Group) else NONE


def _html_cells(cells: Sequence[str], right: set[int], tag: str) -> str:
    opening = [f'<{tag} class="figure">' if place in right else f"<{tag}>" for place in range(len(cells))]
    return "".join(f"{begin}{_escaped(cell)}</{tag}>" for begin, cell in zip(opening, cells, strict=True))


def _escaped(text: str, longest: int = 120) -> str:
    return html.escape(plain(text, longest))
