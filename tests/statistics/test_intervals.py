"""The bootstrap over images: exact against plain loops, of true coverage, of equal bytes."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from harness.errors import ParameterError, ScoreError
from harness.specs import Scale
from harness.statistics import (
    FIGURES,
    RECALLS,
    Interval,
    Sample,
    bootstrap,
    paired_bootstrap,
    ratio_bootstrap,
)
from harness.statistics.intervals import draw_counts


def by_loops(samples: list[Sample], resamples: int, seed: int) -> dict[str, list[float]]:
    """Return all resampled figures, by drawing images from the raw stream one by one."""
    stream, images = np.random.PCG64(seed), samples[0].images
    found: dict[str, list[float]] = {name: [] for name in FIGURES}
    for _ in range(resamples):
        drawn = [(int(stream.random_raw()) >> 32) * images >> 32 for _ in range(images)]
        means = dict.fromkeys(FIGURES, 0.0)
        for sample in samples:
            i2t = [sample.i2t[image] for image in drawn]
            t2i = [rank for image in drawn for rank in sample.t2i[sample.owner == image]]
            total = 0.0
            for side, ranks in (("i2t", i2t), ("t2i", t2i)):
                for k in (1, 5, 10):
                    recall = sum(rank <= k for rank in ranks) / len(ranks)
                    means[f"{side}.recall@{k}"] += recall / len(samples)
                    total += 100.0 * recall
            means["rsum"] += total / len(samples)
        for name, value in means.items():
            found[name].append(value)
    return found


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_bootstrap_is_that_of_plain_loops(world: Any, seeds: int) -> None:
    samples = [world(1).sample(23, (1, 5, 7), run=run) for run in range(seeds)]
    found = bootstrap(samples, resamples=79, seed=7)
    for name, values in by_loops(samples, 79, 7).items():
        # floor(80 x 0.025) = 2: the second from below and from above.
        assert found[name].low == pytest.approx(sorted(values)[1], rel=1e-12)
        assert found[name].high == pytest.approx(sorted(values)[-2], rel=1e-12)


def test_the_paired_bootstrap_draws_the_same_images_for_both(world: Any) -> None:
    a, b = ([world(1).sample(23, (1, 5, 7), run=run, skill=skill)] for run, skill in ((0, 0.4), (1, 0.0)))
    found = paired_bootstrap(a, b, resamples=79, seed=7)
    first, second = by_loops(a, 79, 7), by_loops(b, 79, 7)
    for name in FIGURES:
        gaps = sorted(x - y for x, y in zip(first[name], second[name], strict=True))
        assert found[name].low == pytest.approx(gaps[1], abs=1e-9)
        assert found[name].high == pytest.approx(gaps[-2], abs=1e-9)


def test_equal_bytes_on_every_machine(world: Any) -> None:
    """Known values of the draw and of intervals, written down once: ranks here use no library's distribution."""
    counts = np.concatenate(list(draw_counts(1000, 100, 0))).astype(np.uint8)
    assert counts.sum(axis=1).tolist() == [1000] * 100
    assert hashlib.sha256(counts.tobytes()).hexdigest()[:16] == "7104cee0bbde7ad6"
    places = np.arange(500)
    sample = Sample(places * 7 % 23 + 1, np.arange(2500) * 11 % 37 + 1, np.repeat(places, 5))
    found = bootstrap([sample])
    assert found == bootstrap([sample])
    assert found["i2t.recall@1"] == Interval(low=0.026, high=0.064)
    assert found["rsum"] == Interval(low=104.0, high=120.96000000000001)
    assert bootstrap([sample], seed=1) != found


