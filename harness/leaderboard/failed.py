"""Below a table: cells whose last attempt failed, with the cause. None of them is in any mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from harness.leaderboard.attempts import Attempts
from harness.leaderboard.groups import Group, names
from harness.leaderboard.markdown import escape, pipe_table
from harness.leaderboard.published import NONE
from harness.leaderboard.rows import Row

LONGEST = 300
"""Characters of a cause that a page shows."""
_HEADER = ("Method", "Cell", "failed", "last", "revision", "figures", "Cause")
_ABOUT = (
    "The last attempt at these cells failed; no figure of it is in any mean. `harness run` with the same cell tries "
    "again. failed: attempts so far; figures: those that stand in the tables, of an earlier attempt, or none."
)


def failed_sections(
    rows: Sequence[Row], groups: Sequence[Group], attempts: Iterable[Attempts], level: str = "##"
) -> list[str]:
    """Render the cells whose last attempt failed; nothing where there is none.

    Args:
        rows: all that the tables above are made from, and `groups` those rows by method.
    """
    lost = unmeasured(attempts)
    if not lost:
        return []
    called = {
        row.fingerprint: name for group, name in zip(groups, names(groups), strict=True) for row in group.rows
    }
    by_cell = {row.cell: row for row in rows}
    methods = {id(one): called[group.first.fingerprint] for group in groups for one in group.failed}
    cells = [_line(one, methods.get(id(one), one.title), by_cell.get(one.cell)) for one in lost]
    return [f"{level} Failed", _ABOUT, pipe_table(_HEADER, cells, figures=(2,))]


def unmeasured(attempts: Iterable[Attempts]) -> list[Attempts]:
    """Return those that no figures followed."""
    return [one for one in attempts if not one.measured]


def later(rows: Sequence[Row], attempts: Iterable[Attempts]) -> str:
    """Say how many rows were measured after attempts that failed; empty where none was."""
    cells = {row.cell for row in rows}
    told = [one for one in attempts if one.measured and one.cell in cells]
    if not told:
        return ""
    counts = sorted((one.failed for one in told), reverse=True)
    listed = ", ".join(f"{sum(1 for _ in same)} after {count}" for count, same in groupby(counts))
    return f"Rows that were measured after attempts that failed: {listed}."


def _line(one: Attempts, method: str, row: Row | None) -> list[str]:
    axes = sorted(one.labels, key=lambda axis: (axis == "seed", axis != "dataset", axis))
    labels = ", ".join(f"{axis}={one.labels[axis]}" for axis in axes)
    return [
        escape(method),
        escape(f"{one.matrix}: {labels}"),
        str(one.failed),
        escape(one.last.date[:10]),
        escape(one.last.source_revision) or NONE,
        "none" if row is None else f"of {escape(row.date[:10])}",
        escape(one.last.cause, LONGEST),
    ]
