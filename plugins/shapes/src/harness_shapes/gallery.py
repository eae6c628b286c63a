"""A gallery that the evaluator of near-twins applies to."""

from __future__ import annotations

from pathlib import Path

from harness.api import Gallery, Split
from harness_shapes.dataset import Shapes


def gallery(folder: Path) -> Gallery:
    """Return the test split of a small dataset, sixteen images; nothing is written into the folder."""
    records = Shapes(images=160, size=32).annotations(None).records
    return Gallery(split=Split("test", tuple(record for record in records if record.split == "test")))
