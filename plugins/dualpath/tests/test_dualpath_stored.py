"""The image that is stored for a stage that reads pixels: its size, and that views of it are what they were."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from harness.api import ParameterError
from harness.decoded import shrunk, stored_size
from harness_dualpath.image import ImageCNN
from harness_dualpath.views import DRAWS, Views


def photo(height: int, width: int) -> np.ndarray:
    """Return smooth noise, as photographs are."""
    random = np.random.default_rng(height * width)
    coarse = random.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return np.ascontiguousarray(coarse.repeat(8, 0).repeat(8, 1)[:height, :width])


def encoder(**parameters: object) -> ImageCNN:
    return ImageCNN(**{"dim": 4, "backbone": "test_resnet", "weights": None, "hidden": 8, **parameters})  # type: ignore[arg-type]


def test_the_stored_size_follows_the_backbone() -> None:
    side = encoder().views.height
    assert stored_size(encoder()) == round(side * 256 / 224)
    assert stored_size(encoder(stored_scale=2)) == 2 * side
    assert stored_size(encoder(stored_scale=None)) is None
    small = ImageCNN(dim=4, backbone="mobilenetv3_small_050", weights=None, head="linear")
    assert (small.views.height, stored_size(small)) == (224, 256)


@pytest.mark.parametrize(
    ("scale", "test_views"),
    [(0.9, "centre"), (-1, "centre"), (math.nan, "centre"), (math.inf, "centre"), (1.1, "whole")],
)
def test_a_size_that_views_do_not_fit_in_is_an_error(scale: float, test_views: str) -> None:
    with pytest.raises(ParameterError, match="stored_scale is .*, not at least 1.*test_views: " + test_views):
        encoder(stored_scale=scale, test_views=test_views)


@pytest.mark.parametrize("shape", [(480, 640), (640, 427), (300, 301), (256, 400), (200, 500)])
def test_a_whole_image_is_the_same_pixels_as_without_the_store(shape: tuple[int, int]) -> None:
    views = Views(height=224, width=224, interpolation="bicubic")
    raw = photo(*shape)
    assert torch.equal(views.whole(shrunk(raw, 256)), views.whole(raw))


def test_a_random_crop_covers_the_same_part() -> None:
    views = Views(height=224, width=224, interpolation="bicubic")
    raw = photo(480, 640)
    for seed in range(5):
        draws = torch.rand(DRAWS, generator=torch.Generator().manual_seed(seed)).tolist()
        direct, stored = (views.random(image, draws).float() for image in (raw, shrunk(raw, 256)))
        assert (direct - stored).abs().mean() < 8
        other = views.random(raw, [*draws[:4], 1 - draws[4]]).float()
        assert (direct - other).abs().mean() > 30


def test_the_features_of_a_frozen_backbone_do_not_know_of_it() -> None:
    torch.manual_seed(0)
    own = encoder()
    torch.manual_seed(0)
    none = encoder(stored_scale=None)
    parts = [model.frozen_part(["backbone.*"]) for model in (own, none)]
    assert parts[0] is not None
    assert parts[1] is not None
    assert parts[0].key == parts[1].key
