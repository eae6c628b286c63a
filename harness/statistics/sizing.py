"""How many images or seeds it takes to tell a difference apart. Two-sided t-tests; deltas in the unit of the figure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.errors import ParameterError
from harness.statistics.comparison import ALPHA
from harness.statistics.contributions import contributions
from harness.statistics.sample import RSUM, Sample, one_gallery
from harness.statistics.student import seed_variance

POWER = 0.8

_EXACT = 200
"""Up to so many, the noncentral t distribution is searched; above, the formula is as good."""


@dataclass(frozen=True, kw_only=True)
class Needed:
    """What it takes to tell a difference.

    Attributes:
        images: number of test images, for these trained runs.
        seeds: runs of each method, on these images; ``None`` where no method has two seeds.
        sd_images: standard deviation over images of the paired difference.
        sd_seeds: standard deviation between seeds, pooled over both methods; ``None`` as `seeds`.
    """

    images: int
    seeds: int | None
    sd_images: float
    sd_seeds: float | None


def power(
    delta: float,
    a: Sequence[Sample],
    b: Sequence[Sample],
    *,
    figure: str = RSUM,
    alpha: float = ALPHA,
    power: float = POWER,
) -> Needed:
    """Return what it takes to tell two methods apart that differ by `delta`, from the variances of two measured ones.

    Args:
        delta: in the unit of the figure: 0.01 is one point of a recall, 1.0 one of rSum.
        a, b: one sample a seed, all of one gallery of two images or more.
        alpha: level of the test; `power`: probability that it finds the difference.

    Raises:
        ScoreError: if samples are of different galleries.
        ParameterError: if `delta` is not above 0, or `alpha` or `power` not within 0 and 1.
    """
    sd = paired_sd(a, b, figure=figure)
    spread = seed_sd([a, b], figure=figure)
    return Needed(
        images=images_needed(delta, sd, alpha=alpha, power=power),
        seeds=None if spread is None else seeds_needed(delta, spread, alpha=alpha, power=power),
        sd_images=sd,
        sd_seeds=spread,
    )


def paired_sd(a: Sequence[Sample], b: Sequence[Sample], *, figure: str = RSUM) -> float:
    """Return the standard deviation over images of what they contribute to the difference, see `contributions`."""
    import numpy as np

    one_gallery([*a, *b])
    return float(np.std(contributions(a, figure).images - contributions(b, figure).images, ddof=1))


def seed_sd(methods: Sequence[Sequence[Sample]], *, figure: str = RSUM) -> float | None:
    """Return the standard deviation between seeds, pooled over methods; ``None`` where none has two."""
    variance, df = seed_variance([[sample.figures()[figure] for sample in samples] for samples in methods])
    return math.sqrt(variance) if df else None


def binomial_sd(recall: float, *, captions: float = 1.0, icc: float = 0.0, correlation: float = 0.0) -> float:
    """Return the standard deviation over images of a difference of two recalls, where nothing was measured.

    The variance of one recall per image is p (1 - p) (1 + (c - 1) icc) / c: binomial, with the design effect of
    clusters (Kish 1965). That of a paired difference is twice this times 1 - correlation.

    Args:
        recall: p, 0..1, near which both methods are.
        captions: c, captions of an image as queries; 1 for i2t.
        icc: correlation of the hits of two captions of one image, 0..1.
        correlation: of the hits of both methods, 0 (nothing is shared) to below 1.

    Raises:
        ParameterError: if a value is out of range.
    """
    if not (0.0 < recall < 1.0 and captions >= 1.0 and 0.0 <= icc <= 1.0 and 0.0 <= correlation < 1.0):
        raise ParameterError("a recall, a number of captions or a correlation is out of range")
    one = recall * (1.0 - recall) * (1.0 + (captions - 1.0) * icc) / captions
    return math.sqrt(2.0 * one * (1.0 - correlation))


def images_needed(delta: float, sd: float, *, alpha: float = ALPHA, power: float = POWER) -> int:
    """Return the number of images at which a paired t-test finds `delta` with probability `power`, 2 or more."""
    return _needed(_ratio(delta, sd), 1, alpha, power)


def seeds_needed(delta: float, sd: float, *, alpha: float = ALPHA, power: float = POWER) -> int:
    """Return the seeds of each of two methods at which a t-test between them finds `delta`, 2 or more.

    Args:
        sd: standard deviation between seeds, of each method.
    """
    return _needed(_ratio(delta, sd), 2, alpha, power)


def power_of(delta: float, images: int, sd: float, *, alpha: float = ALPHA) -> float:
    """Return the probability that a paired t-test over `images` (2 or more) finds `delta`."""
    check_test(delta, alpha, POWER)
    return _power(_ratio(delta, sd), images, 1, alpha)


def detectable(images: int, sd: float, *, alpha: float = ALPHA, power: float = POWER) -> float:
    """Return the least difference that a paired t-test over `images` (2 or more) finds with probability `power`."""
    check_test(1.0, alpha, power)
    return sd * _bisect(lambda ratio: _power(ratio, images, 1, alpha) >= power)


def check_test(delta: float, alpha: float, power: float) -> None:
    """Check what a test is asked.

    Raises:
        ParameterError: if `delta` is not above 0, or `alpha` or `power` not within 0 and 1.
    """
    if not delta > 0.0 or math.isnan(delta):
        raise ParameterError(f"a difference of {delta:g} cannot be told apart; give one above 0")
    if not (0.0 < alpha < 1.0 and 0.0 < power < 1.0):
        raise ParameterError(f"alpha {alpha:g} and power {power:g} must lie between 0 and 1")


def _ratio(delta: float, sd: float) -> float:
    return math.inf if sd == 0.0 else delta / sd


def _needed(ratio: float, groups: int, alpha: float, power: float) -> int:
    """Return the size of each of 1 or 2 groups for a difference of `ratio` standard deviations."""
    from scipy.special import ndtri

    check_test(ratio, alpha, power)
    # Guenther (1981): the normal formula, and what the t distribution adds to it.
    level = float(ndtri(1.0 - alpha / 2.0))
    size = groups * ((level + float(ndtri(power))) / ratio) ** 2 + level**2 / (2 * groups)
    if size > _EXACT:
        return math.ceil(size)
    return next(n for n in range(2, 2 * _EXACT) if _power(ratio, n, groups, alpha) >= power)


def _power(ratio: float, size: int, groups: int, alpha: float) -> float:
    from scipy.special import nctdtr, ndtr, ndtri, stdtrit

    if math.isinf(ratio):
        return 1.0
    df, shift = groups * (size - 1), ratio * math.sqrt(size / groups)
    if size > 2 * _EXACT:
        return float(ndtr(shift - float(ndtri(1.0 - alpha / 2.0))))
    critical = float(stdtrit(df, 1.0 - alpha / 2.0))
    return 1.0 - float(nctdtr(df, shift, critical)) if critical - shift > -8.0 else 1.0


def _bisect(enough: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    while not enough(high):
        low, high = high, 2 * high
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
