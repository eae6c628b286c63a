"""All files of `leaderboards/` that are rendered, as a function of those that are not."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from harness.durable import durable
from harness.leaderboard.ablations import FILL, MATRIX, ablations_page, printed
from harness.leaderboard.attempts import Attempts
from harness.leaderboard.boards import SHAPES, Board, boards
from harness.leaderboard.curves import read_curves
from harness.leaderboard.drawings import CONFUSION, Curves, drawings, learning_curves
from harness.leaderboard.efficiency import efficiency_sections
from harness.leaderboard.failed import failed_sections, unmeasured
from harness.leaderboard.figures import fresh
from harness.leaderboard.groups import Group, grouped
from harness.leaderboard.judged import judged_sections
from harness.leaderboard.markdown import escape, fence, pipe_table
from harness.leaderboard.provenance import how_measured
from harness.leaderboard.ranks import Ranks
from harness.leaderboard.results import RESULTS, read_attempts, read_rows
from harness.leaderboard.rows import Row
from harness.leaderboard.tables import IMPORTED, benchmark_lines, benchmark_table, legend
from harness.leaderboard.twins import twin_table
from harness.leaderboard.uncertainty import Uncertainty

REFRESH = "harness leaderboard"
_NOTE = f"<!-- Rendered by `{REFRESH}` from results.jsonl and published/. Do not edit. -->"


def render(folder: Path) -> dict[str, str]:
    """Render every page and figure: path below `folder` -> text, the same bytes from the same files.

    Raises:
        InputError: if a published csv cannot be read.
        StoreError: if results.jsonl or the data of a learning curve is damaged.
    """
    rows, curves = read_rows(folder / RESULTS), read_curves(folder)
    files = _pages(folder, rows, curves, read_attempts(folder / RESULTS))
    files |= {name: drawing.draw() for name, drawing in drawings(rows, curves).items()}
    return files


def write(folder: Path) -> list[Path]:
    """Write what is stale; return the paths of all pages. A figure that is fresh keeps its bytes.

    Raises:
        InputError, StoreError: as `render`; or a file cannot be written.
    """
    rows, curves = read_rows(folder / RESULTS), read_curves(folder)
    pages = _pages(folder, rows, curves, read_attempts(folder / RESULTS))
    for name, text in pages.items():
        _replace(folder / name, text)
    for name, drawing in drawings(rows, curves).items():
        if not fresh(_read(folder / name), drawing.data):
            _replace(folder / name, drawing.draw())
    return [folder / name for name in sorted(pages)]


def check(folder: Path) -> list[str]:
    """Return a line for each file that is stale, changed by hand, missing or left over."""
    rows, curves = read_rows(folder / RESULTS), read_curves(folder)
    pages = _pages(folder, rows, curves, read_attempts(folder / RESULTS))
    figures = drawings(rows, curves)
    stale = []
    for name, text in sorted(pages.items()):
        found = _read(folder / name)
        if found != text:
            stale.append(f"{folder / name} is {_difference(found, text)}: refresh it with `{REFRESH}`")
    for name, drawing in sorted(figures.items()):
        found = _read(folder / name)
        if not fresh(found, drawing.data):
            fault = "stale or changed" if found else "missing"
            stale.append(f"{folder / name} is {fault}: refresh it with `{REFRESH}`")
    for pattern in ("*.md", "figures/*.svg", "curves/*.svg"):
        for path in sorted(folder.glob(pattern)):
            if path.relative_to(folder).as_posix() not in pages.keys() | figures.keys():
                stale.append(
                    f"{path} is rendered from nothing: remove it, with `git rm -f {path}` if git knows it"
                )
    for path in Ranks(folder).orphans(rows):
        stale.append(
            f"{path} belongs to no row of {RESULTS}: remove it, with `git rm -f {path}` if git knows it"
        )
    return stale


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def _replace(path: Path, text: str) -> None:
    if _read(path) != text:
        with durable(path) as file:
            file.write(text.encode("utf-8"))


def _difference(found: str, text: str) -> str:
    if not found:
        return "missing"
    pairs = zip(found.split("\n"), text.split("\n"), strict=False)
    number = next((n for n, (a, b) in enumerate(pairs, start=1) if a != b), found.count("\n") + 1)
    return f"stale (line {number} differs)"


def _pages(folder: Path, rows: Sequence[Row], curves: Curves, attempts: Sequence[Attempts]) -> dict[str, str]:
    pages, index, ranks = {}, [], Ranks(folder)
    # Beside a registry of one's own nothing is published: pages that would be empty are left out.
    whole = (folder / "published").is_dir()
    for board in boards([*rows, *attempts]):
        published = board.published(folder / "published")
        measured = [row for row in rows if board.holds(row)]
        tried = [one for one in attempts if board.holds(one)]
        if not whole and not measured and not unmeasured(tried):
            continue
        groups = grouped(measured, tried)
        sections = [f"# {escape(board.title)}", board.about]
        if published or groups:
            certain = Uncertainty(groups, board.evaluator, ranks)
            difference = partial(board.difference, published=published)
            notes = legend(published, groups, board.split_note, board.evaluator, certain.pairs)
            lines = benchmark_lines(published, groups, board.evaluator, certain, difference)
            sections += [
                benchmark_table(lines),
                "\n".join(f"- {note}" for note in notes),
            ]
        sections += judged_sections(groups) + efficiency_sections(groups)
        sections += failed_sections(measured, groups, tried)
        sections += ["## How the rows were measured", how_measured(measured, board.fill, tried)]
        sections += _twins(board, groups) + learning_curves(measured, curves)
        pages[board.file] = _page(sections)
        link = f"[{escape(board.title)}]({board.file})"
        # What another code wrote was not measured here.
        ours = [row for row in measured if row.matrix != IMPORTED]
        index.append([link, str(len(grouped(ours))), str(len(ours)), str(len(published))])
    own = [row for row in rows if row.matrix == MATRIX]
    if whole or own:
        pages["ablations.md"] = _page(ablations_page(rows, folder / "published", ranks, attempts))
        counts = [str(len(grouped(own))), str(len(own)), str(printed(folder / "published"))]
        index.append(["[Ablations](ablations.md)", *counts])
    own_matrices = sorted(({row.matrix for row in rows} | {one.matrix for one in attempts}) - {IMPORTED})
    fill = FILL if whole else [f"harness run --matrix {name}" for name in own_matrices]
    pages["README.md"] = _page(_index(index, fill, len(unmeasured(attempts)), whole=whole))
    return pages


def _page(sections: Sequence[str]) -> str:
    title, *others = sections
    return "\n\n".join([title, _NOTE, *others]) + "\n"


def _twins(board: Board, groups: Sequence[Group]) -> list[str]:
    table = twin_table(groups) if board is SHAPES else ""
    if not table:
        return []
    return [
        "## Which attribute confuses which model",
        "Share of near-twins that are confused, in percent, over both directions: a caption that fits the "
        "twin image as well or better, an image that fits the twin's captions as well or better. Chance is "
        "50, a tie counts as confusion.",
        table,
        f"![Share of near-twins confused, by attribute and method]({CONFUSION})",
    ]


def _index(rows: Sequence[Sequence[str]], fill: Sequence[str], failed: int, *, whole: bool) -> list[str]:
    source = (
        "; published rows are copied from the literature ([what is known of them](published/README.md))"
        if whole
        else ""
    )
    return [
        "# Leaderboards",
        f"Measured rows are runs of this harness{source}.",
        pipe_table(["Table", "measured methods", "measured runs", "published rows"], rows, figures=(1, 2, 3)),
        "- `results.jsonl` holds every measured run, one line a cell of a matrix: all figures, versions, "
        "hardware, command. A new run of a cell takes the place of the old one.\n"
        "- The passport is a hash of the protocol: image and caption ids, splits, test view, tie policy. "
        "Rows with different passports carry letters in brackets.\n"
        "- Runs with `--limit` stand in no table."
        + (
            f"\n- Cells whose last attempt failed: {failed}. Each page names its own, with the cause."
            if failed
            else ""
        ),
        "Fill the tables, render them again, or check that they are fresh:",
        fence("\n".join([*fill, REFRESH, f"{REFRESH} --check"])),
    ]
