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
"""Images a tile, as many as a fold of MSCOCO 1K has. Smaller tiles lose 20-50 % of the matrix product's speed."""
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
        if not np.isfinite(rows).all():
            normalize(rows, ids, what)
    owner = torch.from_numpy(split.caption_image)
    images, texts = (
        torch.from_numpy(np.ascontiguousarray(image)),
        torch.from_numpy(np.ascontiguousarray(text)),
    )
    edges = [*range(0, n, BLOCK), n]
    blocks = [
        (a, b, *np.searchsorted(split.caption_image, [a, b]).tolist()) for a, b in itertools.pairwise(edges)
    ]
    best_i2t, best_t2i = torch.empty(n), torch.empty(m)
    above_i, tied_i, matched_i = (torch.zeros(n, dtype=torch.int64) for _ in range(3))
    above_t, tied_t = (torch.zeros(m, dtype=torch.int64) for _ in range(2))

    def count(scores: torch.Tensor, rows: slice, columns: slice) -> None:
        row, column = best_i2t[rows, None], best_t2i[None, columns]
        above_i[rows] += (scores > row).sum(1)
        tied_i[rows] += (scores == row).sum(1)
        above_t[columns] += (scores > column).sum(0)
        tied_t[columns] += (scores == column).sum(0)

    for a, b, c, d in blocks:
        scores = images[a:b] @ texts[c:d].T
        own = owner[None, c:d] == torch.arange(a, b)[:, None]
        relevant = scores.masked_fill(~own, -torch.inf)
        best_i2t[a:b] = relevant.max(1).values
        best_t2i[c:d] = relevant.max(0).values
        matched_i[a:b] = (relevant == best_i2t[a:b, None]).sum(1)
        count(scores.masked_fill_(own, -torch.inf), slice(a, b), slice(c, d))

    def counted() -> tuple[Ranks, Ranks]:
        i2t, t2i = (above_i, tied_i, matched_i), (above_t, tied_t, torch.ones(m, dtype=torch.int64))
        return _ranks(*i2t), _ranks(*t2i)

    # So far, every query was asked among its own tile alone.
    tiles = counted() if n > BLOCK else None
    for a, b, _, _ in blocks:
        for e, _, c, d in blocks:
            if e != a:
                count(images[a:b] @ texts[c:d].T, slice(a, b), slice(c, d))
    i2t, t2i = counted()
    return Ranked(split=split, image=image, text=text, i2t=i2t, t2i=t2i, tiles=tiles)


def _ranks(above: Tensor, tied: Tensor, matched: Tensor) -> Ranks:
    return Ranks(above=above.numpy().copy(), tied=tied.numpy().copy(), matched=matched.numpy().copy())


def _part(side: Ranks, start: int, stop: int) -> Ranks:
    return Ranks(above=side.above[start:stop], tied=side.tied[start:stop], matched=side.matched[start:stop])


def rsum(ranked: Ranked) -> float:
    """Return the sum of R@1, R@5 and R@10 of both directions in percent, 0..600, ties lost."""
    return float(sum(100.0 * side.hits(k).mean() for side in (ranked.i2t, ranked.t2i) for k in KS))
