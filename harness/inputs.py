"""What a stage trains on: cached features or pixels of images, prepared captions, and the draw of an epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from harness.data import OpenDataset
from harness.errors import TrainingError
from harness.protocols import Encoder, Split

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    Floats = npt.NDArray[np.float32]
    Ints = npt.NDArray[np.int64]


def derive(*parts: object) -> int:
    """Return a 63-bit seed from a path of names and numbers, the same on every machine."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@dataclass(frozen=True, eq=False)
class Draw:
    """One epoch: the order of the images, one caption and one feature view of each."""

    order: Ints
    captions: Ints
    views: Ints


def draw_epoch(split: Split, *, views: int, seed: int, epoch: int) -> Draw:
    """Draw an epoch: every image once, in random order, with one random caption and one random view.

    Args:
        views: number of cached feature views, at least 1.
        epoch: from 1; the same seed and epoch give the same draw.
    """
    import numpy as np

    random = np.random.default_rng(derive(seed, "epoch", epoch))
    count = np.bincount(split.caption_image, minlength=len(split.records))
    first = np.concatenate([[0], np.cumsum(count)[:-1]])
    order = random.permutation(len(split.records))
    captions = first[order] + (random.random(len(order)) * count[order]).astype(np.int64)
    return Draw(order, captions, random.integers(0, views, len(order)))


class ImageInputs(Protocol):
    """Batches for an image encoder."""

    views: int

    def batches(self, order: Ints, views: Ints, size: int, seed: int | None) -> Iterator[Tensor]:
        """Yield batches of the images `order`; `seed` drives augmentation, ``None`` means test time."""
        ...

    def embed(self, encoder: Any, batch: Tensor) -> Tensor:
        """Run the encoder on such a batch: (batch, dim)."""
        ...


class FeatureInputs:
    """Cached features of a frozen part, (views, n, ...) on the device."""

    def __init__(self, features: Tensor) -> None:
        self.features = features
        self.views = features.shape[0]

    def batches(self, order: Ints, views: Ints, size: int, seed: int | None) -> Iterator[Tensor]:
        """Yield features; what augmentation there is lies in the views."""
        import torch

        rows, picked = torch.from_numpy(order), torch.from_numpy(views)
        for start in range(0, len(order), size):
            yield self.features[picked[start : start + size], rows[start : start + size]]

    def embed(self, encoder: Any, batch: Tensor) -> Tensor:
        """Run the encoder's head."""
        output: Tensor = encoder.head(batch)
        return output


class PixelInputs:
    """Images decoded and prepared for every batch, in worker processes where there are cores for them."""

    views = 1

    def __init__(
        self, dataset: OpenDataset, split: Split, encoder: Encoder, *, device: str, workers: int
    ) -> None:
        self.dataset, self.split, self.encoder = dataset, split, encoder
        self.device, self.workers = device, workers

    def batches(self, order: Ints, views: Ints, size: int, seed: int | None) -> Iterator[Tensor]:
        """Yield prepared pixels; each image's augmentation depends on `seed` and the image, not on the worker."""
        import torch
        from torch.utils.data import DataLoader

        loader: DataLoader[Tensor] = DataLoader(
            _Pixels(self, seed),  # type: ignore[arg-type] # a map-style dataset by protocol
            batch_sampler=[order[start : start + size].tolist() for start in range(0, len(order), size)],
            num_workers=self.workers,
            # Its own: drawing from the global one would shift the dropout of an epoch that is resumed.
            generator=torch.Generator(),
            pin_memory=self.device != "cpu",
        )
        for batch in loader:
            yield batch.to(self.device, non_blocking=True)

    def embed(self, encoder: Any, batch: Tensor) -> Tensor:
        """Run the whole encoder."""
        output: Tensor = encoder(batch)
        return output


class _Pixels:
    def __init__(self, inputs: PixelInputs, seed: int | None) -> None:
        self.inputs, self.seed = inputs, seed

    def __getitem__(self, index: int) -> Tensor:
        import torch

        inputs = self.inputs
        raw = inputs.dataset.pixels(inputs.split.records[index])
        with torch.random.fork_rng(devices=[]):
            if self.seed is not None:
                torch.manual_seed(derive(self.seed, index))
            return inputs.encoder.prepare(raw, training=self.seed is not None)

    def __len__(self) -> int:
        return len(self.inputs.split.records)


def prepare_captions(encoder: Encoder, captions: Sequence[str], device: str) -> Tensor:
    """Prepare every caption once: (m, ...) on the device.

    Raises:
        TrainingError: if the encoder prepares captions of different shapes.
    """
    import torch

    prepared = [encoder.prepare(caption, training=False) for caption in captions]
    shapes = {tuple(tensor.shape) for tensor in prepared}
    if len(shapes) > 1:
        raise TrainingError(
            f"{type(encoder).__name__}.prepare returned tensors of different shapes: {shapes}"
        )
    return torch.stack(prepared).to(device)
