"""People's grades: correlations by their definition, the real files where they are at hand, files that are wrong."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from harness.api import DataError, Record, ScoreError, Split
from harness_judgments.agreement import correlations, ndcg
from harness_judgments.experts import ExpertJudgments
from harness_judgments.grades import read_judgments

REAL = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "flickr8k"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="Flickr8k is not at hand")


def by_definition(scores, grades):
    """Return tau-b, tau-c and Spearman's rho from all pairs of items."""
    n = len(scores)
    agree = ties_s = ties_g = 0
    for a, b in itertools.combinations(range(n), 2):
        s, g = np.sign(scores[a] - scores[b]), np.sign(grades[a] - grades[b])
        agree, ties_s, ties_g = agree + s * g, ties_s + (s == 0), ties_g + (g == 0)
    total, m = n * (n - 1) / 2, min(len(set(scores)), len(set(grades)))

    def place(values):
        return [np.mean([k for k, v in enumerate(sorted(values), 1) if v == value]) for value in values]

    return {
        "kendall_tau_b": agree / math.sqrt((total - ties_s) * (total - ties_g)),
        "kendall_tau_c": 2 * agree * m / (n**2 * (m - 1)),
        "spearman": np.corrcoef(place(scores), place(grades))[0, 1],
    }


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), min_size=2, max_size=12))
def test_correlations_agree_with_their_definition(pairs):
    scores, grades = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
    found = correlations(scores, grades)
    if len(set(scores)) == 1 or len(set(grades)) == 1:
        assert found == {}
    else:
        assert found == pytest.approx(by_definition(scores.tolist(), grades.tolist()), abs=1e-9)


def test_ndcg_agrees_with_scikit_learn_and_loses_ties():
    draws = np.random.default_rng(0)
    sizes = [2, 5, 6, 9]
    queries = np.repeat(np.arange(4), sizes)
    scores, gains = draws.standard_normal(22), draws.integers(0, 4, 22).astype(float)
    gains[[0, 2, 7, 13]] = 3
    order = draws.permutation(22)
    parts = [(gains[queries == q][None], scores[queries == q][None]) for q in range(4)]
    theirs = np.mean([ndcg_score(*part) for part in parts])
    assert ndcg(scores[order], gains[order], queries[order]) == pytest.approx(theirs)
    # One of two, tied: the worse one stands first.
    assert ndcg(np.zeros(2), np.array([3.0, 0.0]), np.zeros(2, dtype=int)) == pytest.approx(1 / np.log2(3))
    assert ndcg(np.zeros(2), np.zeros(2), np.zeros(2, dtype=int)) is None


def ranking(split: Split, image: np.ndarray, text: np.ndarray):
    return SimpleNamespace(split=split, image=image, text=text)


IMAGES = ("a.jpg", "b.jpg", "c.jpg")
SPLIT = Split(
    "test",
    tuple(Record(image=name, split="test", captions=(f"{name} one.", f"{name} two.")) for name in IMAGES),
)
# Wanted scores of image (row) and caption (column), reached by one-hot images.
WANTED = np.array([[9, 0, 4, 1, 2, 0], [3, 2, 9, 0, 1, 0], [0, 0, 1, 0, 9, 0]], dtype=np.float32)
EXPERT = """a.jpg\ta.jpg#0\t4\t4\t4
a.jpg\tb.jpg#0\t3\t4\t4
a.jpg\tb.jpg#1\t1\t1\t2
a.jpg\tc.jpg#0\t2\t2\t3
b.jpg\ta.jpg#0\t2\t3\t3
b.jpg\tc.jpg#0\t1\t1\t1
c.jpg\tz.jpg#0\t1\t1\t1
z.jpg\ta.jpg#0\t1\t1\t1
"""
CROWD = """a.jpg\ta.jpg#0\t1\t3\t0
a.jpg\tb.jpg#0\t0.333333333333333\t1\t2
b.jpg\tc.jpg#0\t0\t0\t3
c.jpg\tb.jpg#0\t0.2\t1\t4
c.jpg\ta.jpg#9\t0\t0\t3
"""


