"""`recall` against torchmetrics and against sorting, on random scores without ties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torchmetrics.functional.retrieval import (
    retrieval_hit_rate,
    retrieval_recall,
    retrieval_reciprocal_rank,
)

from harness.ranking import rank
from harness.testing.planting import plain, plant, random_levels
from harness_recall.recall import Recall

K = (1, 5, 10)
shapes = st.lists(st.integers(1, 7), min_size=1, max_size=14)
seeds = st.integers(0, 2**32 - 1)


def queries(scores: np.ndarray, owner: np.ndarray) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Return of each side the scores of each query and which of them are right."""
    right = owner[None, :] == np.arange(len(scores))[:, None]
    return {
        "i2t": list(zip(scores, right, strict=True)),
        "t2i": list(zip(scores.T, right.T, strict=True)),
    }


@settings(max_examples=40, deadline=None)
@given(counts=shapes, seed=seeds)
def test_with_torchmetrics(counts: list[int], seed: int) -> None:
    split = plain(counts)
    # torchmetrics takes an item whose score is 0 or less for one that was not found: planted scores are above 0.
    planted = plant(split, random_levels(split, seed) + 1)
    found = Recall(k=K).evaluate(rank(split, planted.image, planted.text))
    for side, rows in queries(planted.image @ planted.text.T, split.caption_image).items():
        pairs = [(torch.from_numpy(row.copy()), torch.from_numpy(right.copy())) for row, right in rows]
        for k in K:
            hits = [float(retrieval_hit_rate(row, right, top_k=k)) for row, right in pairs]
            assert found[f"{side}.recall@{k}"] == pytest.approx(np.mean(hits))
            if side == "t2i":
                # With one right item, recall in the sense of information retrieval is the same.
                shares = [float(retrieval_recall(row, right, top_k=k)) for row, right in pairs]
                assert found[f"{side}.recall@{k}"] == pytest.approx(np.mean(shares))
        ranks = [1 / float(retrieval_reciprocal_rank(row, right)) for row, right in pairs]
        assert found[f"{side}.mean_rank"] == pytest.approx(np.mean(ranks), rel=1e-5)
        assert found[f"{side}.median_rank"] == pytest.approx(np.median(ranks), rel=1e-5)


@settings(max_examples=60, deadline=None)
@given(counts=shapes, seed=seeds, folds=st.integers(1, 3), dim=st.integers(4, 8))
def test_with_sorted_scores(counts: list[int], seed: int, folds: int, dim: int) -> None:
    """Embeddings of any direction, cut into folds; the script of anybody who evaluates by hand."""
    counts = counts * folds
    random = np.random.default_rng(seed)
    # Whole numbers multiply without rounding, so that both sides see the same order.
    high = int((2**24 / dim) ** 0.5)
    image, text = (
        random.integers(-high, high, (rows, dim)).astype(np.float32) for rows in (len(counts), sum(counts))
    )
    whole = image @ text.T
    assume(all(len(np.unique(row)) == len(row) for row in [*whole, *whole.T]))
    split = plain(counts)
    found = Recall(k=K, folds=folds).evaluate(rank(split, image, text))
    size = len(counts) // folds
    parts: dict[str, list[float]] = {}
    for start in range(0, len(counts), size):
        columns = [j for j, owner in enumerate(split.caption_image) if start <= owner < start + size]
        scores = image[start : start + size].astype(np.float64) @ text[columns].astype(np.float64).T
        for side, rows in queries(scores, split.caption_image[columns] - start).items():
            ranks = [1 + int(np.flatnonzero(right[np.argsort(-row)])[0]) for row, right in rows]
            for k in K:
                parts.setdefault(f"{side}.recall@{k}", []).append(np.mean([place <= k for place in ranks]))
            parts.setdefault(f"{side}.mean_rank", []).append(np.mean(ranks))
            parts.setdefault(f"{side}.median_rank", []).append(np.median(ranks))
    for name, values in parts.items():
        assert found[name] == pytest.approx(np.mean(values)), name
    recalls = [100 * np.mean(values) for name, values in parts.items() if "recall" in name]
    assert found["rsum"] == pytest.approx(sum(recalls))
