"""The frozen part of an image path: what is computed once for every view and cached."""

from __future__ import annotations

import hashlib
from typing import Any

import timm
import torch
from torch import Tensor, nn

from harness_dualpath.backbone import Scaled, folded, width
from harness_dualpath.prefix import Cut
from harness_dualpath.views import Views
from harness_dualpath.weights import weights_hash
from harness_dualpath.whole import Window, whole_features

REVISION = 1
"""Rises when the features of a frozen backbone change; part of their address in the cache."""

WHOLE_REVISION = 1
"""The same for the features of whole images."""


class FrozenBackbone:
    """A backbone that is not trained, or the part of it before a cut: computed once a view.

    Args:
        name: of the timm model.
        backbone: that model, which maps (batch, 3, height, width) float32 to pooled features.
        cut: where the trained part begins; ``None``: all of the backbone is frozen.
    """

    def __init__(self, name: str, backbone: nn.Module, scaled: Scaled, views: Views, cut: Cut | None) -> None:
        self.views, self.scaled = views, scaled
        self.shape: tuple[int, ...] = (width(backbone),) if cut is None else cut.shape
        network = backbone if cut is None else cut.prefix
        # The steps are named, too: what leads to a cut of one name may differ with what else is trained.
        where = "" if cut is None else f" cut={cut.name} steps={_steps(cut)}"
        self.key = (
            f"timm={timm.__version__} backbone={name}{where} weights={weights_hash(network)} "
            f"mean={scaled.mean.flatten().tolist()} std={scaled.std.flatten().tolist()} "
            f"{views.key} revision={REVISION}"
        )
        self.network = folded(network, scaled(views.sample().to(scaled.mean.device)))

    def view(self, raw: Any, index: int) -> Tensor:
        """Return view `index`, (3, height, width) uint8: the test view, or from 1 a random one."""
        return self.views.numbered(raw, index)

    def compute(self, batch: Tensor) -> Tensor:
        """Map (batch, 3, height, width) uint8 to (batch, *shape), in evaluation mode."""
        with torch.inference_mode():
            features = self.network(self.scaled(batch))
        # A copy made outside is an ordinary tensor: a trained head may save it for its gradient.
        return torch.Tensor.clone(features)


class WholeBackbone:
    """A frozen backbone at test time: its pooled features at all positions of a whole image and its mirror."""

    def __init__(self, part: FrozenBackbone, window: Window) -> None:
        self.views, self.scaled, self.network, self.window = part.views, part.scaled, part.network, window
        self.shape: tuple[int, ...] = (-1, *part.shape)
        self.key = f"{part.key} whole image + mirror, window={window} revision={WHOLE_REVISION}"

    def view(self, raw: Any, index: int) -> Tensor:
        """Return the only view, (3, height, width) uint8: the whole image."""
        return self.views.whole(raw)

    def compute(self, batch: Tensor) -> Tensor:
        """Map (batch, 3, height, width) uint8 to (batch, 2 * positions, features)."""
        with torch.inference_mode():
            features = whole_features(self.network, self.scaled(batch), self.window)
        return torch.Tensor.clone(features)


class FrozenTraining(FrozenBackbone):
    """What training reads of a frozen backbone whose test images are whole.

    Attributes:
        test: what val and test images go through; ``None``, the encoder itself, where the backbone is cut.
    """

    def __init__(
        self, name: str, backbone: nn.Module, scaled: Scaled, views: Views, cut: Cut | None, window: Window
    ) -> None:
        super().__init__(name, backbone, scaled, views, cut)
        self.test = WholeBackbone(self, window) if cut is None else None


def _steps(cut: Cut) -> str:
    return hashlib.sha256(cut.prefix.code.encode()).hexdigest()[:16]
