"""Beside a table: how its measured rows were made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.leaderboard.markdown import escape, fence
from harness.leaderboard.rows import Row


def how_measured(rows: Sequence[Row], fill: Sequence[str]) -> str:
    """Render commands, hardware, versions, revision, dates; without rows, what fills the table."""
    if not rows:
        return "\n\n".join(
            ["No row of this table was measured yet. These commands fill it:", fence("\n".join(fill))]
        )
    commands = _distinct(row.command for row in rows)
    dates = _distinct(row.date[:10] for row in rows)
    facts = [
        f"- Protocol: {_listed(f'{row.images:,} test images, {row.captions:,} captions' for row in rows)}.",
        f"- Hardware: {_listed(row.hardware for row in rows)}.",
        f"- Versions: {_listed(_versions(row) for row in rows)}.",
        f"- Source revision: {_listed(row.source_revision or 'unknown' for row in rows)}.",
        f"- Date: {escape(dates[0])}{f' to {escape(dates[-1])}' if len(dates) > 1 else ''}.",
    ]
    return "\n\n".join(["Measured with", fence("\n".join(commands)), "\n".join(facts)])


def _versions(row: Row) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(row.versions.items()))


def _distinct(texts: Iterable[str]) -> list[str]:
    return sorted(set(texts))


def _listed(texts: Iterable[str]) -> str:
    # A list of versions is longer than a name may be, so it is escaped piece by piece.
    return "; ".join(", ".join(escape(piece) for piece in text.split(", ")) for text in _distinct(texts))
