"""Below a table: cells whose last attempt failed, with the cause. None of them is in any mean."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from itertools import groupby

from harness.leaderboard.attempts import Attempts
from harness.leaderboard.groups import Group, names
from harness.leaderboard.markdown import escape, fence, pipe_table, plain
from harness.leaderboard.published import NONE
from harness.leaderboard.rows import Row

LONGEST = 300
"""Characters of a cause that a page shows."""
_HEADER = ("Method", "Cell", "failed", "last", "revision", "figures", "Cause")
_ABOUT = (
    "The last attempt at these cells failed; no figure of it is in any mean. failed: attempts so far; figures: those "
    "that stand in the tables, of an earlier attempt, or none."
)
_AGAIN = (
    "Each again alone, in the folder of the registry; the traceback is below the store in which it failed:"
)
_OWN = ("--matrix", "-m", "--dataset", "-d", "--seed", "--only", "--registry", "--home")
"""Options of `harness run` that one cell has of its own, or that the folder says."""


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
    again = [
        line for one in lost for line in (f"# {plain(f'failures/{one.last.fingerprint}.txt')}", alone(one))
    ]
    return [
        f"{level} Failed",
        _ABOUT,
        pipe_table(_HEADER, cells, figures=(2,)),
        _AGAIN,
        fence("\n".join(again)),
    ]


def alone(one: Attempts) -> str:
    """Return the command that attempts a cell again and no other, with the options of its last attempt."""
    asked, kept = _options(one.last.command)
    words = ["harness", "run", "--matrix", one.matrix]
    for axis, label in _labels(one):
        replaced = (axis == "dataset" and asked & {"--dataset", "-d"}) or (
            axis == "seed" and "--seed" in asked
        )
        words += [f"--{axis}", label] if replaced else ["--only", f"{axis}={label}"]
    return shlex.join([*words, *kept])


def _options(command: str) -> tuple[set[str], list[str]]:
    """Split the options of a stored command: which of a cell's own it has, and the words of all others."""
    asked: set[str] = set()
    kept: list[str] = []
    try:
        words = shlex.split(command)
    except ValueError:  # a line that somebody wrote by hand
        words = []
    rest = iter(words[2:] if words[:2] == ["harness", "run"] else [])
    for word in rest:
        # -dNAME is -d NAME.
        name = word.partition("=")[0] if word.startswith("--") else word[:2]
        if name not in _OWN:
            kept.append(word)
            continue
        asked.add(name)
        if word == name:
            next(rest, None)
    return asked, kept


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


def _labels(one: Attempts) -> list[tuple[str, str]]:
    return sorted(one.labels.items(), key=lambda pair: (pair[0] == "seed", pair[0] != "dataset", pair))


def _line(one: Attempts, method: str, row: Row | None) -> list[str]:
    labels = ", ".join("=".join(pair) for pair in _labels(one))
    return [
        escape(method),
        escape(f"{one.matrix}: {labels}"),
        str(one.failed),
        escape(one.last.date[:10]),
        escape(one.last.source_revision) or NONE,
        "none" if row is None else f"of {escape(row.date[:10])}",
        escape(one.last.cause, LONGEST),
    ]
