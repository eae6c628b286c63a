"""Captions and images for encoders, as people and cameras make them, and odd ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from harness.protocols.datasets import Pixels

CAPTIONS = tuple(
    f"{who} {what} {where}."
    for who, what in (
        ("A black dog", "runs after a ball"),
        ("Two children in red jackets", "play"),
        ("A woman with an umbrella", "is waiting for the bus"),
        ("The old man", "looks at a white horse"),
    )
    for where in (
        "on the beach",
        "in front of a house",
        "near the water",
        "in the snow",
        "beside a car",
        "at night",
    )
)
"""Captions of the train split, from which an encoder takes its words."""

ODD_CAPTIONS = {
    "a caption of one word": "dog",
    "a caption of unknown words": "quixotic zephyrs bamboozle",
    "a caption of punctuation": "...!",
    "a caption of 300 words": "a dog runs on the beach " * 50,
    "a caption in other letters": "Ein Mädchen – 犬 бежит",
    "a caption over two lines": "a dog runs\non the beach",
}
"""Captions that datasets hold, by what they are."""

_SIZES = ((60, 80), (80, 60), (64, 64), (48, 90), (75, 50))
_ODD_SIZES = {
    "an image of 20 x 200 pixels": (20, 200),
    "an image of 200 x 20 pixels": (200, 20),
    "an image of 8 x 8 pixels": (8, 8),
}


def images() -> list[Pixels]:
    """Return photographs of sorts, of several shapes: (height, width, 3) uint8."""
    return [_image(height, width, seed) for seed, (height, width) in enumerate(_SIZES)]


def odd_images() -> Iterator[tuple[str, Pixels]]:
    """Yield images that datasets hold, by what they are."""
    import numpy as np

    for seed, (what, (height, width)) in enumerate(_ODD_SIZES.items()):
        yield what, _image(height, width, seed)
    yield "a black image", np.zeros((64, 64, 3), dtype=np.uint8)


def features(count: int) -> Tensor:
    """Return what a frozen part might make of the train images: (count, 12) float32."""
    import torch

    return torch.randn(count, 12, generator=torch.Generator().manual_seed(5))


def remember(key: str, compute: Callable[[], Tensor]) -> Tensor:
    """Remember nothing."""
    return compute()


def _image(height: int, width: int, seed: int) -> Pixels:
    import numpy as np

    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (4, 5, 3))
    rows, columns = np.arange(height) * 4 // height, np.arange(width) * 5 // width
    noise = random.integers(-20, 21, (height, width, 3))
    return (coarse[rows][:, columns] + noise).clip(0, 255).astype(np.uint8)
