"""Which rows of a batch one of several processes has."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """The rows of a batch that one process embeds.

    Attributes:
        start, stop: its rows, of `total`.
        most: rows of the largest share.
        parts: number of shares; 1 where there are fewer rows than processes, and each has them all.
    """

    start: int
    stop: int
    total: int
    most: int
    parts: int

    @property
    def rows(self) -> int:
        """Number of its rows, at least 1."""
        return self.stop - self.start

    @property
    def slice(self) -> slice:
        """Its rows, as an index."""
        return slice(self.start, self.stop)


def share_of(total: int, rank: int, size: int) -> Share:
    """Return the share of process `rank` of `size`; the first ones have a row more where it does not come out even."""
    if total < size:
        return Share(0, total, total, total, 1)
    each, left = divmod(total, size)
    start = rank * each + min(rank, left)
    return Share(start, start + each + (rank < left), total, each + (left > 0), size)
