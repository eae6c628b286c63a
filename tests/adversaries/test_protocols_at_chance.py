"""A random and a constant scorer under the protocols of the literature: chance, within its interval, never more."""

from __future__ import annotations

from functools import cache
from math import comb, sqrt
from statistics import fmean

import numpy as np
import pytest

from harness.api import Ranking
from harness.ranking import rank
from harness.testing.planting import collapsed, plain
from harness_recall.recall import Recall

K = (1, 5, 10)
# images, folds, captions of an image
PROTOCOLS = {
    "1K": (1000, 1, [5]),
    "1K, captions vary": (1000, 1, [1, 5, 7, 5]),
    "5K": (5000, 1, [5]),
    "five folds of 1K": (5000, 5, [5]),
}


@cache
def gallery(images: int, captions: tuple[int, ...], scorer: str) -> Ranking:
    split = plain(captions * (images // len(captions)))
    if scorer == "constant":
        planted = collapsed(split)
        return rank(split, planted.image, planted.text)
    random = np.random.default_rng(0)
    rows = [random.standard_normal((n, 8)).astype(np.float32) for n in (images, len(split.captions))]
    image, text = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in rows)
    return rank(split, image, text)


def chance(images: int, folds: int, captions: list[int]) -> dict[str, tuple[float, float]]:
    """Return the recalls of scores in random order and their standard deviation over draws."""
    n = images // folds
    counts = captions * (n // len(captions))
    m = sum(counts)
    found = {f"t2i.recall@{k}": (k / n, m * folds) for k in K}
    found |= {f"i2t.recall@{k}": (fmean(1 - comb(m - c, k) / comb(m, k) for c in counts), images) for k in K}
    return {name: (p, sqrt(p * (1 - p) / queries)) for name, (p, queries) in found.items()}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_random_scorer_is_at_chance(protocol: str) -> None:
    images, folds, captions = PROTOCOLS[protocol]
    found = Recall(folds=folds).evaluate(gallery(images, tuple(captions), "random"))
    levels = chance(images, folds, captions)
    for name, (level, deviation) in levels.items():
        assert abs(found[name] - level) <= 4 * deviation, name
        # Without ties there is nothing to expect.
        assert found[f"expected.{name}"] == pytest.approx(found[name])
    spread = sum(deviation for _, deviation in levels.values())
    assert found["rsum"] == pytest.approx(100 * sum(level for level, _ in levels.values()), abs=400 * spread)
    n = images // folds
    assert found["t2i.mean_rank"] == pytest.approx((n + 1) / 2, rel=0.05)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_constant_scorer_never_gets_more(protocol: str) -> None:
    images, folds, captions = PROTOCOLS[protocol]
    ranking = gallery(images, tuple(captions), "constant")
    found = Recall(folds=folds).evaluate(ranking)
    levels = chance(images, folds, captions)
    assert {found[name] for name in levels} == {0.0}
    assert found["rsum"] == 0.0
    assert found["t2i.median_rank"] == images // folds
    expected = Recall(folds=folds, policy="expected").evaluate(ranking)
    for name, (level, _) in levels.items():
        assert found[f"expected.{name}"] == expected[name] == pytest.approx(level)
    assert expected["rsum"] == pytest.approx(100 * sum(level for level, _ in levels.values()))
