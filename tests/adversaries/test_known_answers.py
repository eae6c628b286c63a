"""The figures of `recall` on planted galleries, from formulas written here; nothing of the suite's own reference."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from statistics import fmean, median

import numpy as np
import pytest

from harness.protocols import Split
from harness.ranking import rank
from harness.testing import planting
from harness.testing.planting import Planted
from harness_recall.recall import Recall

COUNTS = {"one": [1] * 60, "five": [5] * 60, "seven": [7] * 60, "varied": [1, 5, 7] * 20}
K = (1, 5, 10)
SIDES = ("i2t", "t2i")


@pytest.fixture(params=COUNTS)
def counts(request: pytest.FixtureRequest) -> list[int]:
    return COUNTS[request.param]


def figures(planted: Planted, **params: object) -> dict[str, float]:
    ranked = rank(planted.split, planted.image, planted.text)
    return dict(Recall(**params).evaluate(ranked))  # type: ignore[arg-type]


def recalls(found: dict[str, float], prefix: str = "") -> list[float]:
    return [found[f"{prefix}{side}.recall@{k}"] for side in SIDES for k in K]


def chance(counts: Sequence[int]) -> dict[str, float]:
    """Return the recalls of a scorer in random order: of N items c are right, and K of them are seen."""
    n, m = len(counts), sum(counts)
    found = {f"t2i.recall@{k}": k / n for k in K}
    return found | {f"i2t.recall@{k}": fmean(1 - comb(m - c, k) / comb(m, k) for c in counts) for k in K}


def test_constant_scorer(counts: list[int]) -> None:
    planted = planting.collapsed(planting.plain(counts))
    n, m = len(counts), sum(counts)
    found = figures(planted)
    assert recalls(found) == [0.0] * 6
    assert found["rsum"] == 0.0
    assert (found["t2i.median_rank"], found["t2i.mean_rank"]) == (n, n)
    assert found["i2t.median_rank"] == median(1 + m - c for c in counts)
    expected = figures(planted, policy="expected")
    by_chance = chance(counts)
    for name, value in by_chance.items():
        assert found[f"expected.{name}"] == expected[name] == pytest.approx(value)
    assert expected["rsum"] == pytest.approx(100 * sum(by_chance.values()))
    assert expected["t2i.mean_rank"] == pytest.approx((n + 1) / 2)
    assert expected["i2t.mean_rank"] == pytest.approx(fmean((m + 1) / (c + 1) for c in counts))


def test_oracle(counts: list[int]) -> None:
    split = planting.plain(counts)
    for planted in (
        planting.plant(split, planting.oracle_levels(split, seed=3)),
        planting.plant_near(split, (split.caption_image == np.arange(60)[:, None]).astype(np.int64)),
    ):
        found = figures(planted)
        assert recalls(found) == recalls(found, "expected.") == [1.0] * 6
        assert found["rsum"] == pytest.approx(600)
        assert [found[f"{side}.{mean}_rank"] for side in SIDES for mean in ("median", "mean")] == [1.0] * 4


def test_anti_oracle(counts: list[int]) -> None:
    split = planting.plain(counts)
    found = figures(planting.plant(split, -planting.oracle_levels(split, seed=3)))
    assert recalls(found) == recalls(found, "expected.") == [0.0] * 6
    assert found["t2i.mean_rank"] == found["t2i.median_rank"] == 60
    assert found["i2t.mean_rank"] == pytest.approx(fmean(1 + sum(counts) - c for c in counts))


def test_duplicated_images_leave_half(counts: list[int]) -> None:
    split = planting.plain(counts)
    found = figures(planting.twice(planting.plant(split, planting.oracle_levels(split, seed=3))))
    # The copy, or the best caption of the copy, ties with the right one: lost, or won every second time.
    assert found["t2i.recall@1"] == found["i2t.recall@1"] == 0.0
    assert found["expected.t2i.recall@1"] == found["expected.i2t.recall@1"] == pytest.approx(0.5)
    assert found["t2i.recall@5"] == found["i2t.recall@5"] == 1.0
    assert found["t2i.median_rank"] == found["i2t.median_rank"] == 2.0


def test_duplicated_captions(counts: list[int]) -> None:
    split = planting.plain(counts)
    planted = planting.plant(split, planting.oracle_levels(split, seed=3))
    assert recalls(figures(planting.captions_twice(planted))) == [1.0] * 6
    # Every second image's first caption is now that of the image before it: 30 captions find that one first.
    shared = figures(planting.captions_shared(planted))
    assert shared["t2i.recall@1"] == pytest.approx(1 - 30 / sum(counts))


def test_one_query() -> None:
    planted = planting.plant(planting.plain([5, 5]), planting.oracle_levels(planting.plain([5, 5]), seed=3))
    for captions in (1, 5):
        found = figures(planting.first(planted, captions))
        assert found["rsum"] == found["expected.rsum"] == pytest.approx(600)


def test_saturated_scores_tie_and_the_tied_are_lost() -> None:
    split = planting.plain([5] * 60)
    levels = (split.caption_image == np.arange(60)[:, None]) & (np.arange(300) % 5 > 0)
    found = figures(planting.plant_near(split, levels.astype(np.int64)))
    # One caption in five scores the same with all images; the other four still find their image, and are found.
    assert found["t2i.recall@1"] == found["t2i.recall@10"] == pytest.approx(0.8)
    assert found["expected.t2i.recall@1"] == pytest.approx(0.8 + 0.2 / 60)
    assert found["i2t.recall@1"] == 1.0


@pytest.mark.parametrize("folds", [1, 5])
def test_another_order_within_folds(counts: list[int], folds: int) -> None:
    split = planting.plain(counts)
    planted = planting.plant(split, planting.random_levels(split, seed=3) % 50)
    size = 60 // folds
    blocks = [(start, start + size) for start in range(0, 60, size)]
    moved = planting.reordered(planted, blocks, seed=4, captions=True)
    assert moved.split.image_ids != planted.split.image_ids
    assert figures(moved, folds=folds) == pytest.approx(figures(planted, folds=folds), abs=1e-12)


def scores(planted: Planted) -> np.ndarray:
    return planted.image @ planted.text.T


@pytest.mark.parametrize("plant", [planting.plant, planting.plant_near])
def test_planted_scores_are_exact_in_every_order_of_summation(plant, counts: list[int]) -> None:
    split = planting.plain(counts)
    levels = planting.random_levels(split, seed=5) % 7
    planted = plant(split, levels)
    double = planted.image.astype(np.float64) @ planted.text.astype(np.float64).T
    assert np.array_equal(scores(planted).astype(np.float64), double)
    order = np.random.default_rng(0).permutation(planted.image.shape[1])
    assert np.array_equal(planted.image[:, order] @ planted.text[:, order].T, scores(planted))
    # In the order of the levels, and equal where they are.
    assert np.array_equal(
        np.unique(double, return_inverse=True)[1], np.unique(levels, return_inverse=True)[1]
    )
    for rows in (planted.image, planted.text):
        assert np.linalg.norm(rows.astype(np.float64), axis=1) == pytest.approx(1, abs=1e-6)


def test_near_scores_are_one_in_float16() -> None:
    split: Split = planting.plain([5] * 60)
    planted = planting.plant_near(split, (split.caption_image == np.arange(60)[:, None]).astype(np.int64))
    assert len(np.unique(scores(planted))) == 2
    assert len(np.unique(scores(planted).astype(np.float16))) == 1
