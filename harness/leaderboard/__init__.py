"""Measured and published rows -> `leaderboards/`. Rendering needs neither torch nor a store."""

from __future__ import annotations

from harness.leaderboard.curves import Curve, History, owned, read_curves, write_curves
from harness.leaderboard.groups import grouped
from harness.leaderboard.pages import check, render, write
from harness.leaderboard.ranks import Ranks
from harness.leaderboard.rows import Row, merge_rows, read_rows

__all__ = [
    "Curve",
    "History",
    "Ranks",
    "Row",
    "check",
    "grouped",
    "merge_rows",
    "owned",
    "read_curves",
    "read_rows",
    "render",
    "write",
    "write_curves",
]
