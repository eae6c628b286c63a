"""The evaluator against plain loops and against scorers whose figures are known."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.api import ParameterError, Ranks, ScoreError
from harness_recall.hooks import harness_evaluators
from harness_recall.recall import Recall

RECALLS = [f"{side}.recall@{k}" for side in ("i2t", "t2i") for k in (1, 5, 10)]


def onehot(n, captions):
    """Return embeddings that tell every pair apart, all scores 0 or 1."""
    image = np.eye(n, dtype=np.float32)
    return image, np.repeat(image, captions, axis=0), captions


def in_order(above, tied, matched, k):
    """Return the share of the orders with a relevant item among the first `k`, and the mean rank."""
    items = [True] * matched + [False] * tied
    hit, total, ranks = 0, 0, 0
    for order in set(itertools.permutations(items)):
        # Each distinct arrangement stands for the same number of orders.
        rank = 1 + above + order.index(True)
        hit, total, ranks = hit + (rank <= k), total + 1, ranks + rank
    return Fraction(hit, total), Fraction(ranks, total)


@pytest.mark.parametrize("above", [0, 1, 3, 12])
@pytest.mark.parametrize("tied", [0, 1, 2, 4])
@pytest.mark.parametrize("matched", [1, 2, 4])
def test_expected_hits_and_ranks_are_means_over_all_orders(above, tied, matched):
    ranks = Ranks(above=np.array([above]), tied=np.array([tied]), matched=np.array([matched]))
    for k in (1, 2, 3, 5, 10):
        share, mean = in_order(above, tied, matched, k)
        assert ranks.hits(k, "expected")[0] == pytest.approx(float(share), abs=1e-12)
        assert ranks.rank("expected")[0] == pytest.approx(float(mean))
        assert ranks.hits(k)[0] == (above + tied < k)


@pytest.mark.parametrize("captions", [[1] * 12, [5] * 12, [7] * 12, [1, 5, 7] * 4])
def test_oracle(gallery, captions):
    figures = Recall().evaluate(gallery(*onehot(12, captions)))
    assert [figures[name] for name in RECALLS] == [1.0] * 6
    assert figures["rsum"] == figures["expected.rsum"] == pytest.approx(600.0)
    assert figures["i2t.median_rank"] == figures["t2i.mean_rank"] == 1.0


@pytest.mark.parametrize("captions", [[1] * 12, [5] * 12, [1, 5, 7] * 4])
def test_anti_oracle_never_hits(gallery, captions):
    image, text, captions = onehot(12, captions)
    figures = Recall().evaluate(gallery(image, -text, captions))
    assert figures["rsum"] == figures["expected.rsum"] == 0.0
    assert figures["t2i.mean_rank"] == figures["t2i.median_rank"] == 12
    assert figures["i2t.mean_rank"] == pytest.approx(1 + sum(captions) - np.mean(captions))


@pytest.mark.parametrize("captions", [[1] * 20, [5] * 20, [1, 5, 7, 7] * 5])
def test_constant_scorer_gets_nothing_and_chance_is_expected(gallery, captions):
    n, m = len(captions), sum(captions)
    ranking = gallery(np.ones((n, 3), np.float32), np.ones((m, 3), np.float32), captions)
    figures = Recall().evaluate(ranking)
    assert figures["rsum"] == 0.0
    assert figures["t2i.mean_rank"] == n
    for k in (1, 5, 10):
        assert figures[f"expected.t2i.recall@{k}"] == pytest.approx(k / n)
        chance = np.mean([1 - np.prod([(m - c - j) / (m - j) for j in range(k)]) for c in captions])
        assert figures[f"expected.i2t.recall@{k}"] == pytest.approx(chance)
    chosen = Recall(policy="expected").evaluate(ranking)
    assert all(chosen[name] == figures[f"expected.{name}"] for name in [*RECALLS, "rsum"])
    assert chosen["t2i.mean_rank"] == pytest.approx((n + 1) / 2)


def test_duplicated_images_and_captions_tie(gallery):
    # Images 0 and 1 are the same picture with the same single caption: nobody can tell them apart.
    image = np.eye(3, dtype=np.float32)[[0, 0, 1, 2]]
    figures = Recall(k=(1, 2)).evaluate(gallery(image, image, [1] * 4))
    assert figures["i2t.recall@1"] == figures["t2i.recall@1"] == 0.5
    assert figures["expected.i2t.recall@1"] == figures["expected.t2i.recall@1"] == 0.75
    assert figures["i2t.recall@2"] == 1.0
    assert figures["rsum"] == pytest.approx(300.0)
    assert figures["expected.rsum"] == pytest.approx(350.0)


def test_a_caption_repeated_for_its_own_image_costs_nothing(gallery):
    image, text, captions = onehot(6, [5] * 6)
    assert Recall().evaluate(gallery(image, text, captions))["i2t.recall@1"] == 1.0


@pytest.mark.parametrize("captions", [1, 5])
def test_one_query(gallery, captions):
    figures = Recall().evaluate(gallery(*onehot(1, [captions])))
    assert figures["rsum"] == pytest.approx(600.0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_broken_embedding_is_named(gallery, value):
    image, text, captions = onehot(8, [2] * 8)
    image[3, 1] = value
    with pytest.raises(ScoreError, match=r"1 of 8 image embeddings are NaN or infinite: img3$"):
        Recall().evaluate(gallery(image, text, captions))
    image, text, captions = onehot(8, [2] * 8)
    text[4:, 0] = value
    with pytest.raises(ScoreError, match=r"12 of 16 caption embeddings .*img2#0, img2#1, .*, \.\.\.$"):
        Recall(folds=2).evaluate(gallery(image, text, captions))


def test_an_empty_gallery_is_an_error(gallery):
    with pytest.raises(ScoreError, match="0 images"):
        Recall().evaluate(gallery(np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32), []))


def test_folds_are_means_over_galleries_of_consecutive_images(gallery):
    random = np.random.default_rng(0)
    captions = [1, 5, 2] * 8
    image = random.standard_normal((24, 4)).astype(np.float32)
    text = (np.repeat(image, captions, axis=0) + random.standard_normal((64, 4))).astype(np.float32)
    folded = Recall(folds=3).evaluate(gallery(image, text, captions))
    parts = []
    for start in (0, 8, 16):
        first, last = sum(captions[:start]), sum(captions[: start + 8])
        part = gallery(image[start : start + 8], text[first:last], captions[start : start + 8])
        parts.append(Recall().evaluate(part))
    assert folded == {name: pytest.approx(sum(p[name] for p in parts) / 3) for name in parts[0]}
    assert folded["rsum"] > Recall().evaluate(gallery(image, text, captions))["rsum"]


def test_folds_that_do_not_divide_are_an_error(gallery):
    with pytest.raises(ScoreError, match="12 images of split 'test' do not divide into 5 folds"):
        Recall(folds=5).evaluate(gallery(*onehot(12, [1] * 12)))


@pytest.mark.parametrize(
    "wrong", [{"k": ()}, {"k": (0,)}, {"k": (5, 5)}, {"folds": 0}, {"policy": "hopeful"}]
)
def test_wrong_parameters_are_named(wrong):
    with pytest.raises(ParameterError, match=f"recall: parameter '{next(iter(wrong))}'"):
        Recall(**wrong)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_figures_agree_with_sorted_lists(gallery, data):
    captions = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=6))
    # Few whole numbers: exact scores and many ties.
    number = st.integers(-2, 2)

    def rows(count):
        return np.array(
            data.draw(st.lists(st.tuples(number, number), min_size=count, max_size=count)), np.float32
        )

    ranking = gallery(rows(len(captions)), rows(sum(captions)), captions)
    k = (1, 2, 7)
    figures = Recall(k=k).evaluate(ranking)
    owner = ranking.split.caption_image.tolist()
    scores = ranking.image @ ranking.text.T
    sides = {
        "i2t": [(scores[i].tolist(), [o == i for o in owner]) for i in range(len(captions))],
        "t2i": [(scores[:, j].tolist(), [i == o for i in range(len(captions))]) for j, o in enumerate(owner)],
    }
    total = 0.0
    for side, queries in sides.items():
        # Pessimistic: sorted by falling score, the wrong before the right at the same score.
        ranks = [
            [
                right for _, right in sorted(zip(row, own, strict=True), key=lambda pair: (-pair[0], pair[1]))
            ].index(True)
            + 1
            for row, own in queries
        ]
        for cut in k:
            share = sum(rank <= cut for rank in ranks) / len(ranks)
            assert figures[f"{side}.recall@{cut}"] == pytest.approx(share)
            assert figures[f"expected.{side}.recall@{cut}"] >= share - 1e-12
            total += 100 * share
        assert figures[f"{side}.mean_rank"] == pytest.approx(sum(ranks) / len(ranks))
        assert figures[f"{side}.median_rank"] == np.median(ranks)
    assert figures["rsum"] == pytest.approx(total)


def test_every_figure_is_declared(gallery):
    [spec] = harness_evaluators()
    names = Recall().evaluate(gallery(*onehot(3, [2] * 3)))
    prefixes = tuple(metric.removesuffix("*") for metric in spec.metrics)
    assert all(name.startswith(prefixes) for name in names)
    assert {*RECALLS, "rsum", "i2t.median_rank", "t2i.mean_rank", "expected.rsum"} < set(names)
