"""Measured and published rows -> `leaderboards/`. Rendering needs neither torch nor a store."""

from __future__ import annotations

from harness.leaderboard.curves import Curve, History, owned, read_curves, write_curves
from harness.leaderboard.groups import grouped, lettered
from harness.leaderboard.pages import check, render, write
from harness.leaderboard.ranks import Ranks
from harness.leaderboard.rows import Row, merge_rows, read_rows
from harness.leaderboard.standing import Standing, pages_of, standings

__all__ = [
    "Curve",
    "History",
    "Ranks",
    "Row",
    "Standing",
    "check",
    "grouped",
    "lettered",
    "merge_rows",
    "owned",
    "pages_of",
    "read_curves",
    "read_rows",
    "render",
    "standings",
    "write",
    "write_curves",
]