@pytest.fixture
def source(tmp_path):
    (tmp_path / "ExpertAnnotations.txt").write_text(EXPERT)
    (tmp_path / "CrowdFlowerAnnotations.txt").write_text(CROWD)
    return tmp_path


def test_pairs_are_matched_by_id_their_own_left_out_and_what_is_not_there_counted(source):
    found = ExpertJudgments(source=source).evaluate(ranking(SPLIT, np.eye(3, dtype=np.float32), WANTED.T))
    scores = [4.0, 1.0, 2.0, 3.0, 1.0]
    grades = [(3, 4, 4), (1, 1, 2), (2, 2, 3), (2, 3, 3), (1, 1, 1)]
    mean = by_definition(scores, [sum(three) / 3 for three in grades])
    each = by_definition(np.repeat(scores, 3).tolist(), [grade for three in grades for grade in three])
    crowd = by_definition([4.0, 1.0, 1.0], [1 / 3, 0, 1 / 5])
    assert found == pytest.approx(
        {f"expert.{name}": value for name, value in mean.items()}
        | {f"expert.judgments.{name}": value for name, value in each.items()}
        | {"expert.ndcg": 1.0, "expert.pairs": 5, "expert.left_out": 2}
        | {f"crowd.{name}": value for name, value in crowd.items()}
        | {"crowd.pairs": 3, "crowd.left_out": 1}
    )


def test_a_constant_scorer_has_no_order_and_the_worst_gain(source):
    row = np.full((1, 257), 0.1, np.float32) ** np.linspace(1, 2, 257, dtype=np.float32)
    found = ExpertJudgments(source=source).evaluate(
        ranking(SPLIT, np.repeat(row, 3, axis=0), np.repeat(row, 6, axis=0))
    )
    assert set(found) == {
        "expert.ndcg",
        *(f"{k}.{n}" for k in ("expert", "crowd") for n in ("pairs", "left_out")),
    }
    # Image a: gains 8/3, 1/3, 4/3, worst first; image b: 5/3 after 0.
    falling = [1 / np.log2(place) for place in (2, 3, 4)]
    worst = np.dot([1 / 3, 4 / 3, 8 / 3], falling) / np.dot([8 / 3, 4 / 3, 1 / 3], falling)
    assert found["expert.ndcg"] == pytest.approx((worst + falling[1]) / 2)


def test_a_caption_that_reads_otherwise_than_published_is_another_caption(source):
    lines = [f"{name}#{k}\t{name} {word} .\n" for name in IMAGES for k, word in enumerate(("ONE", "two"))]
    (source / "Flickr8k.token.txt").write_text("".join(lines))
    evaluator, rows = ExpertJudgments(source=source), (np.eye(3, dtype=np.float32), WANTED.T)
    assert evaluator.evaluate(ranking(SPLIT, *rows))["expert.pairs"] == 5
    lines[2], lines[3] = (line.replace("ONE", "other") for line in lines[2:4])
    (source / "Flickr8k.token.txt").write_text("".join(lines))
    found = evaluator.evaluate(ranking(SPLIT, *rows))
    assert (found["expert.pairs"], found["expert.left_out"]) == (4, 3)


def test_without_files_or_pairs_there_are_no_figures(source, tmp_path_factory):
    rows = np.eye(3, dtype=np.float32), WANTED.T
    assert ExpertJudgments().evaluate(ranking(SPLIT, *rows)) == {}
    assert ExpertJudgments(source=tmp_path_factory.mktemp("bare")).evaluate(ranking(SPLIT, *rows)) == {}
    others = Split("test", (Record(image="other.jpg", split="test", captions=("one",)),))
    assert ExpertJudgments(source=source).evaluate(ranking(others, rows[0][:1], rows[1][:1])) == {}
    (source / "ExpertAnnotations.txt").unlink()
    found = ExpertJudgments(source=source).evaluate(ranking(SPLIT, *rows))
    assert {name.split(".")[0] for name in found} == {"crowd"}


