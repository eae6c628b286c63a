"""Embeddings of a gallery of any size, drawn so that about half of the queries are hits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.inputs import derive
from harness.protocols import Record, Split
from harness.ranking import normalize

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

CAPTIONS = 5
"""Of an image, as in Flickr30k and MSCOCO."""


def gallery(images: int) -> Split:
    """Return a split of so many images with `CAPTIONS` captions each."""
    captions = tuple(f"caption {place}" for place in range(CAPTIONS))
    records = (Record(image=f"image {row:06d}", split="test", captions=captions) for row in range(images))
    return Split("test", tuple(records))


def embeddings(split: Split, dim: int) -> tuple[Floats, Floats]:
    """Draw (n, dim) images and (m, dim) captions, float32, of length 1: a caption is its image and noise."""
    import numpy as np

    random = np.random.default_rng(derive(0, "bench", "gallery", len(split.records), dim))
    image = random.standard_normal((len(split.records), dim), dtype=np.float32)
    # A cosine of 3.6 standard deviations of that between strangers, sqrt(dim) times more noise than signal / 3.6.
    noise = np.float32(dim**0.5 / 3.6)
    text = random.standard_normal((len(split.captions), dim), dtype=np.float32)
    text *= noise
    text += image[split.caption_image]
    return normalize(image, split.image_ids, "image"), normalize(text, split.caption_ids, "caption")
