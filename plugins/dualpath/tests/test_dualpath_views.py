"""Views: their statistics, and that nothing but pixels and number determines one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness_dualpath.backbone import Scaled
from harness_dualpath.views import DRAWS, Views, views_of


def views(**parameters: Any) -> Views:
    return Views(height=32, width=32, interpolation="bilinear", **parameters)


def ramp(height: int, width: int) -> np.ndarray:
    """Red is the column, green the row, in 0..255."""
    red, green = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.stack([red, green, np.zeros_like(red)], axis=-1).round().astype(np.uint8)


def test_a_square_image_of_the_right_size_is_its_own_test_view() -> None:
    raw = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert torch.equal(views().test(raw), torch.from_numpy(raw).permute(2, 0, 1))


def test_the_test_view_is_the_centre_of_the_longer_side() -> None:
    view = views().test(ramp(100, 300)).float()
    assert view[0].min() == pytest.approx(85, abs=3)
    assert view[0].max() == pytest.approx(170, abs=3)
    assert view[1].min() == pytest.approx(4, abs=3)
    assert view[1].max() == pytest.approx(251, abs=3)


def test_test_crop_keeps_a_part_of_the_shorter_side() -> None:
    view = views(test_crop=0.5).test(ramp(100, 100)).float()
    assert view[1].min() == pytest.approx(64, abs=4)
    assert view[1].max() == pytest.approx(191, abs=4)


def test_views_are_determined_by_pixels_and_number() -> None:
    raw = ramp(60, 80)
    other = raw.copy()
    other[0, 0, 2] = 1
    first = [views().numbered(raw, k) for k in range(4)]
    assert all(torch.equal(view, views().numbered(raw.copy(), k)) for k, view in enumerate(first))
    assert torch.equal(first[0], views().test(raw))
    assert len({view.numpy().tobytes() for view in first}) == 4
    assert not torch.equal(first[1], views().numbered(other, 1))
    # Views must not lean on, or disturb, the random state of training.
    torch.manual_seed(0)
    state = torch.get_rng_state()
    views().numbered(raw, 1)
    assert torch.equal(torch.get_rng_state(), state)


def test_half_of_the_random_views_are_mirrored() -> None:
    raw = ramp(64, 64)
    mirrored = [bool(v[0, 0, 0] > v[0, 0, -1]) for v in (views().numbered(raw, k) for k in range(1, 201))]
    assert 70 <= sum(mirrored) <= 130
    assert not any(
        bool(v[0, 0, 0] > v[0, 0, -1]) for v in (views(flip=0).numbered(raw, k) for k in range(1, 20))
    )


def test_random_boxes_have_the_size_and_aspect_that_were_asked_for() -> None:
    raw, drawn = ramp(300, 300), np.random.default_rng(0).random((500, DRAWS))
    boxes = [
        views()._box(raw, (2 * a - 1) * np.log(4 / 3), np.sqrt(0.64 + s * 0.36), x, y)
        for a, s, x, y, _ in drawn
    ]
    width, height = (np.array([b[2] - b[0] for b in boxes]), np.array([b[3] - b[1] for b in boxes]))
    aspect, longer = width / height, np.maximum(width, height) / 300
    assert aspect.min() == pytest.approx(3 / 4, abs=0.02)
    assert aspect.max() == pytest.approx(4 / 3, abs=0.02)
    assert np.log(aspect).mean() == pytest.approx(0, abs=0.03)
    assert longer.min() == pytest.approx(0.8, abs=0.02)
    assert (longer**2).mean() == pytest.approx(0.82, abs=0.02)  # the square is uniform


@given(
    st.integers(1, 400),
    st.integers(1, 400),
    st.lists(st.floats(0, 1, exclude_max=True), min_size=DRAWS, max_size=DRAWS),
)
@settings(max_examples=60, deadline=None)
def test_every_draw_stays_inside_an_image_of_any_size(height: int, width: int, draws: list[float]) -> None:
    raw = np.zeros((height, width, 3), dtype=np.uint8)
    assert views().random(raw, draws).shape == (3, 32, 32)


@pytest.mark.parametrize("wrong", [{"crop_size": 0}, {"crop_aspect": 0.5}, {"flip": 2}, {"test_crop": -1}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        views(**wrong)


def test_the_data_config_sets_size_and_filter() -> None:
    config = {"input_size": (3, 48, 64), "interpolation": "random"}
    found = views_of(config)
    assert (found.height, found.width, found.interpolation) == (48, 64, "bicubic")
    assert found.test(ramp(30, 30)).shape == (3, 48, 64)


def test_an_exact_crop_is_a_window_of_the_stored_image() -> None:
    stored = np.random.default_rng(0).integers(0, 256, (37, 50, 3), dtype=np.uint8)  # 32 x 256/224 is 37
    cut = views(crop="exact", flip=0.5)
    pixels = torch.from_numpy(stored).permute(2, 0, 1)
    for x, y, top, left in ((0.0, 0.0, 0, 0), (0.9999999, 0.9999999, 5, 18), (0.5, 0.5, 3, 9)):
        window = pixels[:, top : top + 32, left : left + 32]
        assert torch.equal(cut.random(stored, [0.3, 0.3, x, y, 0.7]), window)
        assert torch.equal(cut.random(stored, [0.3, 0.3, x, y, 0.3]), window.flip(2))
    # What a view shares with the cache could be written to.
    cut.random(stored, [0, 0, 0, 0, 0.7]).zero_()
    assert stored.any()


def test_an_exact_crop_of_another_size_is_cut_from_the_scaled_image() -> None:
    raw = ramp(300, 400)
    raw.flags.writeable = False
    cut = views(crop="exact")
    whole = cut.whole(raw)
    assert torch.equal(cut.random(raw, [0, 0, 0.5, 0.5, 0.9]), whole[:, 3:35, 9:41])


@pytest.mark.parametrize(
    "ways", [{"crop": "exact"}, {"resize": "torch"}, {"crop": "exact", "resize": "torch"}]
)
@pytest.mark.parametrize("shape", [(60, 81), (37, 50), (32, 32)])
def test_pixels_that_are_read_only_give_the_same_views_and_stay_so(
    ways: dict[str, Any], shape: tuple[int, int]
) -> None:
    raw = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    fixed = raw.copy()
    fixed.flags.writeable = False
    cut = views(**ways)
    for draws in ([0.2, 0.9, 0.3, 0.7, 0.9], [0.2, 0.9, 0.3, 0.7, 0.1]):
        view = cut.random(fixed, draws)
        assert torch.equal(view, cut.random(raw, draws))
        view.zero_()
    for view in (cut.test(fixed), cut.whole(fixed)):
        view.zero_()
    assert np.array_equal(fixed, raw)


@pytest.mark.parametrize("shape", [(375, 500), (96, 96), (37, 50)])
def test_torch_scales_as_pillow_does(shape: tuple[int, int]) -> None:
    raw = ramp(*shape)
    raw.flags.writeable = False
    for name in ("bilinear", "bicubic"):
        plain = Views(height=32, width=32, interpolation=name)
        fast = Views(height=32, width=32, interpolation=name, resize="torch")
        for view in ("test", "whole"):
            a, b = getattr(plain, view)(raw), getattr(fast, view)(raw)
            assert a.shape == b.shape
            # A crop of whole pixels moves the ramp by less than a pixel.
            assert (a.int() - b.int()).abs().max() <= 2 + 255 / min(shape)
        for flip in (0.1, 0.9):
            a, b = plain.random(raw, [0.2, 0.3, 0.4, 0.6, flip]), fast.random(raw, [0.2, 0.3, 0.4, 0.6, flip])
            assert a.shape == b.shape == (3, 32, 32)


@pytest.mark.parametrize("name", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(375, 500), (41, 37), (20, 9)])
def test_scaling_with_channels_innermost_equals_scaling_planes(name: str, shape: tuple[int, int]) -> None:
    raw = np.random.default_rng(2).integers(0, 256, (*shape, 3), dtype=np.uint8)
    cut = Views(height=32, width=32, interpolation=name, resize="torch")
    for piece in (raw, raw[3:, 2:-1]):
        found = cut.whole(piece)
        planes = torch.from_numpy(piece.copy()).permute(2, 0, 1).contiguous().unsqueeze(0)
        plain = torch.nn.functional.interpolate(planes, found.shape[1:], mode=name, antialias=True)[0]
        assert torch.equal(found, plain)
        # What order of memory it has is the half of its speed.
        assert found.permute(1, 2, 0).is_contiguous()


def test_new_parameters_leave_the_address_of_cached_features() -> None:
    assert " crop=" not in views().key
    assert " resize=" not in views().key
    assert " crop=exact" in views(crop="exact").key
    assert " resize=torch" in views(resize="torch").key


@pytest.mark.parametrize("wrong", [{"crop": "window"}, {"resize": "opencv"}])
def test_names_of_ways_are_checked(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong.values()))):
        views(**wrong)
    with pytest.raises(ValueError, match="set resize: pillow"):
        Views(height=32, width=32, interpolation="lanczos", resize="torch")


@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 3, 4, 4), (3, 3, 1, 1), (2, 3, 1, 6)])
@pytest.mark.parametrize("innermost", [True, False])
def test_normalising_by_rows_equals_the_formula_to_the_bit(
    shape: tuple[int, int, int, int], innermost: bool
) -> None:
    scaled = Scaled((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    views = torch.from_numpy(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    if innermost:
        views = views.contiguous(memory_format=torch.channels_last)
    before = views.clone()
    plain = ((views.float() - scaled.mean) / scaled.std).contiguous(memory_format=torch.channels_last)
    found = scaled(views)
    assert torch.equal(found, plain)
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(views, before)
    # What is float already is not written to.
    floats = views.float()
    assert torch.equal(scaled(floats), plain)
    assert torch.equal(floats, before.float())
