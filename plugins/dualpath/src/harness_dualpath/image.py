"""The image path: a timm backbone, and the paper's head on its pooled features."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal

import torch
from torch import Tensor, nn

from harness.api import ParameterError
from harness_dualpath.backbone import BackboneNorm, Scaled, create, data_config, set_modes, width
from harness_dualpath.frozen import FrozenBackbone, FrozenTraining
from harness_dualpath.layers import Embed, linear, norm
from harness_dualpath.prefix import Cut, find_cut
from harness_dualpath.views import DRAWS, WHOLE, views_of
from harness_dualpath.whole import Window, find_window, whole_features


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
        backbone_norm: what the backbone's batch normalisation does in training. ``stored``: what is frozen uses
            its stored statistics, so that features can be cached, what is trained those of the batch. ``batch``:
            all of it uses those of the batch, as in the authors' code. ``evaluation``: all of it uses stored ones.
        cut_size: of a backbone that is frozen in part, the activations where its trained part begins are cached if
            they are no more than `cut_size` times as many numbers as a view; 0 caches none. The cached views are
            a fixed number; pixels are augmented anew in every epoch.
        test_views: what val and test images are embedded from: ``centre``, one view; ``whole``, as in the paper: the
            whole image and its mirror, the head at every position of the feature map, summed.
        test_crop, crop_size, crop_aspect, flip, crop, resize: see `harness_dualpath.views.Views`.
        stored_scale: shorter side of the images that the harness decodes once for a stage that reads pixels, as part
            of a view's longer side, at least 1: 256 pixels for views of 224, as in the authors' code. ``None``:
            nothing is stored, and views are cut from the image as it is, decoded every time.

    Attributes:
        stored_size: that side in pixels, or ``None``.

    Raises:
        ParameterError: if the backbone is unknown, its weights cannot be had, a number is out of range, or it
            cannot pool a whole image.
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
        backbone_norm: BackboneNorm = "stored",
        cut_size: float = 2.0,
        test_views: Literal["centre", "whole"] = "centre",
        test_crop: float = 1.0,
        crop_size: float = 0.8,
        crop_aspect: float = 4 / 3,
        flip: float = 0.5,
        crop: Literal["scaled", "exact"] = "scaled",
        resize: Literal["pillow", "torch"] = "pillow",
        stored_scale: float | None = WHOLE,
    ) -> None:
        super().__init__()
        if not cut_size >= 0:
            raise ParameterError(f"image encoder: cut_size is {cut_size}, not at least 0")
        least = WHOLE if test_views == "whole" else 1.0
        if stored_scale is not None and not least <= stored_scale < math.inf:
            raise ParameterError(
                f"image encoder: stored_scale is {stored_scale}, not at least {least:.4g}, what test_views: "
                f"{test_views} is cut from",
                hint="Leave it out for 256/224, or set null to store nothing.",
            )
        self.name, self.backbone_norm, self.cut_size = backbone, backbone_norm, cut_size
        self.cut: Cut | None = None
        self.backbone = create(backbone, weights)
        config = data_config(self.backbone)
        try:
            self.views = views_of(
                config,
                test_crop=test_crop,
                crop_size=crop_size,
                crop_aspect=crop_aspect,
                flip=flip,
                crop=crop,
                resize=resize,
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
        side = max(self.views.height, self.views.width)
        self.stored_size = None if stored_scale is None else round(stored_scale * side)
        self.scaled = Scaled(config["mean"], config["std"])
        self.projection = nn.Sequential(OrderedDict(steps, embed=ending))
        self.window: Window | None = None
        if test_views == "whole":
            self.window = find_window(self.backbone, backbone, self.scaled, self.views)
            self.test_view = "whole image + mirror"  # named in the passport
        self.preprocessing = self.views.seen(whole=self.window is not None)

    def train(self, mode: bool = True) -> ImageCNN:
        """Set training mode; of the backbone, what `backbone_norm` says stays in evaluation mode."""
        super().train(mode)
        set_modes(self.backbone, self.backbone_norm)
        return self

    def prepare(self, raw: Any, *, training: bool) -> Tensor:
        """Cut a view, (3, height, width) uint8: the centre, or in training a random one; or take the whole image."""
        if training:
            return self.views.random(raw, torch.rand(DRAWS, dtype=torch.float64).tolist())
        return self.views.test(raw) if self.window is None else self.views.whole(raw)

    def forward(self, batch: Tensor) -> Tensor:
        """Embed views, or in evaluation mode whole images: (batch, 3, height, width) uint8 -> (batch, dim)."""
        return self._embed(self._seen(batch))

    def head(self, features: Tensor) -> Tensor:
        """Embed pooled features, or what the last frozen part made.

        Args:
            features: (batch, features); (batch, positions, features), whose embeddings are summed over positions;
                or (batch, *shape) of a frozen part that ends within the backbone.

        Returns:
            (batch, dim).
        """
        return self._embed(self._pooled(features))

    def features(self, inputs: Tensor) -> Tensor:
        """Return what the last map sees: of views or whole images as `forward` takes, or of what `head` takes."""
        pooled = self._seen(inputs) if inputs.dtype == torch.uint8 else self._pooled(inputs)
        seen = _each(self.projection[:-1], pooled)
        return seen.mean(1) if seen.ndim == 3 else seen

    def _embed(self, pooled: Tensor) -> Tensor:
        embedded = _each(self.projection, pooled)
        return embedded.sum(1) if embedded.ndim == 3 else embedded

    def _seen(self, batch: Tensor) -> Tensor:
        images = self.scaled(batch)
        if self.window is not None and not self.training:
            return whole_features(self.backbone, images, self.window)
        pooled: Tensor = self.backbone(images)
        return pooled

    def _pooled(self, features: Tensor) -> Tensor:
        if self.cut is None or features.shape[1:] != self.cut.shape:
            return features
        # In the order of memory that a CPU convolves best.
        inputs = features.contiguous(memory_format=torch.channels_last) if features.ndim == 4 else features
        pooled: Tensor = self.cut.suffix(inputs)
        return pooled

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
        """Return the longest part of the backbone that only parameters in `frozen` have a share in.

        That is the whole of it, whose output are pooled features, or it ends where the first trained parameter
        begins. There is none with ``backbone_norm: batch``, and where the backbone cannot be cut in two.
        """
        if self.backbone_norm == "batch":
            return None
        names = [name for name, _ in self.backbone.named_parameters()]
        trained = {n for n in names if not any(fnmatchcase(f"backbone.{n}", glob) for glob in frozen)}
        cut = None
        if trained:
            sample = self.scaled(self.views.sample().to(self.scaled.mean.device))
            cut = self.cut = find_cut(
                self.backbone,
                trained,
                sample,
                largest=int(self.cut_size * sample[0].numel()),
                other_than=(width(self.backbone),),
                norm_trains=self.backbone_norm == "stored",
            )
            if cut is None:
                return None
        if self.window is None:
            return FrozenBackbone(self.name, self.backbone, self.scaled, self.views, cut)
        return FrozenTraining(self.name, self.backbone, self.scaled, self.views, cut, self.window)


def _each(steps: nn.Sequential, pooled: Tensor) -> Tensor:
    """Map features at every position: (batch, features) or (batch, positions, features)."""
    if pooled.ndim == 2:
        mapped: Tensor = steps(pooled)
        return mapped
    return steps(pooled.flatten(0, 1)).unflatten(0, pooled.shape[:2])  # type: ignore[no-any-return]
