"""Paired comparisons against scipy, against the bootstrap, and against simulated truths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats

from harness.errors import ScoreError
from harness.statistics import FIGURES, Sample, compare, paired_bootstrap
from harness.statistics.student import combined


def planted(differing: int, images: int = 100) -> tuple[Sample, Sample]:
    """Two runs that give rank 1 everywhere, but the second rank 20 for the first images and their captions."""
    owner = np.repeat(np.arange(images), 2)
    ones = Sample(np.ones(images, dtype=int), np.ones(2 * images, dtype=int), owner)
    worse = np.where(np.arange(images) < differing, 20, 1)
    return ones, Sample(worse, worse[owner], owner)


@pytest.mark.parametrize("k", [1, 5, 10])
def test_i2t_is_the_paired_t_test_on_hits(world: Any, k: int) -> None:
    a, b = world(1).sample(300, skill=0.2), world(1).sample(300, run=1)
    found = compare([a], [b], figure=f"i2t.recall@{k}")
    known = scipy.stats.ttest_rel((a.i2t <= k).astype(float), (b.i2t <= k).astype(float))
    assert found.p_value == pytest.approx(known.pvalue, rel=1e-9)
    low, high = known.confidence_interval(0.95)
    assert (found.interval.low, found.interval.high) == (pytest.approx(low), pytest.approx(high))
    assert found.difference == pytest.approx(found.se * known.statistic)
    assert (found.df, found.images, found.seeds, found.over_seeds) == (299, 300, (1, 1), False)


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize("captions", [5, (1, 5, 7)])
def test_it_agrees_with_the_paired_bootstrap(world: Any, figure: str, captions: Any) -> None:
    a, b = ([world(2).sample(2000, captions, skill=s, run=r)] for s, r in ((0.05, 0), (0.0, 1)))
    tested = compare(a, b, figure=figure)
    drawn = paired_bootstrap(a, b, resamples=2000)[figure]
    assert drawn.low == pytest.approx(tested.interval.low, abs=0.1 * tested.interval.half)
    assert drawn.high == pytest.approx(tested.interval.high, abs=0.1 * tested.interval.half)
    assert tested.difference == pytest.approx(a[0].figures()[figure] - b[0].figures()[figure])


@pytest.mark.parametrize("figure", ["rsum", "t2i.recall@1"])
def test_equal_methods_are_told_apart_one_time_in_twenty(world: Any, figure: str) -> None:
    wrong = 0
    for gallery in range(600):
        a, b = ([world(gallery).sample(100, (1, 5, 7), run=run)] for run in (1, 2))
        wrong += compare(a, b, figure=figure).distinct
    assert 0.025 <= wrong / 600 <= 0.08, wrong


def test_with_seeds_it_speaks_of_methods_and_not_of_runs(world: Any) -> None:
    """Two equal methods whose runs vary: by lone runs they seem to differ, over seeds they do not."""
    lone = several = 0
    for trial in range(300):
        luck = np.random.default_rng(trial).normal(scale=0.3, size=6)
        runs = [world(trial).sample(200, run=run, skill=skill) for run, skill in enumerate(luck)]
        lone += compare(runs[:1], runs[3:4]).distinct
        several += compare(runs[:3], runs[3:]).distinct
    assert lone / 300 > 0.15, lone
    assert several / 300 <= 0.08, several


def test_a_difference_that_is_there_is_found_over_seeds(world: Any) -> None:
    a, b = ([world(1).sample(1000, skill=s, run=r) for r in range(f, f + 3)] for s, f in ((0.3, 0), (0.0, 3)))
    found = compare(a, b)
    assert found.over_seeds
    assert found.seeds == (3, 3)
    assert found.distinct
    means = [np.mean([sample.figures()["rsum"] for sample in side]) for side in (a, b)]
    assert found.difference == pytest.approx(means[0] - means[1])
    gaps = np.mean([s.hits for s in a], axis=0) - np.mean([s.hits for s in b], axis=0)
    gaps[:, 3:] /= 5
    parts = [np.var(100 * gaps.sum(axis=1), ddof=1) / 1000]
    parts += [np.var([s.figures()["rsum"] for s in side], ddof=1) / 3 for side in (a, b)]
    assert found.se == pytest.approx(np.sqrt(sum(parts)))
    assert found.df == pytest.approx(
        sum(parts) ** 2 / (parts[0] ** 2 / 999 + (parts[1] ** 2 + parts[2] ** 2) / 2)
    )


def test_one_side_with_one_seed_counts_images_alone(world: Any) -> None:
    runs = [world(1).sample(100, run=run) for run in range(3)]
    found = compare(runs[:2], runs[2:])
    assert (found.seeds, found.over_seeds, found.df) == ((2, 1), False, 99)


def test_swapping_the_methods_swaps_the_sign(world: Any) -> None:
    a, b = [world(1).sample(80)], [world(1).sample(80, run=1)]
    one, other = compare(a, b), compare(b, a)
    assert one.difference == -other.difference
    assert (one.interval.low, one.interval.high) == (-other.interval.high, -other.interval.low)
    assert one.p_value == other.p_value


def test_a_run_is_not_told_apart_from_itself(world: Any) -> None:
    sample = world(1).sample(80)
    found = compare([sample], [sample])
    assert (found.difference, found.p_value, found.se, found.differing) == (0.0, 1.0, 0.0, 0)
    assert (found.interval.low, found.interval.high) == (0.0, 0.0)
    assert not found.distinct


@pytest.mark.parametrize(
    ("differing", "distinct"), [(1, False), (4, False), (5, False), (6, True), (12, True)]
)
def test_a_handful_of_images_tells_nothing_apart(differing: int, distinct: bool) -> None:
    """With 5 images on one side, swapping methods at random gives as much once in 16: no test can hold at 5 %."""
    one, other = planted(differing)
    found = compare([one], [other], figure="i2t.recall@1")
    assert found.differing == differing
    assert found.difference == pytest.approx(differing / 100)
    assert found.p_value >= 2.0 ** (1 - differing)
    assert found.p_value >= scipy.stats.binomtest(differing, differing).pvalue
    assert found.distinct is distinct


def test_a_difference_on_every_image_is_as_sure_as_there_are_images() -> None:
    one, other = planted(8, images=8)
    found = compare([one], [other])
    assert (found.difference, found.se, found.p_value) == (600.0, 0.0, 2.0**-7)


def test_what_cannot_be_paired_is_refused(world: Any) -> None:
    one = world(1).sample(10)
    with pytest.raises(ScoreError, match="different galleries"):
        compare([one], [world(1).sample(11)])
    with pytest.raises(ScoreError, match="both methods"):
        compare([one], [])
    alone = world(1).sample(1)
    with pytest.raises(ScoreError, match="one image"):
        compare([alone], [alone])


def test_errors_add_as_welch_adds_them() -> None:
    """Against scipy's Welch test of two groups."""
    draw = np.random.default_rng(3)
    x, y = draw.normal(size=7), draw.normal(scale=3, size=11)
    error = combined([(x.var(ddof=1) / 7, 6), (y.var(ddof=1) / 11, 10)])
    known = scipy.stats.ttest_ind(x, y, equal_var=False)
    assert error.df == pytest.approx(known.df)
    assert error.probability(x.mean() - y.mean()) == pytest.approx(known.pvalue)
    tiny = combined([(x.var(ddof=1) * 1e-300, 6), (y.var(ddof=1) * 1e-300, 10)])
    assert tiny.df == pytest.approx(combined([(x.var(ddof=1), 6), (y.var(ddof=1), 10)]).df)
