"""Scores into ranks, by counting: nothing is sorted and the score matrix never exists as a whole."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import ScoreError
from harness.protocols import Ranks, Split

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    Floats = npt.NDArray[np.float32]

BLOCK = 1000
"""Images of a diagonal tile, as many as a fold of MSCOCO 1K has. Smaller tiles lose 20-50 % of the product's speed."""
TALL = 4
"""Blocks of images in any other tile, at most, with fewer captions each: a wide and low product loses some 10 %."""
ROWS = 64
"""Of a diagonal tile that are compared at a time: with five captions an image and what is compared, 2.5 MB."""
LEAST = 64
"""Rows and columns that a product has at least: for a few, libraries take other kernels, which add up in another
order, and what is equal in one tile would not tie with what is equal in another."""
EVEN = 16
"""A product into rows whose length is no multiple of a cache line's 16 numbers takes up to a third longer."""
COLLAPSED = 1e-6
"""How far the mean embedding may fall short of length 1 before embeddings count as different."""
KS = (1, 5, 10)


@dataclass(frozen=True, eq=False, kw_only=True)
class Ranked:
    """A ranked gallery, see `harness.protocols.Ranking`.

    Attributes:
        tiles: i2t and t2i of each `BLOCK` consecutive images among themselves, which ranking the whole gallery
            counts on its way; ``None`` where they were not kept.
    """

    split: Split
    image: Floats
    text: Floats
    i2t: Ranks
    t2i: Ranks
    tiles: tuple[Ranks, Ranks] | None = None

    def fold(self, start: int, stop: int) -> Ranked:
        """Rank images `start`..`stop` and their captions among themselves; a tile was counted before."""
        import numpy as np

        part = Split(self.split.name, self.split.records[start:stop])
        owner = self.split.caption_image
        first, last = np.searchsorted(owner, [start, stop]).tolist()
        image, text = self.image[start:stop], self.text[first:last]
        if self.tiles is None or start % BLOCK or stop != min(start + BLOCK, len(self.image)):
            return rank(part, image, text)
        i2t, t2i = (
            _part(side, *ends) for side, ends in zip(self.tiles, ((start, stop), (first, last)), strict=True)
        )
        return Ranked(split=part, image=image, text=text, i2t=i2t, t2i=t2i)


def normalize(rows: Floats, ids: Sequence[str], what: str) -> Floats:
    """L2-normalise (rows, dim); a zero row stays zero and so ties with everything.

    Raises:
        ScoreError: names the rows that are NaN or infinite.
    """
    import numpy as np

    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        named = ", ".join(ids[i] for i in bad[:5]) + (" ..." if len(bad) > 5 else "")
        raise ScoreError(f"{len(bad)} of {len(rows)} {what} embeddings are NaN or infinite: {named}")
    wide = rows.astype(np.float64)
    norm = np.linalg.norm(wide, axis=1, keepdims=True)
    return (wide / np.where(norm > 0, norm, 1.0)).astype(np.float32)


def collapsed(image: Floats, text: Floats) -> str:
    """Return ``image``, ``caption``, ``image and caption`` or nothing: of what all embeddings have become the same.

    The length of the mean of unit vectors is 1 only if they all agree; see `COLLAPSED`. A path that died gives zeros.

    Args:
        image, text: (n, dim) and (m, dim), L2-normalised.
    """
    import numpy as np

    def agree(rows: Floats) -> bool:
        length = float(np.linalg.norm(rows.astype(np.float64).mean(axis=0)))
        return not rows.any() or 1.0 - length < COLLAPSED

    return " and ".join(name for name, rows in (("image", image), ("caption", text)) if agree(rows))


def rank(split: Split, image: Floats, text: Floats) -> Ranked:
    """Rank a gallery in both directions.

    Args:
        split: `n` images with `m` captions.
        image: (n, dim) float32, L2-normalised.
        text: (m, dim) float32, L2-normalised, captions of one image together.

    Returns:
        Counts above and at the best relevant item of every query. The diagonal tiles come first: they hold every
        relevant score, so that a truth and its rivals come from the same product.

    Raises:
        ScoreError: if shapes do not fit the split, or a score is NaN or infinite.
    """
    import numpy as np
    import torch

    n, m = len(split.records), len(split.captions)
    if image.shape[0] != n or text.shape[0] != m or image.shape[1:] != text.shape[1:]:
        raise ScoreError(
            f"split {split.name!r} has {n} images and {m} captions, but the embeddings are "
            f"{image.shape} and {text.shape}"
        )
    for rows, ids, what in ((image, split.image_ids, "image"), (text, split.caption_ids, "caption")):
        # NaN and infinity survive a sum; only where it is one of them is every number looked at.
        if not np.isfinite(rows.sum(dtype=np.float64)):
            normalize(rows, ids, what)
    images, texts = (
        torch.from_numpy(np.ascontiguousarray(image)),
        torch.from_numpy(np.ascontiguousarray(text)),
    )
    edges = [*range(0, n, BLOCK), n]
    blocks = [
        (a, b, *np.searchsorted(split.caption_image, [a, b]).tolist()) for a, b in itertools.pairwise(edges)
    ]
    counts = _Counts(torch.from_numpy(split.caption_image), n, blocks)
    for a, b, c, d in blocks:
        counts.own(counts.product(images[a:b], texts[c:d]), slice(a, b), slice(c, d))
    # So far, every query was asked among its own tile alone.
    tiles = counts.ranks() if n > BLOCK else None
    for a, b, c, d in blocks:
        for start, stop in [*_parts(0, a, TALL * BLOCK), *_parts(b, n, TALL * BLOCK)]:
            for e, f in _parts(c, d, counts.widest(stop - start)):
                counts.add(counts.product(images[start:stop], texts[e:f]), slice(start, stop), slice(e, f))
    i2t, t2i = counts.ranks()
    return Ranked(split=split, image=image, text=text, i2t=i2t, t2i=t2i, tiles=tiles)


