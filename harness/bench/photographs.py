"""Generated photographs as files, where a benchmark needs JPEGs of a known size."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.images import decode, read
from harness.inputs import derive
from harness.protocols import Record, Split

if TYPE_CHECKING:
    from harness.protocols.datasets import Pixels

HEIGHT, WIDTH = 375, 500


def photograph(seed: int) -> Pixels:
    """Draw (`HEIGHT`, `WIDTH`, 3) uint8 with large and small structure, so that it is hard to decode."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(derive(0, "bench", "photograph", seed))
    layers = [
        np.asarray(
            Image.fromarray(random.integers(0, 256, (rows, columns, 3), dtype=np.uint8)).resize(
                (WIDTH, HEIGHT), Image.Resampling.BICUBIC
            ),
            dtype=np.int64,
        )
        for rows, columns in ((24, 32), (188, 250))
    ]
    drawn: Pixels = np.clip(layers[0] + (layers[1] - 128) // 5, 0, 255).astype(np.uint8)
    return drawn


class Photographs:
    """Stands in for an open dataset whose files were inspected: so many JPEGs below a folder."""

    def __init__(self, folder: Path, count: int) -> None:
        from PIL import Image

        self.paths = []
        for place in range(count):
            buffer = io.BytesIO()
            Image.fromarray(photograph(place)).save(buffer, "JPEG", quality=90)
            path = folder / f"{place:06d}.jpg"
            path.write_bytes(buffer.getvalue())
            self.paths.append(path)
        self.files = {path.name: path for path in self.paths}

    def split(self, captions: Sequence[str]) -> Split:
        """Return a train split of all, each image with these captions."""
        records = (
            Record(image=path.stem, split="train", captions=tuple(captions), file=path.name)
            for path in self.paths
        )
        return Split("train", tuple(records))

    def pixels(self, record: Record) -> Pixels:
        """Decode an image."""
        return decode(read(self.files[record.file]), inspected=True)

    def content(self, record: Record) -> str:
        """Return what names the bytes of an image."""
        return hashlib.sha256(self.files[record.file].read_bytes()).hexdigest()
