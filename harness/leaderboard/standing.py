"""Where a run stands in the tables, and what a table says of two of its rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.leaderboard.boards import boards
from harness.leaderboard.groups import Group, grouped
from harness.leaderboard.ranks import Ranks
from harness.leaderboard.rows import Row
from harness.leaderboard.uncertainty import Uncertainty
from harness.statistics import ALPHA


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Two rows of one table.

    Attributes:
        page: its file.
        letters: of both rows, and `seeds`, their numbers of runs.
        p_value: of the table's test between them, `adjusted` by Holm for the `pairs` of rows that were asked the same.
        over_seeds: whether any row of the table has two seeds, so that the variance between them is counted.
    """

    page: str
    letters: tuple[str, str]
    seeds: tuple[int, int]
    p_value: float
    adjusted: float
    pairs: int
    over_seeds: bool

    @property
    def distinct(self) -> bool:
        """Whether the table tells them apart: they then share no letter."""
        return self.adjusted < ALPHA


def standings(
    rows: Sequence[Row],
    folder: Path,
    a: Collection[str],
    b: Collection[str],
    evaluators: Collection[str] | None = None,
) -> list[Standing]:
    """Return what each table says of the rows that the runs `a` and `b` belong to, where it has both.

    Args:
        rows: of results.jsonl in `folder`, the leaderboards.
        a, b: fingerprints; each side of one method.
        evaluators: tables whose columns are theirs; ``None`` for all.

    Raises:
        StoreError: if ranks beside the rows are damaged.
    """
    found = []
    for board in boards(rows):
        if evaluators is not None and board.evaluator not in evaluators:
            continue
        groups = grouped(row for row in rows if board.holds(row))
        one, other = (_group(groups, side) for side in (a, b))
        if one is None or other is None or one is other:
            continue
        certain = Uncertainty(groups, board.evaluator, Ranks(folder))
        tested = certain.between(one, other)
        if tested is not None:
            found.append(
                Standing(
                    page=board.file,
                    letters=(certain.of(one).letters, certain.of(other).letters),
                    seeds=(len(one.rows), len(other.rows)),
                    p_value=tested.p_value,
                    adjusted=tested.adjusted,
                    pairs=tested.pairs,
                    over_seeds=tested.over_seeds,
                )
            )
    return found


def pages_of(row: Row, rows: Sequence[Row]) -> list[str]:
    """Return the files of the tables that hold a row."""
    return [board.file for board in boards(rows) if board.holds(row)]


def _group(groups: Sequence[Group], runs: Collection[str]) -> Group | None:
    """Return the group that all these runs belong to."""
    return next((group for group in groups if set(runs) <= {row.fingerprint for row in group.rows}), None)
