"""Galleries with COCO's ids, small ones and the whole test set; no images are needed."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.api import Record, Split


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="session")
def gallery() -> Callable[..., Any]:
    """Return a function that makes a ranking of images with COCO ids: {image id: its caption ids}."""

    def build(ids: dict[int, Sequence[int]], image: np.ndarray, text: np.ndarray) -> Any:
        records = tuple(
            Record(
                image=f"{number}.jpg",
                split="test",
                captions=tuple(f"caption {caption}" for caption in captions),
                tags={"coco_id": str(number), "caption_ids": ",".join(map(str, captions))},
            )
            for number, captions in ids.items()
        )
        return SimpleNamespace(split=Split("test", records), image=image, text=text)

    return build


@pytest.fixture(scope="session")
def authors() -> Any:
    """Return the metric functions of the package `eccv-caption`, with the folder of its files as `data`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it misses a faster json
        package = pytest.importorskip("eccv_caption")
        from eccv_caption import _metrics
    return SimpleNamespace(
        metrics=_metrics.compute_eccv_metrics,
        recall=_metrics.compute_r_at_k,
        data=Path(package.__file__).parent / "data",
    )


@pytest.fixture(scope="session")
def test_5k(authors: Any) -> dict[int, list[int]]:
    """Return COCO's 5,000 test images with the ids of their 25,000 captions, in the order of the split."""
    owner = json.loads((authors.data / "original_caption_to_image.json").read_text())
    found: dict[int, list[int]] = {}
    for caption in np.load(authors.data / "coco_test_ids.npy").tolist():
        found.setdefault(owner[str(caption)][0], []).append(caption)
    return found


@pytest.fixture(scope="session")
def planted() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Return a function that makes embeddings of images with five captions each, that find one another by halves."""

    def build(
        images: int, noise: float | None, seed: int = 0, dim: int = 16
    ) -> tuple[np.ndarray, np.ndarray]:
        draws = np.random.default_rng(seed)
        image = draws.standard_normal((images, dim))
        text = draws.standard_normal((5 * images, dim))
        return unit(image), unit(text if noise is None else np.repeat(image, 5, 0) + noise * text)

    return build
