"""Measured rows of no run, for tests only."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.leaderboard import Row

RECALLS = {"i2t": (0.2, 0.5, 0.625), "t2i": (0.125, 0.375, 0.5)}


@pytest.fixture
def make_row() -> Callable[..., Row]:
    """Return a maker of rows; any field can be given."""

    def make(**fields: Any) -> Row:
        dataset, seed = fields.get("dataset", "flickr8k"), fields.get("seed", 0)
        variant, shift = fields.pop("variant", "full"), fields.pop("shift", 0.0)
        metrics = {
            f"recall.{side}.recall@{k}": value + shift
            for side, values in RECALLS.items()
            for k, value in zip((1, 5, 10), values, strict=True)
        }
        metrics |= {"recall.i2t.median_rank": 5.0, "recall.t2i.median_rank": 8.0}
        values = {
            "matrix": "ablations",
            "labels": {"dataset": dataset, "variant": variant, "seed": str(seed)},
            "experiment": "dual-path",
            "title": "Dual-path CNN",
            "visual": "fixed lite0",
            "textual": "text CNN",
            "dataset": dataset,
            "dataset_title": dataset.title(),
            "fingerprint": f"{dataset}{variant}{seed}{shift}",
            "passport": "0123456789abcdef",
            "seed": seed,
            "metrics": metrics | fields.pop("more", {}),
            "val_rsum": 240.0,
            "images": 1000,
            "captions": 5000,
            "parameters": 2_500_000,
            "train_seconds": 900.0,
            "peak_memory_bytes": 10**9,
            "epochs": 40,
            "best_epoch": 37,
            "hardware": "two cores",
            "versions": {"torch": "2.14.1"},
            "command": "harness run --matrix ablations --dataset flickr8k",
            "date": "2026-01-02T03:04:05+00:00",
            "source_revision": "abcdef0",
        }
        return Row(**(values | fields))

    return make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return leaderboards that hold the published files and nothing measured."""
    published = Path(__file__).resolve().parents[2] / "leaderboards" / "published"
    shutil.copytree(published, tmp_path / "leaderboards" / "published")
    return tmp_path / "leaderboards"
