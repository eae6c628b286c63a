"""Numbers of images and seeds: against tables of others, and against simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats

from harness.errors import ParameterError
from harness.statistics import (
    binomial_sd,
    compare,
    detectable,
    images_needed,
    paired_sd,
    power,
    power_of,
    seed_sd,
    seeds_needed,
)


@pytest.mark.parametrize(("d", "known"), [(0.2, 393), (0.5, 64), (0.8, 26), (1.0, 17), (1.2, 12)])
def test_two_groups_are_those_of_cohens_table(d: float, known: int) -> None:
    """Cohen, Statistical Power Analysis (1988), table 2.4.1: a2 = .05, power .80; its 393 is 394 when rounded up."""
    assert seeds_needed(d, 1.0) - known in (0, 1)


@pytest.mark.parametrize(
    ("d", "alpha", "aim"), [(3.0, 0.05, 0.8), (0.5, 0.05, 0.8), (0.3, 0.01, 0.9), (0.2, 0.05, 0.8)]
)
def test_the_number_is_the_least_that_is_enough(d: float, alpha: float, aim: float) -> None:
    """By scipy's noncentral t distribution."""

    def reached(n: int) -> float:
        critical = scipy.stats.t.ppf(1 - alpha / 2, n - 1)
        return float(scipy.stats.nct.sf(critical, n - 1, d * np.sqrt(n)))

    found = images_needed(d, 1.0, alpha=alpha, power=aim)
    assert reached(found) >= aim
    assert found == 2 or reached(found - 1) < aim
    assert power_of(d, found, 1.0, alpha=alpha) == pytest.approx(reached(found), abs=1e-6)


def test_large_numbers_follow_the_normal_formula() -> None:
    assert images_needed(0.01, 0.5) == pytest.approx((1.959964 + 0.841621) ** 2 * 2500, rel=1e-3)
    assert images_needed(0.005, 0.5) == pytest.approx(4 * images_needed(0.01, 0.5), rel=1e-3)
    assert seeds_needed(0.02, 1.0) == pytest.approx(2 * images_needed(0.02, 1.0), rel=1e-3)
    assert images_needed(1.0, 0.0) == seeds_needed(1.0, 0.0) == 2


@pytest.mark.parametrize("images", [5, 50, 300, 5000])
def test_what_can_be_detected_needs_that_many_images(images: int) -> None:
    delta = detectable(images, 0.4)
    assert power_of(delta, images, 0.4) == pytest.approx(0.8, abs=1e-3)
    assert images_needed(delta * 1.001, 0.4) <= images
    assert images_needed(delta * 0.98, 0.4) > images or images == 5
    assert detectable(images, 0.0) == 0.0


def test_the_promised_power_is_reached_in_simulation(world: Any) -> None:
    """With so many images as `power` says, the test finds the difference about four times in five."""
    a, b = ([world(10**6).sample(50_000, skill=skill, run=run)] for run, skill in ((0, 0.12), (1, 0.0)))
    delta = compare(a, b).difference
    images = power(delta, a, b).images
    found = 0
    for gallery in range(250):
        one, other = ([world(gallery).sample(images, skill=s, run=r)] for r, s in ((0, 0.12), (1, 0.0)))
        found += compare(one, other).distinct
    assert 0.70 <= found / 250 <= 0.90, found


def test_power_rests_on_the_measured_variances(world: Any) -> None:
    a, b = (
        [world(1).sample(300, run=run, skill=0.1 * (run % 3)) for run in runs]
        for runs in (range(3), range(3, 6))
    )
    found = power(2.0, a, b)
    assert found.sd_images == paired_sd(a, b)
    assert found.sd_images / np.sqrt(300) < compare(a, b).se
    assert found.images == images_needed(2.0, found.sd_images)
    values = [[sample.figures()["rsum"] for sample in side] for side in (a, b)]
    assert found.sd_seeds == pytest.approx(np.sqrt(np.mean([np.var(side, ddof=1) for side in values])))
    assert found.seeds == seeds_needed(2.0, found.sd_seeds or 0.0)
    lone = power(2.0, a[:1], b[:1])
    assert (lone.seeds, lone.sd_seeds, seed_sd([a[:1], b[:1]])) == (None, None, None)


@pytest.mark.parametrize(
    ("captions", "icc", "correlation"), [(1, 0.0, 0.0), (1, 0.0, 0.6), (5, 0.4, 0.0), (5, 1.0, 0.5)]
)
def test_the_binomial_is_that_of_simulated_hits(captions: int, icc: float, correlation: float) -> None:
    """Hits of correlation r: with probability r the coin of the whole image, else one of its own."""
    draw = np.random.default_rng(1)
    images, p = 60_000, 0.7

    def mixed(shared: Any, share: float, size: Any) -> Any:
        own = draw.random(size) < p
        return np.where(draw.random(size) < share, np.broadcast_to(shared, size), own)

    # Two captions of an image share a hit with probability icc; methods share all with that of `correlation`.
    def hits() -> Any:
        image = draw.random((images, 1)) < p
        return mixed(image, np.sqrt(icc), (images, captions)).mean(axis=1)

    one, other = hits(), hits()
    same = draw.random(images) < correlation
    sd = np.std(one - np.where(same, one, other))
    assert binomial_sd(p, captions=captions, icc=icc, correlation=correlation) == pytest.approx(sd, rel=0.03)


@pytest.mark.parametrize("arguments", [(0.0, 1.0), (-1.0, 1.0), (float("nan"), 1.0)])
def test_a_difference_that_is_none_is_refused(arguments: tuple[float, float]) -> None:
    for ask in (images_needed, seeds_needed):
        with pytest.raises(ParameterError, match="cannot be told apart"):
            ask(*arguments)


def test_levels_and_shares_out_of_range_are_refused() -> None:
    for options in ({"alpha": 0.0}, {"alpha": 1.0}, {"power": 1.0}, {"power": 0.0}):
        with pytest.raises(ParameterError, match="between 0 and 1"):
            images_needed(1.0, 1.0, **options)
    for options in ({"captions": 0.5}, {"icc": 1.1}, {"correlation": 1.0}):
        with pytest.raises(ParameterError, match="out of range"):
            binomial_sd(0.5, **options)
    for recall in (0.0, 1.0, 70.0):
        with pytest.raises(ParameterError, match="out of range"):
            binomial_sd(recall)
