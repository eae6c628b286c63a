"""Groups of a report as rows of a table, for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Callable

from harness.bench.report import Group, Ratio, Report, Timed, reached
from harness.bench.rounds import Spread, spread

Row = tuple[str, ...]


def columns(group: Group) -> Row:
    """Return the heads of a group's columns."""
    rate = (f"{group.unit} a second",) if group.unit else ()
    return group.title, "time", *rate, *(("extra memory",) if _weighed(group) else ())


def rows(group: Group) -> list[Row]:
    """Return a row for every work."""
    return [_row(group, timed) for timed in group.timed]


def ratio_rows(group: Group) -> list[Row]:
    """Return ratio, its median with quartiles, and its goal, for every ratio."""
    return [
        (f"{ratio.over} / {ratio.under}", _quartiles(group.spread(ratio), plain), _goal(group, ratio))
        for ratio in group.ratios
    ]


def fact_rows(group: Group) -> list[Row]:
    """Return name and value of every fact."""
    return [(fact.name, fact.value) for fact in group.facts]


def section(report: Report) -> list[str]:
    """Render a report as lines of markdown, without its origin."""
    lines = [report.about]
    for group in report.groups:
        lines += ["", *markdown(group)]
    return lines


def markdown(group: Group) -> list[str]:
    """Render a group as tables."""
    lines = _table(columns(group), rows(group)) if group.timed else [f"**{group.title}**"]
    if group.ratios:
        lines += ["", *_table(("ratio", "median (quartiles)", "to reach"), ratio_rows(group))]
    if group.facts:
        lines += ["", *(f"- {name}: {value}" for name, value in fact_rows(group))]
    return lines


def _table(head: Row, body: list[Row]) -> list[str]:
    ruler = ("---", *["---:"] * (len(head) - 1))
    return [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in (head, ruler, *body)]


def _weighed(group: Group) -> bool:
    return any(timed.memory is not None for timed in group.timed)


def _row(group: Group, timed: Timed) -> Row:
    found = spread(timed.seconds)
    name = timed.name if timed.part == 1.0 else f"{timed.name} ({timed.part:.3g} of it timed)"
    cells = [name, _quartiles(found, clock)]
    if group.unit:
        rates = spread([group.amount / seconds for seconds in timed.seconds])
        cells.append(_quartiles(rates, plain))
    if _weighed(group):
        cells.append("" if timed.memory is None else f"{timed.memory / 2**20:,.0f} MB")
    return tuple(cells)


def _goal(group: Group, ratio: Ratio) -> str:
    wanted = [
        *([] if ratio.least is None else [f"at least {ratio.least:g}"]),
        *([] if ratio.most is None else [f"at most {ratio.most:g}"]),
    ]
    if not wanted:
        return ""
    return f"{', '.join(wanted)}: {'yes' if reached(ratio, group.spread(ratio).median) else 'no'}"


def _quartiles(found: Spread, style: Callable[[float], str]) -> str:
    if found.low == found.high:
        return f"{style(found.median)}"
    return f"{style(found.median)} ({style(found.low)}–{style(found.high)})"


def clock(seconds: float) -> str:
    """Return a time with three digits and its unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * scale >= 1 or unit == "µs":
            return f"{plain(seconds * scale)} {unit}"
    raise AssertionError("unreachable")


def plain(value: float) -> str:
    """Return a number with three digits, or whole from 1,000 on."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
