"""What each image contributes to a figure: the figure is their mean, so that tests over images apply."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.statistics.sample import KS, RECALLS, RSUM, Sample, known

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Contributions:
    """A figure of one method on one gallery, image by image, averaged over its seeds.

    Attributes:
        figure: its name.
        value: the figure.
        images: (n,) linearised contributions; their mean is `value`.
        hits: (n, 1 or 6) hits of each image, or of its captions, in the recalls that the figure is made of.
        seeds: the figure of each seed.
    """

    figure: str
    value: float
    images: Floats
    hits: Floats
    seeds: tuple[float, ...]

    @property
    def seed_variance(self) -> float:
        """Variance between seeds, with seeds - 1 in the denominator; NaN for one seed."""
        import numpy as np

        return float(np.var(self.seeds, ddof=1)) if len(self.seeds) > 1 else math.nan


def contributions(samples: Sequence[Sample], figure: str) -> Contributions:
    """Linearise a figure over images.

    A recall is a ratio of sums over images, R = sum x / sum c with x hits of c queries; image i contributes
    R + (x_i - R c_i) / mean(c) (Taylor linearisation: Cochran 1977, chapter 6). For i2t, c = 1 and the
    contribution is the hit itself. rSum adds those of the six recalls, in percent.

    Args:
        samples: of one method on one gallery, one a seed.
        figure: one of `FIGURES`.

    Raises:
        ParameterError: if there is no such figure.
    """
    import numpy as np

    columns = range(len(RECALLS)) if known(figure) == RSUM else [RECALLS.index(figure)]
    scale = 100.0 if figure == RSUM else 1.0
    captions = samples[0].captions
    hits = np.mean([sample.hits for sample in samples], axis=0)
    total = np.zeros(len(captions))
    for column in columns:
        queries = np.ones(len(captions)) if column < len(KS) else captions
        ratio = hits[:, column].sum() / queries.sum()
        total += ratio + (hits[:, column] - ratio * queries) / queries.mean()
    return Contributions(
        figure=figure,
        value=scale * float(total.mean()),
        images=scale * total,
        hits=hits[:, list(columns)],
        seeds=tuple(sample.figures()[figure] for sample in samples),
    )
