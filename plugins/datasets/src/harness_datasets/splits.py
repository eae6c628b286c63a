"""Splits: which one a file's name speaks of, how large they are in the literature, and their order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.api import SPLITS, Record

SPLIT_NAMES = {"train": "train", "restval": "train", "val": "val", "dev": "val", "test": "test"}

_SPLIT = re.compile("restval|train|test|val|dev")


def split_of(path: Path) -> str | None:
    """Return the split that a file's name speaks of: ``dev`` is val, ``restval`` is train."""
    words = _SPLIT.findall(path.stem.lower())
    return SPLIT_NAMES[words[-1]] if words else None


def in_order(records: Iterable[Record]) -> tuple[Record, ...]:
    """Return train, val and test, each in the order that it has."""
    return tuple(sorted(records, key=lambda record: SPLITS.index(record.split)))


OTHER_COUNTS = "Where other counts are meant, add --set strict=false."


def check_counts(
    found: Mapping[str, int],
    expected: Mapping[str, int],
    doubts: list[str],
    what: str,
    of: str = "images",
) -> None:
    """Compare the number of images, or captions, of each split with that of the literature.

    Args:
        doubts: gets what differs: problems, or notes where other counts are allowed.
        what: is counted, for the message.
    """
    different = [
        f"{split} {found.get(split, 0):,}, not {n:,}"
        for split, n in expected.items()
        if found.get(split, 0) != n
    ]
    if different:
        doubts.append(f"{what}: {of} of {'; '.join(different)}")
