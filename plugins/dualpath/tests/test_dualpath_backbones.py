"""The backbones of the paper's tables, and two of today, through the one class: sizes, head, frozen part, cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import pytest
import timm
import torch
from timm.models import VisionTransformer
from torch import nn

from harness_dualpath.image import ImageCNN

DIM = 2048


@dataclass(frozen=True)
class Expected:
    """What a backbone is known to be.

    Attributes:
        parameters: those of the network as published, less its classifier of 1,000 classes.
        tail: starts of the names of what a stage trains that fine-tunes the end of it.
        cut, shape: where the rest ends, and the activations there for a view of `size` pixels.
        narrow: options of timm that make what lies behind the cut smaller, where that is most of it.
    """

    backbone: str
    features: int
    parameters: int
    tail: tuple[str, ...]
    cut: str
    shape: tuple[int, ...]
    size: int = 64  # a tenth of the time of 224
    narrow: Mapping[str, float] = field(default_factory=dict)


BACKBONES = [
    Expected(
        "vgg19",
        4096,
        143_667_240 - 4_097_000,
        ("pre_logits.",),
        "features",
        (512, 2, 2),
        narrow={"mlp_ratio": 1 / 32},
    ),
    Expected("resnet50", 2048, 25_557_032 - 2_049_000, ("layer4.",), "layer3", (1024, 4, 4)),
    Expected("resnet152", 2048, 60_192_808 - 2_049_000, ("layer4.",), "layer3", (1024, 4, 4)),
    Expected(
        "tf_efficientnet_lite0",
        1280,
        4_652_008 - 1_281_000,
        ("blocks.6.", "conv_head.", "bn2."),
        "blocks_5",
        (192, 2, 2),
    ),
    Expected(
        "vit_base_patch16_224",
        768,
        86_567_656 - 769_000,
        ("blocks.11.", "norm."),
        "blocks_10",
        (5, 768),
        32,  # 2 x 2 patches and the class token
    ),
]

by_name = pytest.mark.parametrize("expected", BACKBONES, ids=lambda expected: expected.backbone)


def sizes(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@by_name
def test_parameters_and_head(expected: Expected) -> None:
    with torch.device("meta"):
        model = ImageCNN(dim=DIM, backbone=expected.backbone, weights=None)
    width = expected.features
    assert sizes(model.backbone) == expected.parameters
    # Linear without bias, BN, ReLU, Linear without bias, BN, ReLU.
    assert sizes(model.projection) == width * width + 2 * width + width * DIM + 2 * DIM
    assert (model.views.height, model.views.width) == (224, 224)
    assert model.stored_size == 256


def test_the_resnet_path_of_the_paper() -> None:
    with torch.device("meta"):
        model = ImageCNN(dim=DIM, weights=None)  # the default backbone and head
    assert sizes(model) == 23_508_032 + 2 * 2048 * 2048 + 4 * 2048


@by_name
def test_the_end_is_fine_tuned_on_cached_activations(
    expected: Expected, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(timm, "create_model", partial(timm.create_model, **expected.narrow))
    model = ImageCNN(dim=8, backbone=expected.backbone, weights=None, hidden=16)
    model.views = replace(model.views, height=expected.size, width=expected.size)
    if isinstance(model.backbone, VisionTransformer):
        model.backbone.set_input_size(img_size=(expected.size, expected.size))
    names = [name for name, _ in model.backbone.named_parameters()]
    frozen = [f"backbone.{name}" for name in names if not name.startswith(expected.tail)]
    assert 0 < len(frozen) < len(names)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in frozen)
    part = model.frozen_part(frozen)
    assert part is not None
    assert model.cut is not None
    assert (model.cut.name, part.shape) == (expected.cut, expected.shape)
    batch = model.views.sample()
    features = part.compute(batch)
    assert features.shape == (2, *expected.shape)
    with torch.no_grad():
        embedded = model.eval()(batch)
    assert embedded.shape == (2, 8)
    scale = float(embedded.abs().max())
    found = model.head(features)
    assert torch.allclose(found, embedded, rtol=1e-3, atol=1e-3 * scale)
    # What is left to compute holds all that is trained, and no more; the head above it has its gradient.
    assert {name for name, _ in model.cut.suffix.named_parameters()} == {
        name for name in names if name.startswith(expected.tail)
    }
    assert found.requires_grad


@pytest.mark.parametrize("backbone", ["resnet50", "tf_efficientnet_lite0"])
def test_whole_images_are_pooled_over_the_map_of_a_view(backbone: str) -> None:
    torch.manual_seed(0)
    model = ImageCNN(dim=8, backbone=backbone, weights=None, hidden=16, test_views="whole").eval()
    assert model.window == (7, 7)
    with torch.inference_mode():
        pooled = model._seen(torch.zeros(1, 3, 256, 320, dtype=torch.uint8))
    assert pooled.shape[1] == 2 * 2 * 4  # two maps of 8 x 10
