"""What a backbone's batch normalisation does in training, by name and by what is frozen."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from harness_dualpath.image import ImageCNN

FROZEN = ["backbone.conv1.*", "backbone.bn1.*", "backbone.layer[123].*"]


def encoder(**parameters: object) -> ImageCNN:
    torch.manual_seed(0)
    return ImageCNN(**{"dim": 8, "backbone": "test_resnet", "weights": None, "hidden": 16, **parameters})  # type: ignore[arg-type]


def train_only(model: ImageCNN, start: str, *but: str) -> None:
    """Do as the harness does before training."""
    for name, parameter in model.backbone.named_parameters():
        parameter.requires_grad_(name.startswith(start) and not name.startswith(but))


def on_batch_statistics(model: ImageCNN) -> set[str]:
    modules = model.backbone.named_modules()
    return {name for name, module in modules if isinstance(module, nn.BatchNorm2d) and module.training}


def views() -> Tensor:
    draws = torch.Generator().manual_seed(7)
    return torch.randint(0, 256, (4, 3, 160, 160), dtype=torch.uint8, generator=draws)


def test_stored_statistics_are_those_of_what_is_frozen() -> None:
    model = encoder()
    everything = on_batch_statistics(model.train())
    assert {"bn1", "layer4.0.bn1", "layer4.0.bn2"} < everything
    train_only(model, "layer4")
    assert on_batch_statistics(model.train()) == {name for name in everything if name.startswith("layer4")}
    # A frozen one beyond the first trained convolution.
    train_only(model, "layer4", "layer4.0.bn2")
    assert "layer4.0.bn2" not in on_batch_statistics(model.train())
    assert "layer4.0.bn1" in on_batch_statistics(model)
    assert model.projection.training
    assert on_batch_statistics(model.eval()) == set()
    train_only(model, "none of it")
    assert not any(module.training for module in model.train().backbone.modules())
    train_only(model, "")
    assert on_batch_statistics(model.train()) == everything


@pytest.mark.parametrize("trained", ["", "layer4", "none of it"])
def test_batch_and_evaluation_hold_for_the_whole_backbone(trained: str) -> None:
    everything = on_batch_statistics(encoder().train())
    for setting, expected in (("batch", everything), ("evaluation", set())):
        model = encoder(backbone_norm=setting)
        train_only(model, trained)
        assert on_batch_statistics(model.train()) == expected
        assert model.projection.training
        assert on_batch_statistics(model.eval()) == set()


def test_evaluation_keeps_statistics_while_weights_train() -> None:
    model = encoder(backbone_norm="evaluation")
    before = copy.deepcopy(model.state_dict())
    model.train()(views()).sum().backward()
    after = model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in after if "backbone" in name)
    assert all(parameter.grad is not None for parameter in model.backbone.parameters())


def test_evaluation_caches_what_stored_statistics_do_and_a_batch_nothing() -> None:
    model = encoder(backbone_norm="evaluation")
    part, stored = model.frozen_part(FROZEN), encoder().frozen_part(FROZEN)
    assert part is not None
    assert stored is not None
    assert part.key == stored.key
    train_only(model, "layer4")
    expected = model.train()(views())
    found = model.head(part.compute(views()))
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-4 * float(expected.detach().abs().max()))
    assert encoder(backbone_norm="batch").frozen_part(FROZEN) is None


def test_dropout_follows_the_module_that_it_stands_in() -> None:
    model = encoder()
    model.backbone.layer1.add_module("drop", nn.Dropout(0.5))
    model.backbone.layer4.add_module("drop", nn.Dropout(0.5))
    train_only(model, "layer4")
    model.train()
    assert not model.backbone.layer1.drop.training
    assert model.backbone.layer4.drop.training
