"""What components declare reaches what is stored: scales of figures their intervals, preprocessing the passport."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.api import Scale
from harness.catalog import Catalog
from harness.execute.score import judged
from harness.passport import PREPROCESSING
from harness.plan import Part
from harness.ranking import rank
from harness.specs import EvaluatorSpec
from harness.testing.check import make_gallery


def bounds(folder: Path) -> dict[str, list[float]]:
    """Return the intervals of a scorer that follows made-up judgments closely, but not quite."""
    folder.mkdir()
    catalog = Catalog.load()
    spec = catalog.find("evaluator", "expert-judgments").spec
    assert isinstance(spec, EvaluatorSpec)
    gallery = make_gallery(spec, folder)
    assert gallery is not None
    assert gallery.relevance is not None
    noise = np.random.default_rng(3).standard_normal(gallery.relevance.shape)
    text = (gallery.relevance + 0.05 * noise).T.astype(np.float32)
    ranking = rank(gallery.split, np.eye(len(gallery.split.records), dtype=np.float32), text)
    part = Part(name="people", use=spec.name, revision=spec.revision)
    found: dict[str, list[float]] = judged("people", part, ranking, folder, catalog).entry["intervals"]
    return found


def test_stored_bounds_keep_to_the_scale_that_the_evaluator_declares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = bounds(tmp_path / "usual")
    monkeypatch.setattr(
        "harness_judgments.hooks._CORRELATION", Scale(better="higher", best=0.99, worst=-1.0, chance=0.0)
    )
    low, high = usual["expert.spearman"]
    assert low < 0.99 < high
    clipped = {name: [low, 0.99] for name in ("expert.spearman", "crowd.spearman")}
    assert bounds(tmp_path / "narrow") == usual | clipped


def test_the_passport_of_a_run_names_an_image_encoder_that_tells_no_preprocessing(
    toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("harness_toy.models.Frozen.preprocessing")
    (outcome,) = toy.execute(toy.plan(matrix="one"))
    image = outcome.result.spec["image"]
    told = outcome.result.protocol[PREPROCESSING]
    assert told.startswith(f"not told by {image['use']} {image['revision']}, ")
