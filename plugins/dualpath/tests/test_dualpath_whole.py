"""Test features of the paper: the head at every position of the whole image and of its mirror, summed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.api import FrozenPart, ParameterError, SeparateTest
from harness_dualpath.frozen import WholeBackbone
from harness_dualpath.image import ImageCNN
from harness_dualpath.views import Views


def encoder(backbone: str = "test_resnet", **parameters: object) -> ImageCNN:
    torch.manual_seed(0)
    given = {
        "dim": 8,
        "backbone": backbone,
        "weights": None,
        "hidden": 16,
        "test_views": "whole",
        **parameters,
    }
    model = ImageCNN(**given)  # type: ignore[arg-type]
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.7, 1.4)
    return model.eval()


def photo(seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (9, 14, 3), dtype=np.uint8)
    return coarse.repeat(10, axis=0).repeat(10, axis=1)


def looped(model: ImageCNN, raw: np.ndarray) -> tuple[Tensor, Tensor]:
    """Cut every window out of the feature maps of an image and its mirror: pooled features, embeddings."""
    pooled, embedded = [], []
    for seen in (raw, raw[:, ::-1].copy()):
        view = model.prepare(seen, training=False)
        found = model.backbone.forward_features(model.scaled(view[None]))
        rows, columns = found.shape[2] - 4, found.shape[3] - 4
        assert columns > rows > 1
        for row in range(rows):
            for column in range(columns):
                window = found[:, :, row : row + 5, column : column + 5]
                assert window.shape[2:] == (5, 5)  # the map of a view of 160 pixels
                pooled.append(model.backbone.forward_head(window)[0])
                embedded.append(model.projection(pooled[-1][None])[0])
    return torch.stack(pooled), torch.stack(embedded).sum(0)


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-3, atol=1e-4 * float(other.detach().abs().max()))


HEADS = [
    {},
    {"test_before_relu": False},
    {"head": "linear", "standardize": True, "relu": False},
    {"head": "affine", "standardize": True},
]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("backbone", ["test_resnet", "test_efficientnet"])
def test_embeddings_equal_a_loop_over_positions_and_mirror(backbone: str, head: dict[str, object]) -> None:
    model = encoder(backbone, **head)
    raw = photo()
    pooled, embedded = looped(model, raw)
    view = model.prepare(raw, training=False)
    assert close(model(view[None])[0], embedded)
    part = model.frozen_part(["backbone.*"])
    assert isinstance(part, FrozenPart)
    assert isinstance(part, SeparateTest)
    assert isinstance(part.test, FrozenPart)
    assert torch.equal(part.test.view(raw, 0), view)
    features = part.test.compute(view[None])
    assert features.shape == (1, *pooled.shape)
    assert part.test.shape == (-1, part.shape[0])
    assert close(features[0], pooled)
    assert close(model.head(features)[0], embedded)


def test_a_batch_is_embedded_as_each_image_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness_dualpath.whole.ALIKE", 2)
    model = encoder()
    views = [model.prepare(photo(k), training=False) for k in range(5)]
    rows = torch.cat([model(view[None]) for view in views])
    assert not close(rows[0], rows[1])
    assert close(model(torch.stack(views)), rows)


def test_an_image_and_its_mirror_have_one_embedding() -> None:
    model = encoder()
    both = [model(model.prepare(raw, training=False)[None]) for raw in (photo(), photo()[:, ::-1].copy())]
    assert close(*both)


def test_training_sees_single_views() -> None:
    model = encoder()
    raw = photo()
    assert model.prepare(raw, training=False).shape == (3, 183, 285)  # 160 * 256 / 224
    assert model.prepare(raw, training=True).shape == (3, 160, 160)
    part, plain = model.frozen_part(["backbone.*"]), encoder(test_views="centre").frozen_part(["backbone.*"])
    assert part is not None
    assert plain is not None
    assert part.key == plain.key  # the same features, in the same place of the cache
    assert part.shape == plain.shape
    views = torch.stack([part.view(raw, index) for index in range(3)])
    assert torch.equal(part.compute(views), plain.compute(views))
    model.requires_grad_(requires_grad=False).train()
    assert close(model(views), model.head(part.compute(views)))


def test_only_whole_images_are_named_in_the_passport() -> None:
    assert encoder().test_view == "whole image + mirror"
    assert not hasattr(encoder(test_views="centre"), "test_view")
    assert not isinstance(encoder(test_views="centre").frozen_part(["backbone.*"]), SeparateTest)


def test_the_address_tells_whole_images_apart() -> None:
    part = encoder().frozen_part(["backbone.*"])
    assert isinstance(part, SeparateTest)
    assert isinstance(part.test, WholeBackbone)
    assert part.test.key.startswith(part.key)
    assert "whole image + mirror, window=(5, 5)" in part.test.key


def test_a_cut_backbone_reads_whole_images_as_pixels() -> None:
    model = encoder()
    frozen = ["backbone.conv1.*", "backbone.bn1.*", "backbone.layer[123].*"]
    part = model.frozen_part(frozen)
    assert part is not None
    assert model.cut is not None
    assert isinstance(part, SeparateTest)
    assert part.test is None
    raw = photo()
    assert close(model(model.prepare(raw, training=False)[None])[0], looped(model, raw)[1])
    views = torch.stack([part.view(raw, index) for index in range(3)])
    for name, parameter in model.backbone.named_parameters():
        parameter.requires_grad_(name.startswith("layer4"))
    model.train()
    assert close(model.head(part.compute(views)), model(views))


def test_what_a_closed_form_sees_of_a_whole_image_is_the_mean_over_positions() -> None:
    model = encoder(head="affine")
    model.project(torch.eye(96, 8), torch.zeros(8))
    view = model.prepare(photo(), training=False)[None]
    part = model.frozen_part(["backbone.*"])
    assert isinstance(part, SeparateTest)
    assert part.test is not None
    features = part.test.compute(view)
    assert close(model.features(view), features.mean(1))
    assert close(model.features(features), features.mean(1))
    assert close(model(view) / features.shape[1], model.features(view)[:, :8])


def test_building_leaves_statistics_and_modes_alone() -> None:
    torch.manual_seed(0)
    model = ImageCNN(dim=8, backbone="test_resnet", weights=None, test_views="whole")
    torch.manual_seed(0)
    plain = ImageCNN(dim=8, backbone="test_resnet", weights=None)
    assert all(torch.equal(t, plain.state_dict()[name]) for name, t in model.state_dict().items())
    assert [m.training for m in model.modules()] == [m.training for m in plain.modules()]


@pytest.mark.parametrize(
    ("backbone", "reason"),
    [
        ("test_vit", r"last features are \(101, 64\)"),
        ("test_mambaout", r"last features are \(5, 5, 64\)"),
        ("test_maxvit", "RuntimeError"),
    ],
)
def test_backbones_without_a_map_of_any_size_are_refused(backbone: str, reason: str) -> None:
    with pytest.raises(
        ParameterError, match=f"backbone '{backbone}' cannot pool a whole image.*{reason}"
    ) as caught:
        encoder(backbone)
    assert "test_views: centre" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("size", "expected"),
    [((224, 224), (256, 256)), ((333, 500), (256, 384)), ((500, 333), (384, 256)), ((30, 1000), (256, 8533))],
)
def test_the_shorter_side_of_a_whole_image_is_256(size: tuple[int, int], expected: tuple[int, int]) -> None:
    views = Views(height=224, width=224, interpolation="bicubic")
    assert views.whole(np.zeros((*size, 3), np.uint8)).shape == (3, *expected)
    oblong = Views(height=224, width=112, interpolation="bicubic").whole(np.zeros((*size, 3), np.uint8))
    assert min(oblong.shape[1] / 256, oblong.shape[2] / 128) == pytest.approx(1, abs=0.01)


def test_a_whole_image_keeps_its_pixels_in_place() -> None:
    raw = np.zeros((128, 256, 3), np.uint8)
    raw[:, 128:, 0] = 200
    view = Views(height=112, width=112, interpolation="bilinear").whole(raw)
    assert torch.equal(view, torch.from_numpy(raw).permute(2, 0, 1))
