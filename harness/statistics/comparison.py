"""Two methods on the same images: their difference, and whether a test can tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import ScoreError
from harness.statistics.contributions import Contributions, contributions
from harness.statistics.intervals import Interval
from harness.statistics.sample import RSUM, Sample, one_gallery
from harness.statistics.student import combined

ALPHA = 0.05


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The difference a - b of one figure, in its unit.

    Attributes:
        figure: its name.
        difference: of the means over seeds.
        interval: 95 %, of Student's t.
        p_value: two-sided, of the hypothesis that there is no difference.
        se: standard error of the difference.
        df: degrees of freedom.
        images: number of images.
        differing: images on which the methods differ at all.
        seeds: number of runs of each method.
    """

    figure: str
    difference: float
    interval: Interval
    p_value: float
    se: float
    df: float
    images: int
    differing: int
    seeds: tuple[int, int]

    @property
    def over_seeds(self) -> bool:
        """Whether the variance between seeds is counted: the test then speaks of methods, else of these runs."""
        return min(self.seeds) > 1

    @property
    def distinct(self) -> bool:
        """Whether the test tells them apart at 5 %."""
        return self.p_value < ALPHA


def compare(a: Sequence[Sample], b: Sequence[Sample], *, figure: str = RSUM) -> Comparison:
    """Compare two methods, paired over images.

    The differences of what each image contributes (see `contributions`) are tested against 0 with Student's t; in
    large galleries this equals the paired bootstrap over images. Where both methods have two seeds or more,
    se² = se_images² + s_a²/n_a + s_b²/n_b with the degrees of freedom of Welch (1947) and Satterthwaite (1946);
    seeds of the two are taken as independent. That an image's own noise from seed to seed is in both terms makes
    the test a little conservative. p is never below 2^(1-k) with k images that differ: the least that a
    randomisation test, which swaps the methods image by image, can give (Edgington 1995).

    Args:
        a, b: one sample a seed, all of one gallery of two images or more.
        figure: one of `FIGURES`.

    Raises:
        ScoreError: if samples are of different galleries, or of one image.
        ParameterError: if there is no such figure.
    """
    if not a or not b:
        raise ScoreError("a comparison needs ranks of both methods")
    one_gallery([*a, *b])
    if a[0].images < 2:
        raise ScoreError(
            "a gallery of one image has no variance between images: nothing can be compared on it"
        )
    return compared(contributions(a, figure), contributions(b, figure))


def compared(a: Contributions, b: Contributions) -> Comparison:
    """Compare as `compare` does, from contributions that are at hand."""
    import numpy as np

    images = len(a.images)
    error = combined(
        [
            (float(np.var(a.images - b.images, ddof=1)) / images, images - 1),
            *seed_terms((a, b)),
        ]
    )
    difference = a.value - b.value
    differing = int((a.hits != b.hits).any(axis=1).sum())
    return Comparison(
        figure=a.figure,
        difference=difference,
        interval=error.interval(difference),
        p_value=min(1.0, max(error.probability(difference), 2.0 ** (1 - differing))),
        se=error.se,
        df=error.df,
        images=images,
        differing=differing,
        seeds=(len(a.seeds), len(b.seeds)),
    )


def seed_terms(sides: Sequence[Contributions]) -> list[tuple[float, int]]:
    """Return the variance of each method's mean over seeds with its degrees of freedom; none if one has one seed."""
    if min(len(side.seeds) for side in sides) < 2:
        return []
    return [(side.seed_variance / len(side.seeds), len(side.seeds) - 1) for side in sides]
