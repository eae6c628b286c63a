"""Galleries and embeddings whose scores are known to the last bit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.protocols import Record, Split

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Ints = npt.NDArray[np.int64]

IMAGES = 60  # divides into 2, 3, 4, 5, 6, 10 and 12 folds, and leaves ten places without a right item
VARIED = (1, 5, 7)
"""Captions of an image, in turn, where they vary."""
_ANCHOR = 127 / 128
_NEAR = 1 / 128


@dataclass(frozen=True, eq=False, kw_only=True)
class Planted:
    """A split with embeddings, L2-normalised.

    Attributes:
        image: (n, dim) float32.
        text: (m, dim) float32.
    """

    split: Split
    image: Floats
    text: Floats


def plain(captions: Sequence[int]) -> Split:
    """Return a split of as many images as there are counts, each with so many captions."""
    records = (
        Record(image=f"image-{place}", split="test", captions=tuple(f"{place} {k}" for k in range(count)))
        for place, count in enumerate(captions)
    )
    return Split("test", tuple(records))


def varied(split: Split) -> Split:
    """Return the split with 1, 5, 7, 1, ... captions an image, or as many of them as it has."""
    records = [
        replace(record, captions=record.captions[: VARIED[place % len(VARIED)]])
        for place, record in enumerate(split.records)
    ]
    return Split(split.name, tuple(records))


def plant(split: Split, levels: Ints) -> Planted:
    """Find embeddings whose scores are proportional to whole numbers.

    Images are unit vectors, so that each score is one number of a caption's embedding: it comes out the same in
    whatever order and precision, from float32 up, a product is summed. One more number makes captions unit vectors.

    Args:
        levels: (n, m) scores of images and captions, of any sign, below 2^24.
    """
    import numpy as np

    n, m = levels.shape
    # A power of two scales without rounding.
    scores = levels.T * 2.0 ** -math.ceil(
        math.log2(max(1.0, float(np.linalg.norm(levels, axis=0).max(initial=0))))
    )
    rest = np.sqrt(1.0 - (scores**2).sum(axis=1, keepdims=True))
    image = np.eye(n, n + 1, dtype=np.float32)
    return Planted(
        split=split, image=image, text=np.hstack([scores, rest]).astype(np.float32).reshape(m, n + 1)
    )


def plant_near(split: Split, levels: Ints) -> Planted:
    """Find embeddings whose scores lie so close below 1 that float16 cannot tell them apart and float32 can.

    With whole numbers s in 0..1 after scaling they are (127/128)^2 + s/128^2, exactly; float16 has steps of
    8/128^2 there.

    Args:
        levels: (n, m) from 0; what is finer than 1/512 after scaling is lost.
    """
    import numpy as np

    n, m = levels.shape
    shift = math.ceil(math.log2(max(1.0, float(np.linalg.norm(levels, axis=0).max(initial=0)))))
    scores = np.floor(levels.T * 2.0 ** (9 - shift)) / 2.0**9
    rest = np.sqrt(1.0 - _ANCHOR**2 - _NEAR**2 * (scores**2).sum(axis=1, keepdims=True))
    image = np.zeros((n, n + 3))
    image[:, 0], image[:, 1 : n + 1], image[:, n + 1] = (
        _ANCHOR,
        _NEAR * np.eye(n),
        math.sqrt(1 - _ANCHOR**2 - _NEAR**2),
    )
    text = np.hstack([np.full((m, 1), _ANCHOR), _NEAR * scores, np.zeros((m, 1)), rest])
    return Planted(split=split, image=image.astype(np.float32), text=text.astype(np.float32))


def collapsed(split: Split) -> Planted:
    """Give every image and every caption one and the same embedding: all scores are about 1.

    Its numbers are no powers of two, so that a product rounds: scores that a library adds up in another order at the
    edges of its blocks, or for a few rows alone, come out unequal.
    """
    import numpy as np

    point = np.random.default_rng(3).standard_normal((1, 100))
    point = (point / np.linalg.norm(point)).astype(np.float32)
    return Planted(
        split=split,
        image=np.repeat(point, len(split.records), axis=0),
        text=np.repeat(point, len(split.captions), axis=0),
    )


def random_levels(split: Split, seed: int) -> Ints:
    """Return (n, m) distinct whole numbers in random order: no ties, every order as likely as any other."""
    import numpy as np

    n, m = len(split.records), len(split.captions)
    return np.random.default_rng(seed).permutation(n * m).reshape(n, m).astype(np.int64)


def oracle_levels(split: Split, seed: int) -> Ints:
    """Return (n, m) distinct whole numbers, those of an image with its own captions above all others."""
    import numpy as np

    levels = random_levels(split, seed)
    own = split.caption_image[None, :] == np.arange(len(split.records))[:, None]
    return levels + np.where(own, levels.size, 0)


def dense(relevance: npt.NDArray[np.float64]) -> Ints:
    """Return (n, m) whole numbers from 0 in the order of the relevance."""
    import numpy as np

    return np.unique(relevance, return_inverse=True)[1].reshape(relevance.shape).astype(np.int64)


def twice(planted: Planted) -> Planted:
    """Put a copy of every image, with its captions, after all of them: nobody can tell it from the first."""
    import numpy as np

    records = planted.split.records
    copies = tuple(replace(record, image=f"{record.image}-copy") for record in records)
    return Planted(
        split=Split(planted.split.name, records + copies),
        image=np.concatenate([planted.image, planted.image]),
        text=np.concatenate([planted.text, planted.text]),
    )


def captions_twice(planted: Planted) -> Planted:
    """Give every image each of its captions a second time."""
    import numpy as np

    split = planted.split
    records = tuple(replace(record, captions=record.captions * 2) for record in split.records)
    owner = split.caption_image
    rows = np.concatenate([np.tile(np.flatnonzero(owner == place), 2) for place in range(len(split.records))])
    return Planted(split=Split(split.name, records), image=planted.image, text=planted.text[rows])


def captions_shared(planted: Planted) -> Planted:
    """Give every second image the first caption of the one before it in place of its own first one."""
    import numpy as np

    records = list(planted.split.records)
    start = np.cumsum([0, *(len(record.captions) for record in records)])
    text = planted.text.copy()
    for place in range(1, len(records), 2):
        before, own = records[place - 1], records[place]
        if before.captions and own.captions:
            records[place] = replace(own, captions=(before.captions[0], *own.captions[1:]))
            text[start[place]] = text[start[place - 1]]
    return Planted(split=Split(planted.split.name, tuple(records)), image=planted.image, text=text)


def reordered(planted: Planted, blocks: Sequence[tuple[int, int]], seed: int, *, captions: bool) -> Planted:
    """Put the images into another order, each with its captions.

    Args:
        blocks: images ``start..stop`` that stay among themselves.
        captions: give the captions of an image another order, too.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    split, owner = planted.split, planted.split.caption_image
    images = np.concatenate([start + random.permutation(stop - start) for start, stop in blocks])
    records, rows = [], []
    for image in images:
        record, own = split.records[image], np.flatnonzero(owner == image)
        order = random.permutation(len(own)) if captions else np.arange(len(own))
        records.append(replace(record, captions=tuple(record.captions[k] for k in order)))
        rows.append(own[order])
    return Planted(
        split=Split(split.name, tuple(records)),
        image=planted.image[images],
        text=planted.text[np.concatenate(rows)],
    )


def first(planted: Planted, captions: int) -> Planted:
    """Return the first image alone, with its first captions."""
    record = planted.split.records[0]
    part = replace(record, captions=record.captions[:captions])
    return Planted(
        split=Split(planted.split.name, (part,)),
        image=planted.image[:1],
        text=planted.text[: len(part.captions)],
    )
