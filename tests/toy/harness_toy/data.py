"""A drawn dataset of a few images, and one that must be prepared."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from harness.api import SPLITS, Annotations, Record

WORDS = ("red", "green", "blue", "dark", "round", "square", "striped", "plain", "tall", "flat")


class Toys:
    """Draw `images` images: a half of them train, a quarter val, a quarter test; `twist` changes test captions."""

    def __init__(self, *, images: int = 32, twist: str = "", odd: str = "") -> None:
        self.images, self.twist, self.odd = images, twist, odd

    def annotations(self, source: Path | None) -> Annotations:
        records = []
        for split, count in zip(SPLITS, (self.images // 2, self.images // 4, self.images // 4), strict=True):
            for number in range(count):
                seed = zlib.crc32(f"{split} {number}".encode())
                one, two = WORDS[seed % 10], WORDS[seed // 10 % 10]
                end = self.twist if split == "test" else ""
                captions = (f"{one} and {two} {number}{end}", f"thing {number} of {two} with {one}{end}")
                records.append(Record(image=f"{split}{number}{self.odd}", split=split, captions=captions))
        return Annotations(records=tuple(records))

    def pixels(self, record: Record) -> np.ndarray:
        random = np.random.default_rng(zlib.crc32(record.captions[0].encode()))
        return random.integers(0, 256, (4, 4, 3), dtype=np.uint8)


class Listed:
    """Never prepared in these tests."""

    def annotations(self, source: Path | None) -> Annotations:
        return Annotations(records=())
