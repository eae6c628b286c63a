"""What each image adds to a figure: the figure itself, and what moves when an image counts for more."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.api import Labelled, PerImage
from harness.statistics import ratio_bootstrap
from harness_judgments.agreement import correlations, influences
from harness_judgments.coco import Cxc, EccvCaption
from harness_judgments.experts import ExpertJudgments
from harness_judgments.galleries import judged


def weighted(scores, grades, weights):
    """Return the correlations from all pairs of items, each item counting as often as its weight says."""
    s, g = (np.sign(values[:, None] - values) for values in (scores, grades))
    pairs, m = np.outer(weights, weights), min(len(set(scores)), len(set(grades)))
    u, v = s @ weights, g @ weights
    return {
        "kendall_tau_b": (pairs * s * g).sum() / np.sqrt((pairs * s**2).sum() * (pairs * g**2).sum()),
        "kendall_tau_c": (pairs * s * g).sum() * m / (weights.sum() ** 2 * (m - 1)),
        "spearman": weights @ (u * v) / np.sqrt((weights @ u**2) * (weights @ v**2)),
    }


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), min_size=2, max_size=12))
def test_influences_are_the_derivatives_of_the_correlations(pairs):
    scores, grades = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
    found, whole, n = influences(scores, grades), correlations(scores, grades), len(scores)
    assert found.keys() == whole.keys()
    if not whole:
        return
    assert weighted(scores, grades, np.ones(n)) == pytest.approx(dict(whole), abs=1e-9)
    step = 1e-5 * np.eye(n)
    for item in range(n):
        more, less = (weighted(scores, grades, 1 + sign * step[item]) for sign in (1, -1))
        for name, values in found.items():
            assert values[item] == pytest.approx((more[name] - less[name]) / 2e-5, abs=1e-6)
    for values in found.values():
        assert values.sum() == pytest.approx(0, abs=1e-9)


def test_images_add_up_to_the_figures_of_labels(gallery, planted, test_5k):
    part = {number: test_5k[number] for number in list(test_5k)[:300]}
    ranking = gallery(part, *planted(300, 1.0))
    for evaluator in (Cxc(), EccvCaption()):
        figures, shares = evaluator.evaluate(ranking), evaluator.by_image(ranking)
        assert isinstance(evaluator, PerImage)
        assert shares.keys() == {name for name in figures if not name.endswith("queries")}
        for name, (sums, counts) in shares.items():
            assert sums.sum() / counts.sum() == pytest.approx(figures[name], abs=1e-12)
            assert counts.sum() == figures[f"{name[:3]}.queries"]
            assert (sums <= counts).all()
    # Of ECCV Caption some images are not asked, and some have several captions that are.
    asked = {side: shares[f"{side}.recall@1"][1] for side in ("i2t", "t2i")}
    assert set(asked["i2t"]) == {0.0, 1.0}
    assert asked["t2i"].min() == 0 < asked["t2i"].max()


@pytest.fixture
def judgments(tmp_path):
    """Return an evaluator with made-up judgments, and a ranking that follows them in part."""
    found = judged(tmp_path)
    draws = np.random.default_rng(0)
    images = len(found.split.records)
    noisy = found.relevance + draws.standard_normal(found.relevance.shape)
    # Scores as they are wanted, by one-hot images.
    image, text = np.eye(images, dtype=np.float32), noisy.T.astype(np.float32)
    ranking = type("R", (), {"split": found.split, "image": image, "text": text})()
    return ExpertJudgments(source=tmp_path), ranking


def test_images_add_up_to_the_correlations_and_an_image_that_counts_for_more_moves_them(judgments):
    evaluator, ranking = judgments
    figures, shares = evaluator.evaluate(ranking), evaluator.by_image(ranking)
    assert isinstance(evaluator, PerImage)
    assert shares.keys() == {name for name in figures if not name.endswith(("pairs", "left_out"))}
    for name, (sums, counts) in shares.items():
        assert sums.sum() / counts.sum() == pytest.approx(figures[name], abs=1e-9)
    # An image that is drawn once more: a pair counts as often as its image times the owner of its caption.
    pairs, n = evaluator._judged(ranking)["expert"], len(ranking.split.records)
    for image in (0, 7):
        moved = []
        for step in (1e-4, -1e-4):
            drawn = np.ones(n)
            drawn[image] += step
            each = drawn[pairs.rows] * drawn[pairs.owners]
            moved.append(weighted(pairs.scores, pairs.means, each)["kendall_tau_b"])
        sums, _ = shares["expert.kendall_tau_b"]
        expected = figures["expert.kendall_tau_b"] + n * (moved[0] - moved[1]) / 2e-4
        assert sums[image] == pytest.approx(expected, abs=1e-4)


def test_intervals_hold_the_figure_and_are_no_shorter_than_of_independent_pairs(judgments):
    evaluator, ranking = judgments
    figures, found = evaluator.evaluate(ranking), ratio_bootstrap(evaluator.by_image(ranking))
    for name, interval in found.items():
        assert interval.low < figures[name] < interval.high
    pairs = evaluator._judged(ranking)["expert"]
    items = influences(pairs.scores, pairs.means)["kendall_tau_b"]
    assert found["expert.kendall_tau_b"].half > 1.96 * np.sqrt((items**2).sum())


def test_labels_have_a_hash_that_knows_pairs_and_not_the_form_of_a_file(gallery, judgments, tmp_path):
    ranking = gallery({1: [10], 2: [20]}, np.eye(2), np.eye(2))
    files = [tmp_path / f"cxc_{stem}.json" for stem in ("image_to_caption", "caption_to_image")]

    def told(i2t: str, t2i: str) -> str:
        for file, text in zip(files, (i2t, t2i), strict=True):
            file.write_text(text)
        return Cxc(source=tmp_path).labels_of(ranking)

    first = told('{"1": [10, 20], "2": [20]}', '{"10": [1]}')
    assert isinstance(Cxc(), Labelled)
    assert len(first) == 16
    assert told('{"2": ["20"],\n "1": [20, 10]}', '{"10": [1]}') == first
    assert told('{"2": [20], "1": [10]}', '{"10": [1]}') != first
    for record in ranking.split.records:
        record.tags.clear()
    assert Cxc(source=tmp_path).labels_of(ranking) == ""

    evaluator, ranking = judgments
    first = evaluator.labels_of(ranking)
    path = tmp_path / "ExpertAnnotations.txt"
    lines = path.read_text().split("\n")
    path.write_text("\r\n".join(reversed(lines)))
    assert evaluator.labels_of(ranking) == first
    path.write_text(
        "\n".join([lines[0][:-1] + "1" if lines[0][-1] != "1" else lines[0][:-1] + "2", *lines[1:]])
    )
    assert evaluator.labels_of(ranking) != first
    assert ExpertJudgments().labels_of(ranking) == ""
