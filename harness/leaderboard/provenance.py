"""Beside a table: how its measured rows were made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.leaderboard.attempts import Attempts
from harness.leaderboard.failed import later
from harness.leaderboard.markdown import escape, fence
from harness.leaderboard.rows import Row


def how_measured(rows: Sequence[Row], fill: Sequence[str], attempts: Sequence[Attempts] = ()) -> str:
    """Render commands, hardware, versions, revision, dates; without rows, what fills the table.

    Args:
        attempts: those that failed; of rows that were measured later it is told how many there were.
    """
    if not rows:
        return "\n\n".join(
            ["No row of this table was measured yet. These commands fill it:", fence("\n".join(fill))]
        )
    commands = _distinct(row.command for row in rows)
    dates = _distinct(row.date[:10] for row in rows)
    facts = [
        f"- Protocol: {_listed(f'{row.images:,} test images, {row.captions:,} captions' for row in rows)}.",
        f"- Hardware: {_listed(row.hardware for row in rows)}.",
        f"- Versions: {_versions(rows)}.",
        f"- Source revision, + where files differed from it: "
        f"{_listed(row.source_revision or 'unknown' for row in rows)}.",
        f"- Date: {escape(dates[0])}{f' to {escape(dates[-1])}' if len(dates) > 1 else ''}.",
    ]
    if told := later(rows, attempts):
        facts.append(f"- {told}")
    return "\n\n".join(["Measured with", fence("\n".join(commands)), "\n".join(facts)])


def _versions(rows: Sequence[Row]) -> str:
    """List each package once, with all versions that any row was measured with."""
    found: dict[str, set[str]] = {}
    for row in rows:
        for name, version in row.versions.items():
            found.setdefault(name, set()).add(version)
    return ", ".join(escape(f"{name} {' and '.join(sorted(found[name]))}") for name in sorted(found))


def _distinct(texts: Iterable[str]) -> list[str]:
    return sorted(set(texts))


def _listed(texts: Iterable[str]) -> str:
    return "; ".join(escape(text) for text in _distinct(texts))
