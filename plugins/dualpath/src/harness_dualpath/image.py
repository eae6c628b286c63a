"""The image path: a timm backbone, and the paper's head on its pooled features."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal

import timm
import torch
from torch import Tensor, nn

from harness.api import ParameterError
from harness_dualpath.backbone import Scaled, create, data_config, folded, width
from harness_dualpath.layers import Embed, linear, norm
from harness_dualpath.views import DRAWS, views_of
from harness_dualpath.weights import weights_hash

REVISION = 1
"""Rises when the features of a frozen backbone change; part of their address in the cache."""


class ImageCNN(nn.Module):
    """Embed images: f_img of the paper, (batch, 3, height, width) uint8 -> (batch, dim).

    Args:
        dim: size of the common embedding; given by the harness.
        backbone: name of a timm model.
        weights: ``timm`` downloads timm's own, ``package`` takes those of an index package, ``file:PATH`` a
            .safetensors, .pt or .pth file; ``None`` starts from random ones.
        head: ``paper`` is Linear -> BN -> ReLU -> Linear -> BN -> ReLU, ``linear`` its second half alone,
            ``affine`` one linear map with a bias, which a loss in closed form can set.
        hidden: width of the paper head's first layer; ``None``: that of the backbone's features.
        relu: end in a ReLU.
        test_before_relu: in evaluation mode, return the feature before that ReLU, as the paper does.
        standardize: bring every pooled feature to mean 0 and variance 1: batch normalisation without parameters.
        feature_dropout: probability of dropping a pooled feature in training, 0 <= p < 1.
        hidden_dropout: the same between the paper head's two layers.
        backbone_norm: what a frozen backbone's batch normalisation uses in training: ``stored`` statistics,
            so that its features can be cached, or those of the ``batch``, as the authors' code does.
        test_crop, crop_size, crop_aspect, flip: see `harness_dualpath.views.Views`.

    Raises:
        ParameterError: if the backbone is unknown, its weights cannot be had, or a number is out of range.
    """

    def __init__(
        self,
        *,
        dim: int,
        backbone: str = "resnet50",
        weights: str | None = "timm",
        head: Literal["paper", "linear", "affine"] = "paper",
        hidden: int | None = None,
        relu: bool = True,
        test_before_relu: bool = True,
        standardize: bool = False,
        feature_dropout: float = 0.0,
        hidden_dropout: float = 0.0,
        backbone_norm: Literal["stored", "batch"] = "stored",
        test_crop: float = 1.0,
        crop_size: float = 0.8,
        crop_aspect: float = 4 / 3,
        flip: float = 0.5,
    ) -> None:
        super().__init__()
        self.name, self.backbone_norm = backbone, backbone_norm
        self.backbone = create(backbone, weights)
        config = data_config(self.backbone)
        try:
            self.views = views_of(
                config, test_crop=test_crop, crop_size=crop_size, crop_aspect=crop_aspect, flip=flip
            )
            features = width(self.backbone)
            hidden = features if hidden is None else hidden
            ending: nn.Module = (
                nn.Linear(features, dim)
                if head == "affine"
                else Embed(
                    hidden if head == "paper" else features, dim, relu=relu, test_before_relu=test_before_relu
                )
            )
            # Named, so that a stage's parameter groups can tell weights from normalisation.
            steps: dict[str, nn.Module] = {}
            if standardize:
                steps["standardize"] = nn.BatchNorm1d(features, affine=False)
            steps["feature_dropout"] = nn.Dropout(feature_dropout)
            if head == "paper":
                steps["hidden"] = linear(features, hidden)
                steps["hidden_norm"] = norm(hidden)
                steps["hidden_relu"] = nn.ReLU()
                steps["hidden_dropout"] = nn.Dropout(hidden_dropout)
        except ValueError as error:
            raise ParameterError(f"image encoder: {error}") from error
        self.scaled = Scaled(config["mean"], config["std"])
        self.projection = nn.Sequential(OrderedDict(steps, embed=ending))

    @property
    def frozen(self) -> bool:
        """Whether no parameter of the backbone is trained."""
        return not any(parameter.requires_grad for parameter in self.backbone.parameters())

    def train(self, mode: bool = True) -> ImageCNN:
        """Set training mode; a frozen backbone with ``stored`` statistics stays in evaluation mode."""
        super().train(mode)
        if self.frozen and self.backbone_norm == "stored":
            self.backbone.eval()
        return self

    def prepare(self, raw: Any, *, training: bool) -> Tensor:
        """Cut a view, (3, height, width) uint8: the centre, or in training a random one."""
        if training:
            return self.views.random(raw, torch.rand(DRAWS, dtype=torch.float64).tolist())
        return self.views.test(raw)

    def forward(self, batch: Tensor) -> Tensor:
        """Embed views: (batch, 3, height, width) uint8 -> (batch, dim)."""
        return self.head(self.backbone(self.scaled(batch)))

    def head(self, features: Tensor) -> Tensor:
        """Embed pooled features: (batch, features) -> (batch, dim)."""
        output: Tensor = self.projection(features)
        return output

    def features(self, inputs: Tensor) -> Tensor:
        """Return what the last map sees: of (batch, 3, height, width) uint8 views, or of pooled features."""
        pooled = inputs if inputs.ndim == 2 else self.backbone(self.scaled(inputs))
        seen: Tensor = self.projection[:-1](pooled)
        return seen

    @torch.no_grad()
    def project(self, weight: Tensor, bias: Tensor) -> None:
        """Set the map of an ``affine`` head: from now on an embedding is ``features @ weight + bias``.

        Args:
            weight: (features, dim).
            bias: (dim,).

        Raises:
            ParameterError: if the head is another.
        """
        last = self.projection[-1]
        if not isinstance(last, nn.Linear):
            raise ParameterError("only an affine head can be set", hint="Set head: affine in registry.yaml.")
        last.weight.copy_(weight.T)
        last.bias.copy_(bias)

    def frozen_part(self, frozen: Sequence[str]) -> FrozenBackbone | None:
        """Return the backbone, if `frozen` covers all its parameters and it uses stored statistics."""
        names = [f"backbone.{name}" for name, _ in self.backbone.named_parameters()]
        covered = all(any(fnmatchcase(name, glob) for glob in frozen) for name in names)
        return FrozenBackbone(self) if covered and self.backbone_norm == "stored" else None


class FrozenBackbone:
    """A backbone that is not trained: its pooled features are computed once a view."""

    def __init__(self, encoder: ImageCNN) -> None:
        self.views, self.scaled = encoder.views, encoder.scaled
        self.shape: tuple[int, ...] = (width(encoder.backbone),)
        self.key = (
            f"timm={timm.__version__} backbone={encoder.name} weights={weights_hash(encoder.backbone)} "
            f"mean={encoder.scaled.mean.flatten().tolist()} std={encoder.scaled.std.flatten().tolist()} "
            f"{encoder.views.key} revision={REVISION}"
        )
        draws = torch.Generator().manual_seed(0)
        size = (2, 3, encoder.views.height, encoder.views.width)
        sample = torch.randint(0, 256, size, dtype=torch.uint8, generator=draws)
        device = encoder.scaled.mean.device
        self.network = folded(encoder.backbone, encoder.scaled(sample.to(device)))

    def view(self, raw: Any, index: int) -> Tensor:
        """Return view `index`, (3, height, width) uint8: the test view, or from 1 a random one."""
        return self.views.numbered(raw, index)

    def compute(self, batch: Tensor) -> Tensor:
        """Map (batch, 3, height, width) uint8 to (batch, features), in evaluation mode."""
        with torch.inference_mode():
            features = self.network(self.scaled(batch))
        # A copy made outside is an ordinary tensor: a trained head may save it for its gradient.
        return torch.Tensor.clone(features)
