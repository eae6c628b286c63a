"""The table of one benchmark: published and measured rows in one order, with what a reader needs of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from harness.leaderboard.groups import Group, Statistic, mark, names, passport_letters, short
from harness.leaderboard.markdown import escape, pipe_table
from harness.leaderboard.published import NONE, Figure, Published, mark_notes
from harness.leaderboard.questions import protocol_lines
from harness.leaderboard.uncertainty import Certainty, Uncertainty

_Number = TypeVar("_Number", int, float)

COLUMNS = tuple(
    f"{side}.{name}"
    for side in ("i2t", "t2i")
    for name in ("recall@1", "recall@5", "recall@10", "median_rank")
)
HEADER = (
    *(
        "Method",
        "Visual",
        "Textual",
        "i2t R@1",
        "R@5",
        "R@10",
        "MedR",
        "t2i R@1",
        "R@5",
        "R@10",
        "MedR",
        "rSum",
    ),
    *("95 %", "group", "seeds", "parameters", "training", "epochs", "source", "Δ published", "passport"),
)
_NUMERIC = frozenset((*range(3, 13), *range(14, 17)))
EVALUATOR = "recall"
"""Name in registry.yaml of the evaluator whose figures stand where a page names no other."""
IMPORTED = "imported"
"""Matrix of rows whose embeddings or ranks another code wrote."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the table.

    Attributes:
        cells: as the page has them.
        r1: what it is sorted by.
        row: the published row or the measured group.
        name: tells it from the other lines.
        figures: those of `COLUMNS`, in percent or as ranks.
        rsum: in percent.
        known: of a measured row's rSum.
    """

    cells: tuple[str, ...]
    r1: float
    row: Published | Group
    name: str
    figures: tuple[Figure | Statistic | None, ...]
    rsum: Figure | Statistic | None
    known: Certainty


def benchmark_table(lines: Sequence[Line]) -> str:
    """Render the lines of a benchmark."""
    return pipe_table(HEADER, [line.cells for line in lines], figures=_NUMERIC)


def benchmark_lines(
    published: Sequence[Published],
    groups: Sequence[Group],
    evaluator: str,
    certain: Uncertainty,
    difference: Callable[[Group], str],
) -> list[Line]:
    """Return the lines of the table, best sum of both R@1 first: of all figures only these two are known of every row.

    Args:
        certain: intervals and letters of the groups.
        difference: what a group's rSum is above that of the published row that it repeats, as text.
    """
    letters = passport_letters(groups)
    lines = [_published(row) for row in published]
    for group, name in zip(groups, names(groups), strict=True):
        lines.append(_measured(group, name, evaluator, letters, certain.of(group), difference(group)))
    return sorted(lines, key=lambda line: (-line.r1, line.cells))


def legend(
    published: Sequence[Published],
    groups: Sequence[Group],
    split_note: str,
    evaluator: str,
    tested: Sequence[int],
) -> list[str]:
    """Explain what stands in the table, only what does; `tested` pairs were compared, as `Uncertainty` has them."""
    pairs = (
        "group: rows that share a letter cannot be told apart by rSum at 5 %: paired tests over images and "
        f"seeds (one variance between seeds, pooled over the rows), {corrected(tested)}."
        if tested
        else ""
    )
    notes = [
        "Sorted by the sum of both R@1. Recalls in percent; "
        f"{NONE} is a figure that the source does not give."
    ]
    if published:
        notes.append("rSum of a published row is computed here, only where all six recalls are given.")
        notes += mark_notes(published, split_note)
    if groups:
        notes.append(
            "**Measured** rows are in bold: ties lose (pessimistic), the epoch is the best on val, test "
            "is read once."
        )
        notes += [INTERVAL, pairs] if pairs else []
        notes.append("training: wall-clock time of the last stage; other work on the machine lengthens it.")
    if any(group.first.matrix == IMPORTED for group in groups):
        notes.append(
            "imported: another code wrote embeddings or ranks, and they were scored here; how it was trained and "
            "its epoch chosen, nobody checked."
        )
    if any(len(group.rows) > 1 for group in groups):
        notes.append(
            "More than one seed: figures are means over seeds, ± is their standard deviation (n - 1)."
        )
    if any(" of " in group.seeds for group in groups):
        notes.append("seeds, 2 of 3: the others failed and are in no mean; they stand under Failed.")
    return notes + protocol_lines(groups, evaluator)


def corrected(tested: Sequence[int]) -> str:
    """Say over how many pairs p-values were corrected, for each set of rows that were asked the same."""
    numbers = " and ".join(f"{pairs:,}" for pairs in tested)
    if len(tested) == 1:
        return f"corrected for {numbers} {'pairs' if tested[0] > 1 else 'pair'} (Holm)"
    return (
        f"corrected for {numbers} pairs (Holm), each set for itself: rows of different galleries, pixels, scores or "
        "evaluators were not compared, and share no letter"
    )


INTERVAL = (
    "95 %: interval of rSum over the test images (bootstrap, the captions of an image move together). It says "
    "nothing of other seeds."
)


def _published(row: Published) -> Line:
    mark = f" {row.marks}" if row.marks else ""
    source = f"published: [{escape(row.file)}](published/{row.file}), {escape(row.certainty)}"
    return Line(
        cells=(
            escape(row.method) + mark,
            escape(row.visual) or NONE,
            escape(row.textual) or NONE,
            *(shown(row.figures[name], name) for name in COLUMNS),
            shown(row.rsum),
            *(NONE,) * 6,
            source,
            *(NONE, NONE),
        ),
        r1=sum(float(row.figures[f"{side}.recall@1"].text or 0.0) for side in ("i2t", "t2i")),
        row=row,
        name=row.method,
        figures=tuple(row.figures[name] for name in COLUMNS),
        rsum=row.rsum,
        known=Certainty(),
    )


def certainty(known: Certainty) -> tuple[str, str]:
    """Return the cells of the interval and of the letters."""
    interval = known.interval
    reach = NONE if interval is None else f"{interval.low:.1f} to {interval.high:.1f}"
    return reach, known.letters or NONE


def _measured(
    group: Group, name: str, evaluator: str, letters: dict[str, str], told: Certainty, difference: str
) -> Line:
    row, rsum = group.first, group.rsum(evaluator)
    figures = tuple(
        group.statistic(f"{evaluator}.{column}", 1.0 if column.endswith("rank") else 100.0)
        for column in COLUMNS
    )
    r1 = [
        figure.mean
        for figure, column in zip(figures, COLUMNS, strict=True)
        if figure and column.endswith("@1")
    ]
    return Line(
        cells=(
            f"**{escape(name)}**{mark(group, letters)}",
            escape(row.visual) or NONE,
            escape(row.textual) or NONE,
            *(shown(figure, column) for figure, column in zip(figures, COLUMNS, strict=True)),
            cell(rsum),
            *certainty(told),
            group.seeds,
            parameters(group),
            training(group),
            span(known(member.epochs for member in group.rows)),
            source(group),
            difference,
            f"`{short(group.passport)}`",
        ),
        r1=sum(r1),
        row=group,
        name=name,
        figures=figures,
        rsum=rsum,
        known=told,
    )


def shown(figure: Figure | Statistic | None, column: str = "") -> str:
    """Return a published figure with its marks, or the mean of a measured one; a dash where there is none."""
    if figure is None:
        return NONE
    if isinstance(figure, Figure):
        return figure.cell
    if column.endswith("rank"):
        return f"{round(figure.mean, 1):g}"
    return f"{figure.mean:.1f}"


def cell(figure: Statistic | None) -> str:
    """Return mean and standard deviation, or a dash where it is not known."""
    return NONE if figure is None else figure.text()


def source(group: Group) -> str:
    """Say where a measured row comes from."""
    if group.first.matrix != IMPORTED:
        return "measured"
    told = list(dict.fromkeys(row.source for row in group.rows if row.source))
    return f"imported: {escape('; '.join(told))}" if told else "imported"


def parameters(group: Group) -> str:
    """Return the trained parameters of all rows, or a dash where nobody told."""
    counts = known(row.parameters for row in group.rows)
    return spread([millions(count) for count in counts]) if counts else NONE


def training(group: Group) -> str:
    """Return the mean training time of the rows, or a dash where nobody told."""
    seconds = known(row.train_seconds for row in group.rows)
    return duration(sum(seconds) / len(seconds)) if seconds else NONE


def known(values: Iterable[_Number | None]) -> list[_Number]:
    """Return the values that are known."""
    return [value for value in values if value is not None]


def millions(count: int) -> str:
    """Return a number of parameters as the literature writes it: 36.3 M."""
    return (
        f"{count / 1e6:.1f} M"
        if count >= 100_000
        else f"{count / 1e3:.1f} k"
        if count >= 1000
        else str(count)
    )


def duration(seconds: float) -> str:
    """Return a training time with its unit: s below a minute, min below two hours, else h."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def span(counts: Sequence[int]) -> str:
    """Return ``40``, or ``40-55`` where the seeds differ, or a dash where nobody told."""
    if not counts:
        return NONE
    return str(min(counts)) if min(counts) == max(counts) else f"{min(counts)}-{max(counts)}"


def spread(texts: Sequence[str]) -> str:
    """Return the one text of all rows, or the first and last of several."""
    different = sorted(set(texts))
    return different[0] if len(different) == 1 else f"{different[0]} to {different[-1]}"
