"""A small registry, whole, and the same with changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.registry import Registry

EXAMPLE = """\
version: 1
default_profile: laptop
profiles:
  tiny:
    stages: {one: {epochs: 2}}
  laptop:
    experiments: {dual-path: {dim: 512}}
    encoders: {image: {backbone: small}, words: {width: 0.25, title: Quarter}}
    stages: {one: {epochs: 80, batch: 128}}
datasets:
  shapes: {use: shapes, profile: tiny, title: Shapes, images: 2000}
  flickr8k: {use: flickr8k, profile: laptop}
encoders:
  image: {use: timm, title: ResNet-50, backbone: resnet50}
  words: {use: text-cnn, title: CNN, layers: 50}
  narrow: {like: words, width: 0.5}
  bag: {like: words, use: bow}
losses:
  instance: {use: instance, dropout: 0.75}
  ranking: {use: ranking}
evaluators:
  recall: {use: recall}
stages:
  one:
    losses: {instance: 1.0}
    freeze: ["image.backbone.*"]
    epochs: 240
    groups: {"loss.instance.*": {lr: 0.1}}
  two: {like: one, after: one, losses: {ranking: 2.0, instance: 1}, freeze: [], epochs: 60, decay_at: [40]}
experiments:
  dual-path:
    title: Dual-path CNN
    dataset: shapes
    image: image
    text: words
    dim: 2048
    stage: one
    evaluators: [recall]
  other: {like: dual-path, text: bag}
matrices:
  ablations:
    summary: one line
    experiment: dual-path
    axes:
      dataset: [shapes, flickr8k]
      variant:
        full: {}
        left-aligned: {text.shift: false}
        two: {stage: two, stage.lr: 1e-3}
        dropout: {loss.instance.dropout: 0.5, dim: 256}
      seed: [0, 1, 2]
    exclude: [{variant: [left-aligned, dropout], seed: [1, 2]}, {dataset: shapes, variant: two}]
"""


@pytest.fixture
def example() -> str:
    """The text of a registry that is sound."""
    return EXAMPLE


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Registry]:
    """Load the example with replacements, each of which must occur."""

    def load(*changes: tuple[str, str]) -> Registry:
        text = EXAMPLE
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        file = tmp_path / "registry.yaml"
        file.write_text(text, encoding="utf-8")
        return Registry.load(file)

    return load