def test_files_are_found_in_the_authors_folder(source):
    (source / "Flickr8k_text").mkdir()
    (source / "ExpertAnnotations.txt").rename(source / "Flickr8k_text" / "ExpertAnnotations.txt")
    found = ExpertJudgments(source=source).evaluate(ranking(SPLIT, np.eye(3, dtype=np.float32), WANTED.T))
    assert found["expert.pairs"] == 5


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "ExpertAnnotations.txt",
            "a.jpg\tb.jpg#0\t1\t2\n",
            "ExpertAnnotations.txt:1: not image, caption and 1..4",
        ),
        ("ExpertAnnotations.txt", "\na.jpg\tb.jpg#0\t1\t2\t5\n", "ExpertAnnotations.txt:2: not image"),
        ("ExpertAnnotations.txt", "a.jpg\tb.jpg#0\t1\t2\t?\n", "ExpertAnnotations.txt:1: not image"),
        ("ExpertAnnotations.txt", EXPERT + EXPERT.split("\n")[1], "a.jpg with b.jpg#0 stands twice"),
        ("ExpertAnnotations.txt", "\udcff", "is not UTF-8"),
        ("CrowdFlowerAnnotations.txt", "a.jpg\tb.jpg#0\t0\t0\t0\n", "not image, caption and share, yes, no"),
    ],
)
def test_files_that_are_not_as_published_are_named(source, file, content, message):
    (source / file).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=message) as caught:
        ExpertJudgments(source=source).evaluate(ranking(SPLIT, np.eye(3, dtype=np.float32), WANTED.T))
    assert file in caught.value.message


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_a_broken_embedding_is_named(source, bad):
    image = np.eye(3, dtype=np.float32)
    image[1, 1] = bad
    with pytest.raises(
        ScoreError, match=r"expert-judgments: 1 of 3 image embeddings are NaN or infinite: b\.jpg"
    ):
        ExpertJudgments(source=source).evaluate(ranking(SPLIT, image, WANTED.T))


@pytest.fixture(scope="module")
def flickr8k():
    """Return Flickr8k's test split and the published judgments."""
    from harness_datasets.flickr8k import Flickr8k

    records = tuple(r for r in Flickr8k().annotations(REAL).records if r.split == "test")
    return Split("test", records), read_judgments(REAL / "ExpertAnnotations.txt")


@needs_real
def test_oracle_anti_oracle_and_chance_on_the_real_files(flickr8k):
    split, judgments = flickr8k
    image = np.eye(1000, dtype=np.float32)
    text = np.zeros((5000, 1000), np.float32)
    images, captions = (
        {name: place for place, name in enumerate(ids)} for ids in (split.image_ids, split.caption_ids)
    )
    for judgment in judgments:
        text[captions[judgment.caption], images[judgment.image]] = np.mean(judgment.grades)
    evaluator = ExpertJudgments(source=REAL)
    found = evaluator.evaluate(ranking(split, image, text))
    # As many pairs as the literature on caption metrics has.
    assert {name: v for name, v in found.items() if name.endswith(("pairs", "left_out"))} == {
        "expert.pairs": 5664,
        "expert.left_out": 0,
        "crowd.pairs": 47109,
        "crowd.left_out": 0,
    }
    assert [found[f"expert.{name}"] for name in ("kendall_tau_b", "spearman", "ndcg")] == pytest.approx(
        [1, 1, 1]
    )
    # What no scorer of pairs can exceed much: three people disagree.
    assert found["expert.judgments.kendall_tau_c"] == pytest.approx(0.7056, abs=5e-5)
    worst = evaluator.evaluate(ranking(split, image, -text))
    assert worst["expert.kendall_tau_b"] == pytest.approx(-1)
    assert worst["expert.ndcg"] == pytest.approx(0.5489, abs=5e-5)


