"""`leaderboards/ranks/`: the rank of every query of each measured row, from which intervals and letters follow."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness.durable import durable
from harness.errors import StoreError
from harness.leaderboard.rows import Row
from harness.queries import read_queries
from harness.statistics import RECALLS, RSUM, Sample, samples

FOLDER = "ranks"
WITHIN = 5e-4
"""How far a figure may lie from that of its ranks: half of what a table shows. A mean over folds of unequal size
is not quite the mean over all queries."""

_HINT = "Nothing was changed. Restore the file from git, or run the row's command again."


class Ranks:
    """Committed ranks by row, each file read once.

    Args:
        folder: the leaderboards.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / FOLDER
        self._read: dict[str, dict[str, Sample]] = {}

    def sample(self, row: Row, evaluator: str) -> Sample | None:
        """Return the ranks behind a row's figures of one evaluator, or ``None`` where they were not kept.

        Raises:
            StoreError: if the file is damaged, or the row's figures are not those of its ranks.
        """
        if row.fingerprint not in self._read:
            self._read[row.fingerprint] = self._load(row)
        return self._read[row.fingerprint].get(evaluator)

    def orphans(self, rows: Iterable[Row]) -> list[Path]:
        """Return the files that belong to no row."""
        known = {row.fingerprint for row in rows}
        return [path for path in sorted(self.folder.glob("*.npz")) if path.stem not in known]

    def drop_orphans(self, rows: Iterable[Row]) -> None:
        """Remove the files of rows that others replaced."""
        for path in self.orphans(rows):
            path.unlink()

    def path(self, fingerprint: str) -> Path:
        """Return where the ranks of a row are kept."""
        return self.folder / f"{fingerprint}.npz"

    def keep(self, fingerprint: str, stored: bytes) -> None:
        """Put the file of a stored run here; a file of the same bytes is left alone."""
        path = self.path(fingerprint)
        if not path.is_file() or path.read_bytes() != stored:
            with durable(path) as file:
                file.write(stored)

    def _load(self, row: Row) -> dict[str, Sample]:
        path = self.path(row.fingerprint)
        if not path.is_file():
            return {}
        found = samples(read_queries(path))
        for name, sample in found.items():
            wrong = _disagreement(row, name, sample)
            if wrong:
                raise StoreError(
                    f"results.jsonl and {path} disagree on run {row.fingerprint}: {', '.join(wrong)}",
                    hint=_HINT,
                )
        return found


def _disagreement(row: Row, evaluator: str, sample: Sample) -> list[str]:
    figures = sample.figures()
    if "folds" not in row.evaluators.get(evaluator, ""):
        # Over folds, these are means of the folds' own.
        figures |= {f"{side}.median_rank": float(statistics.median(ranks)) for side, ranks in _sides(sample)}
        figures |= {f"{side}.mean_rank": float(ranks.mean()) for side, ranks in _sides(sample)}
    if not all(f"{evaluator}.{name}" in row.metrics for name in RECALLS):
        # An evaluator at other K adds up other recalls.
        figures.pop(RSUM)
    return [
        f"{evaluator}.{name} is {row.metrics[f'{evaluator}.{name}']:.4f}, by the ranks {value:.4f}"
        for name, value in figures.items()
        if f"{evaluator}.{name}" in row.metrics
        and abs(row.metrics[f"{evaluator}.{name}"] - value) > (100 * WITHIN if name == RSUM else WITHIN)
    ]


def _sides(sample: Sample) -> tuple[tuple[str, Any], tuple[str, Any]]:
    return ("i2t", sample.i2t), ("t2i", sample.t2i)