def test_blocks_change_nothing(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = world(1).sample(50)
    whole = bootstrap([sample])
    monkeypatch.setattr("harness.statistics.intervals._CELLS", 170)
    assert bootstrap([sample]) == whole


@pytest.mark.parametrize("captions", [5, (1, 5, 7)])
def test_intervals_cover_the_truth_as_often_as_they_say(world: Any, captions: Any) -> None:
    """Of 400 galleries, drawn each with images of its own, 95 % hold the figure of a huge one."""
    truth = world(10**6).sample(200_000, captions).figures()
    covered = dict.fromkeys(FIGURES, 0)
    for gallery in range(400):
        found = bootstrap([world(gallery).sample(200, captions)], resamples=399, seed=gallery)
        for name in FIGURES:
            covered[name] += found[name].holds(truth[name])
    # Four standard errors of 400 draws at 95 % are 4.4 points; a percentile interval is a little short.
    assert all(0.90 <= count / 400 <= 0.99 for count in covered.values()), covered


def test_an_interval_that_forgets_the_images_would_be_too_short(world: Any) -> None:
    """Captions of an image agree: the interval over images is wider than one over captions."""
    sample = world(0).sample(1000)
    lone = Sample(sample.t2i, sample.t2i, np.arange(len(sample.t2i)))
    over_images = bootstrap([sample])["t2i.recall@5"].half
    over_captions = bootstrap([lone])["t2i.recall@5"].half
    assert over_images > 1.3 * over_captions


def test_the_interval_of_the_mean_of_seeds_is_shorter(world: Any) -> None:
    samples = [world(4).sample(1000, run=run) for run in range(5)]
    assert bootstrap(samples)["rsum"].half < 0.9 * bootstrap(samples[:1])["rsum"].half


@pytest.mark.parametrize(
    ("rank", "low", "high"), [(1, 0.025 ** (1 / 40), 1.0), (99, 0.0, 1 - 0.025 ** (1 / 40))]
)
def test_all_hits_or_none_are_not_called_certain(rank: int, low: float, high: float) -> None:
    sample = Sample(np.full(40, rank), np.full(200, rank), np.repeat(np.arange(40), 5))
    found = bootstrap([sample])
    for name in FIGURES[:6]:
        assert (found[name].low, found[name].high) == (round(low, 6), round(high, 6))
    assert found["rsum"].low == pytest.approx(600 * low, abs=1e-3)
    assert found["rsum"].high == pytest.approx(600 * high, abs=1e-3)


def test_a_random_scorer_has_chance_in_its_interval() -> None:
    images, captions = 1000, 5
    draw = np.random.default_rng(5)
    owner = np.repeat(np.arange(images), captions)
    t2i = draw.integers(1, images + 1, images * captions)
    # The best of five places among 5,000.
    i2t = np.array([draw.choice(images * captions, captions, replace=False).min() + 1 for _ in range(images)])
    found = bootstrap([Sample(i2t, t2i, owner)])
    for k in (1, 5, 10):
        assert found[f"t2i.recall@{k}"].holds(k / images)
        assert found[f"i2t.recall@{k}"].holds(1 - (1 - k / (images * captions)) ** captions)


def test_different_galleries_and_too_few_resamples_are_refused(world: Any) -> None:
    one, other = world(1).sample(10, 5), world(1).sample(10, (4, 6))
    with pytest.raises(ScoreError, match="different galleries"):
        bootstrap([one, other])
    with pytest.raises(ScoreError, match="different galleries"):
        paired_bootstrap([one], [other])
    with pytest.raises(ScoreError, match="no ranks"):
        bootstrap([])
    with pytest.raises(ParameterError, match="too few"):
        bootstrap([one], resamples=39)


def test_an_interval_knows_its_half_and_what_it_holds() -> None:
    interval = Interval(low=1.0, high=4.0)
    assert interval.half == 1.5
    assert [interval.holds(value) for value in (0.9, 1.0, 4.0, 4.1)] == [False, True, True, False]


def as_shares(sample: Sample) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    queries = {"i2t": np.ones(sample.images), "t2i": sample.captions}
    return {name: (sample.hits[:, k], queries[name[:3]]) for k, name in enumerate(RECALLS)}


def test_ratios_of_sums_have_the_intervals_of_recalls(world: Any) -> None:
    sample = world(1).sample(60, (1, 5, 7))
    found, recalls = (
        ratio_bootstrap(as_shares(sample), resamples=200, seed=3),
        bootstrap([sample], resamples=200, seed=3),
    )
    for name in RECALLS:
        assert (found[name].low, found[name].high) == pytest.approx(
            (recalls[name].low, recalls[name].high), abs=1e-6
        )
        assert 0.0 < found[name].high - found[name].low < 1.0
    assert ratio_bootstrap({}) == {}
    with pytest.raises(ParameterError, match="39 resamples"):
        ratio_bootstrap(as_shares(sample), resamples=39)


def test_ratios_of_which_no_resample_differs_are_not_taken_for_certain() -> None:
    one, none, asked = np.ones(1000), np.zeros(1000), (np.arange(1000) < 50).astype(float)
    found = ratio_bootstrap({"all": (one, one), "none": (none, one), "few": (none, asked)})
    assert (found["all"].low, found["all"].high) == (pytest.approx(0.025**0.001, abs=1e-6), 1.0)
    assert (found["none"].low, found["none"].high) == (0.0, pytest.approx(1 - 0.025**0.001, abs=1e-6))
    # Images that nothing is asked of say nothing.
    assert found["few"].high == pytest.approx(1 - 0.025**0.02, abs=1e-6)


TAU, RATE = Scale(better="higher", best=1.0, worst=-1.0), Scale(better="lower", best=0.0, worst=1.0)


def test_the_bound_of_a_rate_is_not_that_of_a_correlation() -> None:
    one, none = np.ones(50), np.zeros(50)
    shares = {"tau": (none, one), "perfect": (one, one), "confusion": (none, one), "open": (none, one)}
    scales = {"tau": TAU, "perf*": TAU, "confusion": RATE, "open": Scale(better="higher", worst=0.0)}
    found = ratio_bootstrap(shares, scales=scales)
    assert found["tau"] == found["open"] == Interval(low=0.0, high=0.0)
    assert found["perfect"] == Interval(low=1.0, high=1.0)
    assert found["confusion"] == Interval(low=0.0, high=round(1 - 0.025**0.02, 6))


def test_no_bound_lies_beyond_an_end_of_the_scale() -> None:
    sums = np.where(np.arange(50) % 5 == 0, -4.0, 2.2)
    shares = {name: (sign * sums, np.ones(50)) for name, sign in (("up", 1.0), ("down", -1.0))}
    free, held = ratio_bootstrap(shares), ratio_bootstrap(shares, scales={"*": TAU})
    assert free["up"].high > 1.0
    assert free["down"].low < -1.0
    assert held["up"] == Interval(low=free["up"].low, high=1.0)
    assert held["down"] == Interval(low=-1.0, high=free["down"].high)


def test_an_undeclared_figure_is_a_rate_if_no_image_adds_more_than_it_counts() -> None:
    one, none = np.ones(50), np.zeros(50)
    found = ratio_bootstrap({"rate": (none, one), "rank": (2 * one, one)})
    assert found["rate"].high > 0.0
    assert found["rank"] == Interval(low=2.0, high=2.0)
