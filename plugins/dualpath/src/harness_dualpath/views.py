"""What the image backbone sees of an image: the test view, and the paper's random crops."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import PIL
import torch
from PIL import Image
from torch import Tensor, nn

Pixels = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]

DRAWS = 5
"""Uniform numbers in [0, 1) that one random view takes: aspect, size, x, y, flip."""

_MODES = {"bilinear": "bilinear", "bicubic": "bicubic"}
"""Filters that torch has, too."""

WHOLE = 256 / 224
"""Shorter side of a whole image at test time, as part of a view's."""


@dataclass(frozen=True, kw_only=True)
class Views:
    """Cut views of one size from images of any size.

    Args:
        height, width: pixels of a view.
        interpolation: name of a Pillow filter, such as ``bicubic``.
        test_crop: part of the shorter side that the test view keeps, in (0, 1].
        crop_size: smallest size of a random crop, as part of the largest box that fits, in (0, 1].
        crop_aspect: widest aspect of a random crop relative to the view's, at least 1; the narrowest is 1 over it.
        flip: probability of a mirrored random view.
        crop: ``scaled`` cuts a random part and scales it to a view; ``exact`` cuts a window of the view's very size
            from the image scaled to `WHOLE` times it, as a resize to 256 and a random crop of 224 do; nothing is
            scaled where the image is stored so. Then `crop_size` and `crop_aspect` say nothing.
        resize: ``pillow``, or ``torch``, whose filters are as wide and some four times as fast; its pixels differ
            from Pillow's by 2 of 255 at most, in less than 1 % of all. The crop is then of whole pixels.

    Raises:
        ValueError: if one of them is out of its range.
    """

    height: int
    width: int
    interpolation: str
    test_crop: float = 1.0
    crop_size: float = 0.8
    crop_aspect: float = 4 / 3
    flip: float = 0.5
    crop: Literal["scaled", "exact"] = "scaled"
    resize: Literal["pillow", "torch"] = "pillow"

    def __post_init__(self) -> None:
        for name in ("test_crop", "crop_size"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, not in (0, 1]")
        if not 1 <= self.crop_aspect < math.inf:
            raise ValueError(f"crop_aspect is {self.crop_aspect}, not at least 1")
        if not 0 <= self.flip <= 1:
            raise ValueError(f"flip is {self.flip}, not in [0, 1]")
        if self.crop not in ("scaled", "exact"):
            raise ValueError(f"crop is {self.crop!r}, not 'scaled' or 'exact'")
        if self.resize not in ("pillow", "torch"):
            raise ValueError(f"resize is {self.resize!r}, not 'pillow' or 'torch'")
        if self.resize == "torch" and self.interpolation not in _MODES:
            raise ValueError(f"torch has no filter {self.interpolation!r}; set resize: pillow")

    @property
    def key(self) -> str:
        """Name all that changes the pixels of a view."""
        # Features that were cached before these were parameters keep their address.
        plain = {"crop": "scaled", "resize": "pillow"}
        fields = " ".join(f"{name}={value}" for name, value in vars(self).items() if plain.get(name) != value)
        return f"{fields} pillow={PIL.__version__}"

    def seen(self, *, whole: bool) -> str:
        """Say for people what of an image is embedded at test time."""
        if whole:
            return f"shorter side {round(min(self.height, self.width) * WHOLE)}, {self.interpolation}"
        return f"centre {self.test_crop:.0%}, {self.height} x {self.width}, {self.interpolation}"

    def sample(self) -> Tensor:
        """Return two views of noise, (2, 3, height, width) uint8, always the same: to try a backbone on."""
        draws = torch.Generator().manual_seed(0)
        return torch.randint(0, 256, (2, 3, self.height, self.width), dtype=torch.uint8, generator=draws)

    def test(self, raw: Pixels) -> Tensor:
        """Return the test view, (3, height, width) uint8: the centre."""
        box = self._box(raw, 0.0, self.test_crop, 0.5, 0.5)
        return self._cut(raw, box, mirrored=False)

    def whole(self, raw: Pixels) -> Tensor:
        """Return the whole image, (3, height, width) uint8: its shorter side is 256 where a view is 224 x 224.

        In general, the smallest size of the image's aspect that holds 256/224 of a view's height and width.
        """
        height, width = raw.shape[:2]
        least_height, least_width = round(self.height * WHOLE), round(self.width * WHOLE)
        scale = max(least_height / height, least_width / width)
        size = max(round(width * scale), least_width), max(round(height * scale), least_height)
        return self._resized(raw, size, None)

    def random(self, raw: Pixels, draws: Sequence[float]) -> Tensor:
        """Return a random view, (3, height, width) uint8.

        The aspect is log-uniform, the squared size and the place are uniform, as in the authors' code.

        Args:
            draws: `DRAWS` numbers in [0, 1).
        """
        aspect, size, x, y, flip = draws
        if self.crop == "exact":
            return self._window(raw, x, y, mirrored=flip < self.flip)
        smallest = self.crop_size**2
        log_aspect = (2 * aspect - 1) * math.log(self.crop_aspect)
        box = self._box(raw, log_aspect, math.sqrt(smallest + size * (1 - smallest)), x, y)
        return self._cut(raw, box, mirrored=flip < self.flip)

    def numbered(self, raw: Pixels, index: int) -> Tensor:
        """Return view `index`: the test view, or from 1 a random one that pixels and `index` alone determine."""
        if index == 0:
            return self.test(raw)
        digest = hashlib.blake2b(f"{index} {raw.shape}".encode(), digest_size=8)
        digest.update(np.ascontiguousarray(raw).tobytes())
        random = np.random.default_rng(int.from_bytes(digest.digest(), "big"))
        return self.random(raw, random.random(DRAWS).tolist())

    def _box(self, raw: Pixels, log_aspect: float, size: float, x: float, y: float) -> Box:
        height, width = raw.shape[:2]
        crop_width = self.width * math.exp(log_aspect / 2)
        crop_height = self.height * math.exp(-log_aspect / 2)
        scale = size * min(width / crop_width, height / crop_height)
        # Rounding must not carry the box over the edge: Pillow refuses that.
        crop_width, crop_height = min(crop_width * scale, width), min(crop_height * scale, height)
        left, top = x * (width - crop_width), y * (height - crop_height)
        return left, top, min(left + crop_width, width), min(top + crop_height, height)

    def _window(self, raw: Pixels, x: float, y: float, *, mirrored: bool) -> Tensor:
        """Cut a window of the view's size; of an image that is stored at its size nothing is scaled."""
        height, width = raw.shape[:2]
        least_height, least_width = round(self.height * WHOLE), round(self.width * WHOLE)
        stored = height >= least_height and width >= least_width
        if not (stored and (height == least_height or width == least_width)):
            raw = self.whole(raw).permute(1, 2, 0).numpy()
            height, width = raw.shape[:2]
        top = min(int(y * (height - self.height + 1)), height - self.height)
        left = min(int(x * (width - self.width + 1)), width - self.width)
        window = raw[top : top + self.height, left : left + self.width]
        # The only copy: torch mirrors into memory of its own.
        return _shared(window).flip(2) if mirrored else torch.from_numpy(window.copy()).permute(2, 0, 1)

    def _cut(self, raw: Pixels, box: Box, *, mirrored: bool) -> Tensor:
        view = self._resized(raw, (self.width, self.height), box)
        return view.flip(2) if mirrored else view

    def _resized(self, raw: Pixels, size: tuple[int, int], box: Box | None) -> Tensor:
        """Scale a box of an image, or all of it, to (width, height)."""
        if self.resize == "pillow":
            return _tensor(Image.fromarray(raw).resize(size, self._filter, box=box))
        if box is not None:
            left, top, right, bottom = (
                math.floor(box[0]),
                math.floor(box[1]),
                math.ceil(box[2]),
                math.ceil(box[3]),
            )
            raw = raw[top:bottom, left:right]
        # A batch of one is made of (height, width, 3): torch then sees that channels lie innermost, and leaves them so.
        image = _shared(raw).permute(1, 2, 0).unsqueeze(0).permute(0, 3, 1, 2)
        mode = _MODES[self.interpolation]
        return nn.functional.interpolate(image, (size[1], size[0]), mode=mode, antialias=True)[0]

    @property
    def _filter(self) -> Image.Resampling:
        return Image.Resampling[self.interpolation.upper()]


def _shared(raw: Pixels) -> Tensor:
    """Return pixels as (3, height, width) over the same memory, to be read alone: decoded files are read only."""
    if raw.flags.writeable:
        return torch.from_numpy(raw).permute(2, 0, 1)
    try:
        return torch.utils.dlpack.from_dlpack(raw).permute(2, 0, 1)
    except BufferError:  # of a NumPy before 2.1
        return torch.from_numpy(raw.copy()).permute(2, 0, 1)


def _tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def views_of(config: Mapping[str, Any], **settings: Any) -> Views:
    """Build the views that a backbone's timm data config asks for."""
    _, height, width = config["input_size"]
    name = str(config["interpolation"])
    known = name.upper() in Image.Resampling.__members__
    return Views(height=height, width=width, interpolation=name if known else "bicubic", **settings)