@needs_real
def test_a_random_scorer_is_at_chance_on_the_real_files_and_a_constant_one_never_above(flickr8k):
    split, judgments = flickr8k
    evaluator, draws = ExpertJudgments(source=REAL), np.random.default_rng(0)
    image, text = (draws.standard_normal((n, 16)).astype(np.float32) for n in (1000, 5000))
    found = evaluator.evaluate(ranking(split, image, text))
    crowd = read_judgments(REAL / "CrowdFlowerAnnotations.txt")
    each, yes = (np.array([j.grades for j in told if not j.own]) for told in (judgments, crowd))
    for name, grades in (("expert", each.mean(axis=1)[:, None]), ("expert.judgments", each), ("crowd", yes)):
        for figure, deviation in at_random(grades).items():
            assert 0.001 < deviation < 0.02
            assert abs(found[f"{name}.{figure}"]) <= 4 * deviation, f"{name}.{figure}"
    level, deviation = ndcg_at_random([j for j in judgments if not j.own])
    assert level == pytest.approx(0.7435, abs=5e-5)
    assert abs(found["expert.ndcg"] - level) <= 4 * deviation
    same = evaluator.evaluate(ranking(split, np.ones_like(image), np.ones_like(text)))
    assert not [name for name in same if "tau" in name or "spearman" in name]
    assert same["expert.ndcg"] < level


def at_random(grades):
    """Return the standard deviations of the correlations over all orders of scores without ties; their mean is 0.

    With Gamma = sum of a b over ordered pairs of items, b the sign of the difference in score and a that of grades,
    summed over judges, the variance is that of Daniels (Biometrika 33, 1944). Spearman's rho has 1 / (n - 1); that a
    pair has several grades makes it less.
    """
    (n, judges), (kinds, counts) = grades.shape, np.unique(np.sort(grades), axis=0, return_counts=True)
    a = np.sign(kinds[:, None, :, None] - kinds[None, :, None, :]).sum(axis=(2, 3))
    sums, squares = counts @ (a @ counts) ** 2, counts @ a**2 @ counts
    of_b = n * (n**2 - 1) / 3 - n * (n - 1)
    variance = 4 / (n * (n - 1) * (n - 2)) * (sums - squares) * of_b + 2 * squares
    levels = np.unique(grades, return_counts=True)[1]
    differ, m, size = (judges * n) ** 2 - (levels**2).sum(), len(levels), judges * n
    return {
        "kendall_tau_b": math.sqrt(variance / (judges**2 * n * (n - 1)) / differ),
        "kendall_tau_c": math.sqrt(variance) * m / (size**2 * (m - 1)),
        "spearman": 1 / math.sqrt(n - 1),
    }


def test_standard_deviations_over_all_orders_are_those_of_all_orders():
    for grades in ([[1], [2], [2], [4], [3]], [[1, 2], [2, 2], [2, 4], [4, 4], [1, 3]]):
        grades = np.array(grades, dtype=float)
        orders = [np.repeat(order, grades.shape[1]) for order in itertools.permutations(range(5))]
        drawn = [correlations(np.array(order, dtype=float), grades.ravel()) for order in orders]
        for name, deviation in at_random(grades).items():
            found = np.std([values[name] for values in drawn])
            assert found == pytest.approx(deviation) or (name == "spearman" and found < deviation)


def ndcg_at_random(judgments):
    """Return mean and standard deviation of nDCG over all orders of each image's captions."""
    gains = {}
    for judgment in judgments:
        gains.setdefault(judgment.image, []).append(np.mean(judgment.grades) - 1)
    means, variances = [], []
    for values in map(np.sort, gains.values()):
        falling = 1 / np.log2(np.arange(len(values)) + 2)
        best = values[::-1] @ falling
        if best > 0:
            means.append(values.mean() * falling.sum() / best)
            spread = ((values - values.mean()) ** 2).sum() * ((falling - falling.mean()) ** 2).sum()
            variances.append(spread / max(1, len(values) - 1) / best**2)
    return np.mean(means), math.sqrt(sum(variances)) / len(means)
