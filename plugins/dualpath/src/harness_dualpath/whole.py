"""The paper's test features of an image: the backbone over the whole of it and its mirror, pooled at every position."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from harness.api import ParameterError
from harness_dualpath.backbone import Scaled, evaluating
from harness_dualpath.views import WHOLE, Views

ALIKE = 32
"""Whole images that go through the backbone at once."""

Window = tuple[int, int]


def find_window(backbone: nn.Module, name: str, scaled: Scaled, views: Views) -> Window:
    """Return height and width of the feature map of a view, over which the backbone pools: 7 x 7 at 224 pixels.

    Raises:
        ParameterError: if the backbone has no such map, or takes images of one size only.
    """
    with evaluating(backbone):
        try:
            found, reason = _try(backbone, scaled(views.sample()[:1].to(scaled.mean.device)))
        except Exception as error:  # code of any model, on a size that it may not be made for
            reason = f"{type(error).__name__}: {error}"
    if reason:
        raise ParameterError(
            f"image encoder: backbone {name!r} cannot pool a whole image at every position ({reason})",
            hint="Use test_views: centre, or a convolutional backbone such as resnet50.",
        )
    return found


def _try(backbone: nn.Module, view: Tensor) -> tuple[Window, str]:
    """Return the size of the feature map, and why it is of no use, or nothing."""
    found: Any = _map(backbone, view)
    if found.ndim != 4 or found.shape[1] != backbone.num_features:
        return (0, 0), f"its last features are {tuple(found.shape[1:])}, not channels x height x width"
    window = (int(found.shape[2]), int(found.shape[3]))
    if not torch.allclose(_pooled(backbone, found), backbone(view), rtol=1e-3, atol=1e-4):
        return window, "its head sees more than the last features"
    height, width = (round(side * WHOLE) for side in view.shape[2:])
    larger = _map(backbone, view.new_zeros(1, 3, height, 2 * width)).shape[2:]
    if larger[0] < window[0] or larger[1] <= window[1]:
        return window, f"of an image twice as wide its last features are {tuple(larger)}, of a view {window}"
    return window, ""


def whole_features(backbone: nn.Module, images: Tensor, window: Window) -> Tensor:
    """Pool the features of images and of their mirrors at every position of the window.

    Args:
        backbone: a timm model in evaluation mode.
        images: (batch, 3, height, width) float32, scaled.

    Returns:
        (batch, 2 * positions, features): row by row, first those of the image.
    """
    return torch.cat([_features(backbone, some, window) for some in torch.split(images, ALIKE)])


def _features(backbone: nn.Module, images: Tensor, window: Window) -> Tensor:
    pooled = []
    for seen in (images, images.flip(-1)):
        found = _map(backbone, seen)
        # (batch, channels, rows, columns, *window)
        windows = found.unfold(2, window[0], 1).unfold(3, window[1], 1)
        positions = windows.permute(0, 2, 3, 1, 4, 5).flatten(0, 2)
        pooled.append(torch.unflatten(_pooled(backbone, positions), 0, (len(images), -1)))
    return torch.cat(pooled, dim=1)


def _map(backbone: nn.Module, images: Tensor) -> Tensor:
    features: Tensor = backbone.forward_features(images)  # type: ignore[operator]
    return features


def _pooled(backbone: nn.Module, features: Tensor) -> Tensor:
    pooled: Tensor = backbone.forward_head(features)  # type: ignore[operator]
    return pooled
