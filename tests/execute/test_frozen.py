"""What is frozen and still moves: the statistics of a frozen batch normalisation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file
from torch import nn

from harness import train as training
from harness.errors import Interrupted
from harness.execute.restore import restore
from harness.model import Model
from harness.store import Store


def test_statistics_that_training_moves_are_not_steady() -> None:
    class Kept(nn.BatchNorm1d):
        def train(self, mode: bool = True) -> Kept:
            super().train(False)
            return self

    image = nn.ModuleDict({"kept": Kept(2), "moving": nn.BatchNorm1d(2), "top": nn.Linear(2, 2)})
    model = Model(nn.ModuleDict({"image": image}), {})
    steady = set(model.steady(("image.kept.*", "image.moving.*")))
    assert steady == {f"image.kept.{name}" for name in image["kept"].state_dict()} | {
        "image.moving.weight",
        "image.moving.bias",
    }
    assert {n for n, p in model.root.named_parameters() if p.requires_grad} == {
        "image.top.weight",
        "image.top.bias",
    }
    model.freeze(())
    assert all(parameter.requires_grad for parameter in model.root.parameters())


def test_a_head_that_is_frozen_keeps_the_statistics_of_the_best_epoch(
    shapes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen as a whole, the image path still has batch normalisation over its cached features."""
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    text = (shapes.folder / "registry.yaml").read_text(encoding="utf-8")
    registry = tmp_path / "registry.yaml"
    frozen = text.replace("freeze: [image.backbone.*], epochs: 1", "freeze: [image.*], epochs: 2")
    registry.write_text(frozen, encoding="utf-8")
    calm = replace(shapes.workspace, home=tmp_path / "calm")
    plan = shapes.make(registry, calm, only={"variant": ["one"]})
    (run,) = plan.runs
    shapes.execute(plan, calm)
    restore(run.fingerprint, calm, Store(calm.home), tmp_path)  # compares what it embeds with what was stored

    def stopping() -> int:
        return 15 if any((tmp_path / "hurt").rglob("checkpoint.pt")) else 0

    hurt = replace(shapes.workspace, home=tmp_path / "hurt")
    with pytest.raises(Interrupted):
        shapes.execute(plan, replace(hurt, stopping=stopping))
    shapes.execute(plan, hurt)
    for name in ("weights.safetensors", "embeddings.safetensors"):
        whole, pieces = (load_file(home / "runs" / run.fingerprint / name) for home in (calm.home, hurt.home))
        assert {k: v.tobytes() for k, v in whole.items()} == {k: v.tobytes() for k, v in pieces.items()}
