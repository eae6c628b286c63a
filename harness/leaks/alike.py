"""Pairs of images that are one picture: candidates by two perceptual hashes, confirmed by their details."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.leaks.looks import Looks, Progress
from harness.parallel import each

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Ints = npt.NDArray[np.int64]

PHASH, DHASH = 20, 16
"""Bits of 64 in which candidates may differ; unrelated pairs differ in 32 on average."""
DETAIL = 0.7
"""Correlation of their details from which two images are one picture; docs/leaks.md says what was seen at it."""
WINDOW = 9
"""Grey pixels of 32 over which brightness is averaged; the rest is detail."""
_CELLS = 2**21
"""Pairs that are compared at once."""
_CANDIDATES = 2**13
"""Candidates whose details are compared at once."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two images that are one picture.

    Attributes:
        first: position in the first looks.
        second: position in the second ones.
        detail: correlation of their details, at most 1.
        mirrored: whether one is the mirror image of the other.
    """

    first: int
    second: int
    detail: float
    mirrored: bool


def alike(one: Looks, two: Looks, progress: Progress | None = None, note: str = "") -> list[Pair]:
    """Return the pairs of an image of `one` and an image of `two` that are one picture, the most alike first.

    Every pair is compared by its hashes, by blocks on all cores; candidates by `details`. Where `one` is `two`, an
    image is not compared with itself, and each pair comes once.
    """
    import numpy as np

    if not len(one) or not len(two):
        return []
    rows = max(1, _CELLS // len(two))
    starts = range(0, len(one), rows)
    mirror = np.ascontiguousarray(two.grey[:, :, ::-1])
    detail = details(one.grey), (details(two.grey), details(mirror))
    found: dict[tuple[int, int], Pair] = {}

    def block(start: int) -> list[Pair]:
        return _block(one, two, detail, start, start + rows)

    for done, pairs in enumerate(each(block, starts), start=1):
        for pair in pairs:
            place = pair.first, pair.second
            if place not in found or found[place].detail < pair.detail:
                found[place] = pair
        if progress:
            progress(min(done * rows, len(one)), len(one), note)
    return sorted(found.values(), key=lambda pair: (-pair.detail, pair.first, pair.second))


def details(grey: npt.NDArray[np.uint8]) -> Floats:
    """Return (n, 1024) float32 of (n, 32, 32) grey images: what differs from its surroundings, of length 1 (or 0)."""
    import numpy as np
    from scipy.ndimage import uniform_filter

    images = grey.astype(np.float32)
    images -= uniform_filter(images, (0, WINDOW, WINDOW), mode="nearest")
    flat = images.reshape(len(images), -1)
    flat -= flat.mean(1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    # An even picture has no details but rounding errors.
    rows: Floats = np.where(length > 1.0, flat / np.maximum(length, 1.0), 0.0).astype(np.float32)
    return rows


def _block(
    one: Looks, two: Looks, detail: tuple[Floats, tuple[Floats, Floats]], start: int, stop: int
) -> list[Pair]:
    import numpy as np

    pairs = []
    for view in (0, 1):
        near = np.bitwise_count(one.phash[start:stop, None, 0] ^ two.phash[None, :, view]) <= PHASH
        near |= np.bitwise_count(one.dhash[start:stop, None, 0] ^ two.dhash[None, :, view]) <= DHASH
        first, second = np.nonzero(near)
        first = first + start
        if one is two:
            later = second > first
            first, second = first[later], second[later]
        for at in range(0, len(first), _CANDIDATES):
            a, b = first[at : at + _CANDIDATES], second[at : at + _CANDIDATES]
            likeness = np.einsum("ij,ij->i", detail[0][a], detail[1][view][b])
            for k in np.nonzero(likeness >= DETAIL)[0]:
                pairs.append(
                    Pair(first=int(a[k]), second=int(b[k]), detail=float(likeness[k]), mirrored=view == 1)
                )
    return pairs
