"""Measured and published rows -> `leaderboards/`. Rendering needs neither torch nor a store."""

from __future__ import annotations

from harness.leaderboard.attempts import Attempts, FailedAttempt
from harness.leaderboard.curves import Curve, History, owned, read_curves, write_curves
from harness.leaderboard.groups import grouped, lettered
from harness.leaderboard.pages import check, render, write
from harness.leaderboard.ranks import Ranks
from harness.leaderboard.results import RESULTS, merge_attempts, merge_rows, read_attempts, read_rows
from harness.leaderboard.rows import Row
from harness.leaderboard.standing import Standing, pages_of, standings

__all__ = [
    "RESULTS",
    "Attempts",
    "Curve",
    "FailedAttempt",
    "History",
    "Ranks",
    "Row",
    "Standing",
    "check",
    "grouped",
    "lettered",
    "merge_attempts",
    "merge_rows",
    "owned",
    "pages_of",
    "read_attempts",
    "read_curves",
    "read_rows",
    "render",
    "standings",
    "write",
    "write_curves",
]
