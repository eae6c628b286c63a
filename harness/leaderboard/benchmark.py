"""The table of one benchmark as data: the lines of its page with their figures as numbers, for other forms of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.errors import InputError, nearest
from harness.leaderboard.boards import Board, boards
from harness.leaderboard.groups import Group, Statistic, grouped
from harness.leaderboard.published import LOST, WORDS, Figure, Published, mark_notes
from harness.leaderboard.ranks import Ranks
from harness.leaderboard.results import RESULTS, read_attempts, read_rows
from harness.leaderboard.tables import COLUMNS, IMPORTED, INTERVAL, Line, benchmark_lines, corrected, known
from harness.leaderboard.uncertainty import Uncertainty

Cell = str | int | float | None
KEYS = tuple(f"{side}_{name}" for side in ("i2t", "t2i") for name in ("r1", "r5", "r10", "medr"))
"""What the figures of a line are called in a record."""
DIGITS = 4
"""To which figures are rounded: far more than a seed or an image is worth."""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One table.

    Attributes:
        name: of its page, without its ending.
        lines: in the order of the page.
        notes: what a reader needs to know, a sentence or two each, without markup.
    """

    name: str
    title: str
    about: str
    lines: tuple[Line, ...]
    notes: tuple[str, ...]

    def records(self) -> list[dict[str, Cell]]:
        """Return a record a line, all with the same keys; ``None`` where nothing is known."""
        return [_record(line) for line in self.lines]


def benchmark(folder: Path, name: str) -> Benchmark:
    """Return a table by the name of its page.

    Args:
        folder: of the leaderboards.

    Raises:
        InputError: if no table has this name, or it has no row yet; if a published csv cannot be read.
        StoreError: if results.jsonl is damaged.
    """
    rows, attempts = read_rows(folder / RESULTS), read_attempts(folder / RESULTS)
    named = {board.file.removesuffix(".md"): board for board in boards([*rows, *attempts])}
    board = named.get(name.removesuffix(".md"))
    if board is None:
        raise InputError(
            f"no table {name!r} in {folder}{nearest(name, named)}",
            hint=f"There are: {', '.join(named)}. The rows of ablations.md stand in those of their datasets.",
        )
    published = board.published(folder / "published")
    tried = [one for one in attempts if board.holds(one)]
    groups = grouped([row for row in rows if board.holds(row)], tried)
    if not published and not groups:
        raise InputError(
            f"the table {name!r} in {folder} has no row yet",
            hint="\n".join(["These commands fill it:", *board.fill]),
        )
    certain = Uncertainty(groups, board.evaluator, Ranks(folder))
    difference = partial(board.difference, published=published)
    return Benchmark(
        name=board.file.removesuffix(".md"),
        title=board.title,
        about=board.about,
        lines=tuple(benchmark_lines(published, groups, board.evaluator, certain, difference)),
        notes=tuple(_notes(board, published, groups, certain.pairs)),
    )


def kind(line: Line) -> str:
    """Return ``published``, ``measured`` or ``imported``."""
    if isinstance(line.row, Published):
        return "published"
    return "imported" if line.row.first.matrix == IMPORTED else "measured"


def deviation(figure: Figure | Statistic | None) -> float | None:
    """Return the standard deviation over seeds; ``None`` for one seed, and for what is published."""
    return figure.sd if isinstance(figure, Statistic) and figure.n > 1 else None


def paths(line: Line) -> tuple[str, str]:
    """Return the image and the text path."""
    row = line.row if isinstance(line.row, Published) else line.row.first
    return row.visual, row.textual


def source(line: Line) -> str:
    """Say where a row comes from: the csv of a published one with what is known of it, an import's own words."""
    if isinstance(line.row, Published):
        return f"{line.row.file}: {line.row.certainty}"
    return "; ".join(dict.fromkeys(row.source for row in line.row.rows if row.source))


def _record(line: Line) -> dict[str, Cell]:
    visual, textual = paths(line)
    record: dict[str, Cell] = {
        "kind": kind(line),
        "method": line.name,
        "visual": visual or None,
        "textual": textual or None,
    }
    for key, figure in (*zip(KEYS, line.figures, strict=True), ("rsum", line.rsum)):
        record[key] = _number(figure)
        record[f"{key}_std"] = _rounded(deviation(figure))
    interval, group = line.known.interval, line.row if isinstance(line.row, Group) else None
    members = group.rows if group else ()
    return record | {
        "rsum_low": _rounded(interval.low) if interval else None,
        "rsum_high": _rounded(interval.high) if interval else None,
        "group": line.known.letters or None,
        "seeds": len(members) or None,
        "parameters": _mean(row.parameters for row in members),
        "training_seconds": _mean(row.train_seconds for row in members),
        "epochs": _mean(row.epochs for row in members),
        "passport": group.passport if group else None,
        "runs": " ".join(row.fingerprint for row in members) or None,
        "source": source(line) or None,
        "remarks": _remarks(line.row),
    }


def _number(figure: Figure | Statistic | None) -> float | None:
    if isinstance(figure, Figure):
        return float(figure.text) if figure.text else None
    return _rounded(figure.mean if figure else None)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


def _mean(values: Iterable[float | None]) -> float | None:
    told = known(values)
    if not told:
        return None
    mean = sum(told) / len(told)
    return int(mean) if mean.is_integer() else round(mean, DIGITS)


def _remarks(row: Published | Group) -> str | None:
    """Return the marks of a published row in words, as in ``i2t_r5 repaired``, or which seeds of a method failed."""
    if isinstance(row, Group):
        return f"{row.seeds} seeds, others failed" if row.seeds != str(len(row.rows)) else None
    told = [", ".join(_words(row.marks))] if row.marks else []
    for key, name in zip(KEYS, COLUMNS, strict=True):
        if row.figures[name].marks:
            told.append(f"{key} {', '.join(_words(row.figures[name].marks))}")
    return "; ".join(told) or None


def _words(marks: str) -> list[str]:
    return [WORDS[marks]] if marks == LOST else [word for mark, word in WORDS.items() if mark in marks]


def _notes(
    board: Board, published: Sequence[Published], groups: Sequence[Group], tested: Sequence[int]
) -> list[str]:
    notes = ["Recalls and rSum in percent, ranks from 1. Sorted by the sum of both R@1."]
    if published:
        notes.append("rSum of a published row is computed here, only where all six recalls are given.")
        notes += mark_notes(published, board.split_note)
    if groups:
        notes += [
            "Measured rows: ties lose (pessimistic), the epoch is the best on val, test is read once.",
            "Figures are means over seeds, std is their standard deviation (n - 1).",
        ]
    if any(group.first.matrix == IMPORTED for group in groups):
        notes.append(
            "Imported rows: another code wrote embeddings or ranks; how it was trained, nobody checked."
        )
    if tested:
        letters = "group: rows that share a letter cannot be told apart by rSum at 5 %"
        notes += [INTERVAL, f"{letters}, {corrected(tested)}."]
    if len({group.passport for group in groups}) > 1:
        notes.append("Rows of different passports were measured under different protocols.")
    return notes
