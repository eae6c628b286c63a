"""Counting against a plain loop, and the traps: ties, NaN, tiles, folds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import ranking
from harness.errors import ScoreError
from harness.protocols import Record, Split
from harness.ranking import Ranked, collapsed, normalize, rank, rsum


def gallery(counts: list[int]) -> Split:
    records = [
        Record(image=f"i{k}", split="test", captions=tuple(f"c{j}" for j in range(count)))
        for k, count in enumerate(counts)
    ]
    return Split("test", tuple(records))


def plain_counts(
    split: Split, scores: np.ndarray
) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
    """Rank by definition, one query at a time."""
    owner = split.caption_image
    i2t, t2i = [], []
    for image in range(scores.shape[0]):
        best = max(scores[image, j] for j in range(len(owner)) if owner[j] == image)
        wrong = [scores[image, j] for j in range(len(owner)) if owner[j] != image]
        own = [scores[image, j] for j in range(len(owner)) if owner[j] == image]
        i2t.append((sum(s > best for s in wrong), sum(s == best for s in wrong), sum(s == best for s in own)))
    for j in range(len(owner)):
        truth = scores[owner[j], j]
        wrong = [scores[i, j] for i in range(scores.shape[0]) if i != owner[j]]
        t2i.append((sum(s > truth for s in wrong), sum(s == truth for s in wrong), 1))
    return i2t, t2i


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(1, 7), min_size=1, max_size=9),
    seed=st.integers(0, 10**6),
    block=st.integers(1, 5),
    coarse=st.booleans(),
)
def test_counts_equal_a_plain_loop_whatever_the_tile(
    counts: list[int], seed: int, block: int, coarse: bool
) -> None:
    random = np.random.default_rng(seed)
    split = gallery(counts)
    # Small whole numbers multiply without rounding, so that ties are ties on both sides.
    high = 2 if coarse else 1000
    image = random.integers(-high, high, (len(counts), 3)).astype(np.float32)
    text = random.integers(-high, high, (sum(counts), 3)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "BLOCK", block)
        ranked = rank(split, image, text)
    i2t, t2i = plain_counts(split, image.astype(np.float64) @ text.astype(np.float64).T)
    for side, expected in ((ranked.i2t, i2t), (ranked.t2i, t2i)):
        assert list(zip(side.above, side.tied, side.matched, strict=True)) == expected


def test_constant_scorer_gains_nothing_from_its_ties() -> None:
    split = gallery([5] * 20)
    ranked = rank(split, np.ones((20, 4), np.float32) / 2, np.ones((100, 4), np.float32) / 2)
    assert rsum(ranked) == 0.0
    assert ranked.i2t.rank().tolist() == [96.0] * 20
    assert ranked.t2i.rank("expected").tolist() == [10.5] * 100
    assert ranked.t2i.hits(5, "expected") == pytest.approx(5 / 20)


def unit(rows: int, dim: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal((rows, dim))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("dim", [50, 64, 512])
@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 63, 65, 999, 1001, 1003, 2001, 3407])
def test_equal_embeddings_tie_whatever_the_size_of_a_tile(n: int, dim: int) -> None:
    """A library adds up in another order for a few rows: what is equal must tie across tiles all the same."""
    split = gallery([2] * n)
    ranked = rank(split, np.repeat(unit(1, dim, 3), n, axis=0), np.repeat(unit(1, dim, 3), 2 * n, axis=0))
    assert set(ranked.i2t.above) | set(ranked.t2i.above) == {0}
    assert set(ranked.i2t.tied) == {2 * n - 2}
    assert set(ranked.t2i.tied) == {n - 1}


@pytest.mark.parametrize("n", [4, 6, 1002, 1004, 2002, 3210])
def test_twins_tie_across_tiles(n: int) -> None:
    """Every image has an exact twin, the last rows of the gallery those of the first."""
    split, half = gallery([1] * n), n // 2
    image = np.concatenate([unit(half, 64, 5)] * 2)
    text = np.concatenate([unit(half, 64, 5) + 0.3 * unit(half, 64, 6)] * 2).astype(np.float32)
    ranked = rank(split, image, text)
    for side in (ranked.i2t, ranked.t2i):
        assert (side.above[:half] == side.above[half:]).all()
        assert (side.tied >= 1).all()
        assert not side.hits(1).any()


def test_oracle_and_anti_oracle() -> None:
    split = gallery([1, 5, 7])
    image = np.eye(3, dtype=np.float32)
    text = image[split.caption_image]
    assert rsum(rank(split, image, text)) == 600.0
    worst = rank(split, image, -text)
    assert worst.i2t.rank().tolist() == [13.0, 9.0, 7.0]


def test_duplicated_images_tie_and_lose() -> None:
    split = gallery([1, 1, 1])
    image = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    ranked = rank(split, image, image)
    assert ranked.t2i.rank().tolist() == [2.0, 2.0, 1.0]
    assert ranked.t2i.rank("expected").tolist() == [1.5, 1.5, 1.0]


def test_fold_equals_a_gallery_of_its_own() -> None:
    random = np.random.default_rng(0)
    split = gallery([1, 3, 5, 2, 4, 5])
    image = random.standard_normal((6, 8)).astype(np.float32)
    text = random.standard_normal((20, 8)).astype(np.float32)
    fold = rank(split, image, text).fold(2, 5)
    alone = rank(gallery([5, 2, 4]), image[2:5], text[4:15])
    assert fold.split.image_ids == ("i2", "i3", "i4")
    assert fold.i2t.rank().tolist() == alone.i2t.rank().tolist()
    assert fold.t2i.rank().tolist() == alone.t2i.rank().tolist()


def test_folds_of_a_tile_come_from_the_pass_over_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "BLOCK", 2)
    random = np.random.default_rng(0)
    counts = [1, 3, 5, 2, 4]
    # Few different scores, so that some tie.
    image = random.integers(-1, 2, (5, 3)).astype(np.float32)
    text = random.integers(-1, 2, (15, 3)).astype(np.float32)
    whole = rank(gallery(counts), image, text)
    ends = {(0, 2): (0, 4), (2, 4): (4, 11), (4, 5): (11, 15), (1, 3): (1, 9)}
    alone = {(a, b): rank(gallery(counts[a:b]), image[a:b], text[c:d]) for (a, b), (c, d) in ends.items()}
    asked: list[int] = []

    def again(split: Split, image: np.ndarray, text: np.ndarray) -> Ranked:
        asked.append(len(split.records))
        return rank(split, image, text)

    monkeypatch.setattr(ranking, "rank", again)
    for (start, stop), expected in alone.items():
        fold = whole.fold(start, stop)
        for side in ("i2t", "t2i"):
            for name in ("above", "tied", "matched"):
                found = getattr(getattr(fold, side), name)
                assert found.tolist() == getattr(getattr(expected, side), name).tolist()
    assert asked == [2]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_named(bad: float) -> None:
    split = gallery([1, 1])
    text = np.eye(2, dtype=np.float32)
    image = text.copy()
    image[1, 0] = bad
    with pytest.raises(ScoreError, match="1 of 2 image embeddings are NaN or infinite: i1"):
        rank(split, image, text)
    with pytest.raises(ScoreError, match="i1"):
        normalize(image, split.image_ids, "image")


def test_embeddings_of_another_gallery_are_refused() -> None:
    with pytest.raises(ScoreError, match="2 images and 2 captions"):
        rank(gallery([1, 1]), np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32))


def test_normalize_keeps_zero_rows_and_survives_large_values() -> None:
    rows = np.array([[0, 0], [3e38, 3e38], [3, 4]], dtype=np.float32)
    out = normalize(rows, ["a", "b", "c"], "image")
    assert out[0].tolist() == [0, 0]
    assert np.linalg.norm(out[1:], axis=1) == pytest.approx(1)


def test_a_path_that_died_has_collapsed() -> None:
    alive = np.eye(4, dtype=np.float32)
    dead, one = np.zeros((4, 4), np.float32), np.tile(alive[0], (4, 1))
    assert collapsed(alive, alive) == ""
    assert collapsed(dead, alive) == "image"
    assert collapsed(alive, one) == "caption"
    assert collapsed(dead, one) == "image and caption"
