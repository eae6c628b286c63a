"""Figures of a sample against plain loops, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.errors import ParameterError, ScoreError
from harness.statistics import FIGURES, Sample, compare, same_ranks
from harness.statistics.contributions import contributions


def loops(sample: Sample) -> dict[str, float]:
    """Return the figures as a beginner would count them."""
    figures = {}
    for side, ranks in (("i2t", sample.i2t), ("t2i", sample.t2i)):
        for k in (1, 5, 10):
            hits = 0
            for rank in ranks:
                if rank <= k:
                    hits += 1
            figures[f"{side}.recall@{k}"] = hits / len(ranks)
    figures["rsum"] = 100.0 * sum(figures.values())
    return figures


@pytest.mark.parametrize("captions", [1, 5, (1, 5, 7), (0, 2)])
def test_figures_are_those_of_plain_loops(world: Any, captions: Any) -> None:
    sample = world(1).sample(61, captions)
    assert sample.figures() == loops(sample)
    assert tuple(sample.figures()) == FIGURES


def test_captions_need_not_stand_together(world: Any) -> None:
    sample = world(1).sample(61, (1, 5, 7))
    order = np.random.default_rng(0).permutation(len(sample.t2i))
    mixed = Sample(sample.i2t, sample.t2i[order], sample.owner[order])
    assert mixed.figures() == sample.figures()
    assert np.array_equal(mixed.hits, sample.hits)


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize("captions", [5, (1, 5, 7)])
def test_contributions_have_the_figure_as_their_mean(world: Any, figure: str, captions: Any) -> None:
    samples = [world(2).sample(100, captions, run=run) for run in range(3)]
    found = contributions(samples, figure)
    mean = np.mean([loops(sample)[figure] for sample in samples])
    assert found.value == pytest.approx(mean, rel=1e-12)
    assert found.images.mean() == pytest.approx(mean, rel=1e-12)
    assert found.seeds == tuple(sample.figures()[figure] for sample in samples)
    assert found.seed_variance == pytest.approx(np.var(found.seeds, ddof=1))


def test_a_contribution_is_the_jackknife_of_its_image(world: Any) -> None:
    """Leaving an image out moves a recall as its linearised contribution says, to second order."""
    sample = world(3).sample(400, (1, 5, 7))
    found = contributions([sample], "t2i.recall@5")
    for image in (0, 1, 2, 200):
        kept = sample.owner != image
        without = float((sample.t2i[kept] <= 5).mean())
        pseudo = 400 * found.value - 399 * without
        assert found.images[image] == pytest.approx(pseudo, abs=0.05)


@pytest.mark.parametrize(
    ("i2t", "t2i", "owner", "words"),
    [
        ([1, 2], [1, 1, 1], [0, 1], "one rank for each"),
        ([1, 2], [1, 1], [0, 2], "no position"),
        ([1, 2], [1, 1], [-1, 0], "no position"),
        ([1, 2], [1, 1], [0.0, 1.0], "no position"),
        ([1, 0], [1, 1], [0, 1], "below 1 or NaN"),
        ([1, 2], [1, np.nan], [0, 1], "below 1 or NaN"),
        ([], [], [], "one rank for each"),
    ],
)
def test_what_is_no_sample_is_refused(i2t: Any, t2i: Any, owner: Any, words: str) -> None:
    with pytest.raises(ScoreError, match=words):
        Sample(np.array(i2t), np.array(t2i), np.array(owner))


def test_the_same_ranks_are_the_same_seed_by_seed(world: Any) -> None:
    one, other = (world(3).sample(run=run) for run in range(2))
    again = world(3).sample()
    assert same_ranks([one, other], [again, other])
    assert not same_ranks([one, other], [other, one])
    assert not same_ranks([one], [one, one])
    moved = Sample(one.i2t, np.where(np.arange(len(one.t2i)) == 7, one.t2i + 1, one.t2i), one.owner)
    assert not same_ranks([one], [moved])


def test_an_unknown_figure_is_answered_with_the_nearest(world: Any) -> None:
    sample = world(1).sample(10)
    with pytest.raises(ParameterError, match=r"i2t\.recal@1.*i2t\.recall@1"):
        compare([sample], [sample], figure="i2t.recal@1")