class _Counts:
    """What is counted of every query, tile by tile, in buffers that are allocated once.

    A comparison is written as 0 and 1 in float32 and summed: whole numbers below 2^24 are exact in any order, and
    that is many times faster than summing booleans. What is compared at a time stays in a core's cache.
    """

    def __init__(self, owner: Tensor, images: int, blocks: Sequence[tuple[int, int, int, int]]) -> None:
        import torch

        m = len(owner)
        self.owner = owner
        self.best_i2t, self.best_t2i = torch.empty(images), torch.empty(m)
        self.above_i, self.tied_i, self.matched_i = (torch.zeros(images, dtype=torch.int64) for _ in range(3))
        self.above_t, self.tied_t = (torch.zeros(m, dtype=torch.int64) for _ in range(2))
        height = max((b - a for a, b, _, _ in blocks), default=0)
        width = max((d - c for _, _, c, d in blocks), default=0)
        tallest = max(min(images, TALL * BLOCK), LEAST) + EVEN
        self.diagonal = max(height, LEAST) * max(width, LEAST)
        self.tile = torch.empty(self.diagonal + tallest * (LEAST + EVEN))
        self.compared = torch.empty(max(min(height, ROWS) * width, LEAST))
        self.of_rows, self.of_columns = torch.empty(tallest), torch.empty(max(width, LEAST))

    def widest(self, images: int) -> int:
        """Return how many captions a tile of so many images is to have, about as large as a diagonal one."""
        return max(self.diagonal // max(images, LEAST), LEAST)

    def product(self, images: Tensor, texts: Tensor) -> Tensor:
        """Return the scores of a tile; they stand until the next product."""
        import torch

        rows, columns = _at_least(images), _at_least(texts)
        shape = len(rows), len(columns)
        scores = torch.mm(rows, columns.T, out=self.tile[: shape[0] * shape[1]].view(shape))
        return scores[: len(images), : len(texts)]

    def own(self, scores: Tensor, rows: slice, columns: slice) -> None:
        """Take the relevant scores from a diagonal tile, and count the others; it is spent afterwards."""
        import torch

        row = self.owner[columns] - rows.start
        column = torch.arange(len(row))
        truth = scores[row, column]
        best = torch.full((scores.shape[0],), -torch.inf).scatter_reduce(0, row, truth, "amax")
        self.best_t2i[columns], self.best_i2t[rows] = truth, best
        self.matched_i[rows] = torch.bincount(row[truth == best[row]], minlength=len(best))
        scores[row, column] = -torch.inf
        self.add(scores, rows, columns)

    def add(self, scores: Tensor, rows: slice, columns: slice) -> None:
        """Count what scores higher than, and as high as, the best relevant item of each query."""
        import torch

        best_row, best_column = self.best_i2t[rows, None], self.best_t2i[columns]
        width = scores.shape[1]
        of_columns = self.of_columns[:width]
        step = max(len(self.compared) // max(width, 1), 1)
        for start in range(0, scores.shape[0], step):
            part = scores[start : start + step]
            height = len(part)
            at = slice(rows.start + start, rows.start + start + height)
            compared = self.compared[: height * width].view(height, width)
            of_rows = self.of_rows[:height]
            for compare, in_rows, in_columns in (
                (torch.gt, self.above_i, self.above_t),
                (torch.eq, self.tied_i, self.tied_t),
            ):
                compare(part, best_row[start : start + height], out=compared)
                in_rows[at] += torch.sum(compared, 1, out=of_rows).long()
                compare(part, best_column, out=compared)
                in_columns[columns] += torch.sum(compared, 0, out=of_columns).long()

    def ranks(self) -> tuple[Ranks, Ranks]:
        """Return both directions as they stand."""
        import torch

        one = torch.ones(len(self.owner), dtype=torch.int64)
        i2t = _ranks(self.above_i, self.tied_i, self.matched_i)
        return i2t, _ranks(self.above_t, self.tied_t, one)


def _parts(start: int, stop: int, most: int) -> list[tuple[int, int]]:
    """Return consecutive ranges that make up `start`..`stop`, of nearly the same length, of `most` or little more.

    But for the last, lengths are multiples of `EVEN`.
    """
    count = max(1, -(-(stop - start) // most))
    length = -(-(stop - start) // (count * EVEN)) * EVEN
    return [(first, min(first + length, stop)) for first in range(start, stop, length or 1)]


def _at_least(rows: Tensor) -> Tensor:
    """Return rows with zeros below them, if they are fewer than `LEAST`."""
    import torch

    lacking = LEAST - len(rows)
    return torch.nn.functional.pad(rows, (0, 0, 0, lacking)) if lacking > 0 else rows


def _ranks(above: Tensor, tied: Tensor, matched: Tensor) -> Ranks:
    return Ranks(above=above.numpy().copy(), tied=tied.numpy().copy(), matched=matched.numpy().copy())


def _part(side: Ranks, start: int, stop: int) -> Ranks:
    return Ranks(above=side.above[start:stop], tied=side.tied[start:stop], matched=side.matched[start:stop])


def rsum(ranked: Ranked) -> float:
    """Return the sum of R@1, R@5 and R@10 of both directions in percent, 0..600, ties lost."""
    return float(sum(100.0 * side.hits(k).mean() for side in (ranked.i2t, ranked.t2i) for k in KS))
