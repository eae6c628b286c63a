"""Chains of transforms as people write them with torchvision."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def pil(paths: Sequence[Path], batch: int, *, scaled: bool) -> Tensor:
    """Decode, resize to 256 and crop, or crop at random and resize; flip, to a tensor, normalise, one by one."""
    from PIL import Image
    from torchvision import transforms

    cubic = transforms.InterpolationMode.BICUBIC
    cut = (
        [transforms.RandomResizedCrop(224, scale=(0.64, 1.0), interpolation=cubic)]
        if scaled
        else [transforms.Resize(256, interpolation=cubic), transforms.RandomCrop(224)]
    )
    chain = transforms.Compose(
        [
            *cut,
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )

    def load(path: Path) -> Tensor:
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            view: Tensor = chain(image.convert("RGB"))
        return view

    return _batches(paths, batch, load)


def v2(paths: Sequence[Path], batch: int, *, floats: bool) -> Tensor:
    """Resize, crop and flip with torchvision's second version: in float and normalised, or in uint8.

    Batches of uint8 are normalised at once.
    """
    import torch
    from torchvision.transforms import v2 as modern

    cut: list[Any] = [modern.Resize(256, modern.InterpolationMode.BICUBIC, antialias=True)]
    cut += [modern.RandomCrop(224), modern.RandomHorizontalFlip()]
    to_float = [modern.ToDtype(torch.float32, scale=True), modern.Normalize(MEAN, STD)]
    chain = modern.Compose([*(to_float[:1] if floats else []), *cut, *(to_float[1:] if floats else [])])

    def load(path: Path) -> Tensor:
        return chain(_decoded(path))  # type: ignore[no-any-return]

    return _batches(paths, batch, load, ready=(lambda views: views) if floats else normalised)


def normalised(views: Tensor) -> Tensor:
    """Normalise (batch, 3, height, width) uint8 by the formula: scaled to 0..1, less the mean, by the deviation."""
    import torch

    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return views.to(torch.float32).div_(255).sub_(mean).div_(std)


def _decoded(path: Path) -> Tensor:
    """Decode by torchvision where its build can, else by Pillow."""
    import numpy as np
    import torch
    from PIL import Image

    data = path.read_bytes()
    # It says to move to another package, which no one has who has torchvision alone.
    with contextlib.suppress(RuntimeError, ImportError), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from torchvision.io import decode_jpeg

        decoded: Tensor = decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8))
        return decoded
    with Image.open(io.BytesIO(data)) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def _batches(
    paths: Sequence[Path],
    batch: int,
    load: Callable[[Path], Tensor],
    ready: Callable[[Tensor], Tensor] = lambda views: views,
) -> Tensor:
    """Return the last batch of all, after `ready`."""
    import torch

    last = torch.empty(0)
    for start in range(0, len(paths), batch):
        last = ready(torch.stack([load(path) for path in paths[start : start + batch]]))
    return last


def same_window(path: Path, encoder: Any) -> tuple[Tensor, Tensor]:
    """Return the centre window of the image resized to 256, by Pillow and by the encoder's exact crop."""
    import numpy as np
    import torch
    from PIL import Image

    with Image.open(path) as image:
        rgb = image.convert("RGB")
    width, height = rgb.size
    scale = 256 / min(width, height)
    small = np.array(rgb.resize((round(width * scale), round(height * scale)), Image.Resampling.BICUBIC))
    top, left = (small.shape[0] - 224) // 2, (small.shape[1] - 224) // 2
    window = torch.from_numpy(small[top : top + 224, left : left + 224]).permute(2, 0, 1)
    places = [(top + 0.5) / (small.shape[0] - 223), (left + 0.5) / (small.shape[1] - 223)]
    return window, encoder.views.random(np.array(rgb), [0.0, 0.0, places[1], places[0], 1.0])
