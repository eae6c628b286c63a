"""A timm backbone without its classifier: made, loaded, and folded for speed where it stays frozen."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from timm.data.config import resolve_model_data_config
from timm.models.vgg import VGG
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from harness.api import ParameterError, nearest
from harness_dualpath.weights import load_package, load_path, not_downloaded, unknown

BackboneNorm = Literal["stored", "batch", "evaluation"]


def create(name: str, weights: str | None) -> nn.Module:
    """Make a backbone that maps (batch, 3, height, width) to pooled features.

    Args:
        name: of a timm model, with or without its tag.
        weights: ``timm``, ``package``, a path, or ``None`` for random ones.

    Raises:
        ParameterError: if timm has no such model, or the weights cannot be had.
    """
    if not timm.is_model(name):
        raise ParameterError(
            f"timm {timm.__version__} has no model {name!r}{nearest(name, timm.list_models())}"
        )
    config = timm.get_pretrained_cfg(name)
    if weights == "timm" and not (config and config.has_weights):
        raise unknown(name)
    try:
        # With its classifier where a file will be loaded by order: the file has one, too.
        model: nn.Module = timm.create_model(name, pretrained=weights == "timm")
    except OSError as error:
        raise not_downloaded(name, vars(config), error) from error
    if weights == "package":
        load_package(model, name)
    model.reset_classifier(0)  # type: ignore[operator]
    if weights not in (None, "timm", "package"):
        load_path(model, Path(weights))
    if isinstance(model, VGG):
        model.pre_logits.act2 = nn.Identity()  # the paper takes fc7 before its ReLU
    return model


def width(model: nn.Module) -> int:
    """Return the number of pooled features."""
    # Some heads widen the features once more before the classifier.
    size: Any = getattr(model, "head_hidden_size", None) or model.num_features
    return int(size)


def data_config(model: nn.Module) -> Mapping[str, Any]:
    """Return timm's input size, mean, standard deviation and interpolation for the model's weights."""
    config: Mapping[str, Any] = resolve_model_data_config(model)  # type: ignore[no-untyped-call]
    return config


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Run a model in evaluation mode and without gradient; afterwards every module has the mode that it had."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def set_modes(model: nn.Module, norm: BackboneNorm) -> None:
    """Put into evaluation mode what `norm` keeps from the mode that the model was set to.

    Args:
        norm: ``stored``: modules whose parameters are all frozen; ``evaluation``: all batch normalisations as well;
            ``batch``: nothing.
    """
    if norm == "batch":
        return
    if _frozen(model, recurse=True):
        model.eval()
        return
    if isinstance(model, _BatchNorm) and (norm == "evaluation" or _frozen(model, recurse=False)):
        model.training = False
    for child in model.children():
        set_modes(child, norm)


def _frozen(model: nn.Module, *, recurse: bool) -> bool:
    trained = [parameter.requires_grad for parameter in model.parameters(recurse)]
    return bool(trained) and not any(trained)


class Scaled(nn.Module):
    """Normalise uint8 views to what the backbone was trained on. This runs on the device: workers send bytes."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", 255 * torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, views: Tensor) -> Tensor:
        """Map (batch, 3, height, width) uint8 to float32, channels last, as a CPU convolves best."""
        scaled = views.to(self.mean.dtype, copy=True, memory_format=torch.channels_last)
        # A row of pixels is one long vector: with channels innermost, loops over three numbers are ten times as slow.
        rows = scaled.permute(0, 2, 3, 1).flatten(2)
        width = views.shape[3]
        rows.sub_(self.mean.flatten().repeat(width)).div_(self.std.flatten().repeat(width))
        return scaled


def folded(model: nn.Module, sample: Tensor) -> nn.Module:
    """Return a copy for evaluation whose batch normalisations are folded into the convolutions before them.

    A convolution is paired with the normalisation that received its very output on `sample`. The copy
    passes over every feature map once less. A model whose output differs cannot be folded so: then the copy is not.

    Args:
        sample: (batch, 3, height, width) float32.
    """
    plain = copy.deepcopy(model).eval()
    folding = copy.deepcopy(plain)
    made: dict[int, tuple[nn.Conv2d, Tensor]] = {}
    pairs: dict[nn.Module, nn.Conv2d] = {}

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            made[id(output)] = (module, output)  # the tensor is kept, so that its id stays its own
        elif id(inputs[0]) in made:
            pairs[module] = made[id(inputs[0])][0]

    watched = [m for m in folding.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    handles = [module.register_forward_hook(note) for module in watched]
    with torch.inference_mode():
        expected = plain(sample)
        folding(sample)
        for handle in handles:
            handle.remove()
        for parent in list(folding.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.BatchNorm2d) and child in pairs:
                    setattr(parent, name, _fold(pairs[child], child))
        same = torch.allclose(folding(sample), expected, rtol=1e-3, atol=1e-4)
    return folding if same else plain


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Module:
    """Fold `norm` into `conv` and return what is left of it: timm's normalisations end in an activation."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = torch.rsqrt(norm.running_var + norm.eps)
    if norm.affine:
        scale = scale * norm.weight
    shift = -norm.running_mean * scale + (norm.bias if norm.affine else 0)
    weight, bias = conv.weight * scale[:, None, None, None], shift
    if conv.bias is not None:
        bias = bias + conv.bias * scale
    conv.weight = nn.Parameter(weight, requires_grad=False)
    conv.bias = nn.Parameter(bias, requires_grad=False)
    rest = [part for part in (getattr(norm, "drop", None), getattr(norm, "act", None)) if part is not None]
    return nn.Sequential(*rest) if rest else nn.Identity()
