"""What all statistics start from: the rank of every query of one evaluated gallery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from harness.errors import ParameterError, ScoreError, nearest
from harness.queries import Queries

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

KS = (1, 5, 10)
SIDES = ("i2t", "t2i")
RECALLS = tuple(f"{side}.recall@{k}" for side in SIDES for k in KS)
RSUM = "rsum"
FIGURES = (*RECALLS, RSUM)
"""The figures of a sample: recalls as fractions 0..1, and rSum, the sum of the six in percent, 0..600."""


@dataclass(frozen=True, eq=False)
class Sample:
    """The ranks that one run gave on one gallery.

    Args:
        i2t: (n,) rank of the best caption of each image as a query, from 1; a tie with a wrong item is lost.
        t2i: (m,) rank of its image for each caption as a query, from 1.
        owner: (m,) int, the image of each caption as a position in 0..n-1.

    Raises:
        ScoreError: if the shapes do not fit one another, a rank is below 1 or NaN, or there are no queries.
    """

    i2t: npt.NDArray[Any]
    t2i: npt.NDArray[Any]
    owner: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        import numpy as np

        n, m = len(self.i2t), len(self.t2i)
        if self.i2t.ndim != 1 or self.t2i.ndim != 1 or self.owner.shape != self.t2i.shape or not n or not m:
            raise ScoreError(
                f"ranks of shape {self.i2t.shape} and {self.t2i.shape} with owners of shape {self.owner.shape}: "
                "it must be one rank for each of n images and m captions, and the image of each caption"
            )
        if not np.issubdtype(self.owner.dtype, np.integer) or self.owner.min() < 0 or self.owner.max() >= n:
            raise ScoreError(f"the owner of a caption is no position of one of {n} images")
        # A NaN compares as false, so what is asked is whether all are good.
        if not (self.i2t >= 1).all() or not (self.t2i >= 1).all():
            raise ScoreError("a rank is below 1 or NaN")

    @property
    def images(self) -> int:
        """Number of images, n."""
        return len(self.i2t)

    @cached_property
    def captions(self) -> Floats:
        """(n,): number of captions of each image."""
        import numpy as np

        return np.bincount(self.owner, minlength=self.images).astype(np.float64)

    @cached_property
    def hits(self) -> Floats:
        """(n, 6): hits of each image as a query, then of its captions, in the order of `RECALLS`; whole numbers."""
        import numpy as np

        images = [self.i2t <= k for k in KS]
        captions = [np.bincount(self.owner, weights=self.t2i <= k, minlength=self.images) for k in KS]
        return np.stack([*images, *captions], axis=1).astype(np.float64)

    def figures(self) -> dict[str, float]:
        """Return the figures by name, see `FIGURES`: each recall is hits by queries."""
        sums = self.hits.sum(axis=0).tolist()
        queries = (self.images, float(self.captions.sum()))
        values = [hits / queries[place // len(KS)] for place, hits in enumerate(sums)]
        return dict(zip(RECALLS, values, strict=True)) | {RSUM: 100.0 * sum(values)}


def samples(queries: Queries) -> dict[str, Sample]:
    """Return the sample of each evaluator whose ranks were kept."""
    return {name: Sample(i2t, t2i, queries.owner) for name, (i2t, t2i) in queries.ranks.items()}


def one_gallery(samples: Sequence[Sample]) -> None:
    """Check that samples are of one gallery.

    Raises:
        ScoreError: if there is none, or two have other images or captions.
    """
    import numpy as np

    if not samples:
        raise ScoreError("there are no ranks to make statistics of")
    first = samples[0]
    for other in samples[1:]:
        if other.images != first.images or not np.array_equal(other.owner, first.owner):
            raise ScoreError(
                f"ranks of different galleries cannot be paired: {first.images} images with {len(first.t2i)} "
                f"captions, and {other.images} with {len(other.t2i)}"
            )


def same_ranks(a: Sequence[Sample], b: Sequence[Sample]) -> bool:
    """Tell whether two methods have the same rank for every query, seed by seed."""
    import numpy as np

    return len(a) == len(b) and all(
        np.array_equal(getattr(one, side), getattr(other, side))
        for one, other in zip(a, b, strict=True)
        for side in SIDES
    )


def known(figure: str) -> str:
    """Return the name of a figure.

    Raises:
        ParameterError: if there is none of that name.
    """
    if figure not in FIGURES:
        raise ParameterError(
            f"there are no statistics of figure {figure!r}{nearest(figure, FIGURES)}",
            hint=f"Known: {', '.join(FIGURES)}",
        )
    return figure
