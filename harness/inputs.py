"""What a stage trains on: cached features or pixels of images, prepared captions, and the draw of an epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from harness.data import OpenDataset
from harness.decoded import DecodedImages
from harness.errors import TrainingError
from harness.features import by_shape
from harness.protocols import Encoder, Split

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch
    from torch import Tensor

    from harness.protocols.datasets import Pixels

    Floats = npt.NDArray[np.float32]
    Ints = npt.NDArray[np.int64]


def derive(*parts: object) -> int:
    """Return a 63-bit seed from a path of names and numbers, the same on every machine."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def sent(numbers: Ints, device: str | torch.device) -> Tensor:
    """Copy numbers to a device.

    A GPU is not waited for: that takes memory that stays where it is, and indices that lie where they index.
    """
    import torch

    here = torch.from_numpy(numbers)
    there = torch.device(device)
    return (here.pin_memory() if there.type == "cuda" else here).to(there, non_blocking=True)


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
        """Yield batches of the images `order`; `seed` drives augmentation, ``None`` means test time.

        Raises:
            TrainingError: if the images of a batch come out in different shapes.
        """
        ...

    def gallery(self, size: int) -> Iterator[Tensor | list[Tensor]]:
        """Yield all images in order, as at test time; a batch of different shapes is a list."""
        ...

    def embed(self, encoder: Any, batch: Tensor | list[Tensor]) -> Tensor:
        """Run the encoder on such a batch: (batch, dim)."""
        ...


def _embed(run: Callable[[Tensor], Tensor], batch: Tensor | list[Tensor]) -> Tensor:
    import torch

    return torch.stack(by_shape(run, batch)) if isinstance(batch, list) else run(batch)


def _joined(tensors: Sequence[Tensor]) -> Tensor | list[Tensor]:
    """Stack tensors of one shape; leave others a list.

    Views whose channels lie innermost, as images come, stay so: to order them anew takes longer than to crop them.
    """
    import torch

    if len({tensor.shape for tensor in tensors}) > 1:
        return list(tensors)
    if all(map(_innermost, tensors)):
        return torch.stack([tensor.permute(1, 2, 0) for tensor in tensors]).permute(0, 3, 1, 2)
    return torch.stack(list(tensors))


def _innermost(view: Tensor) -> bool:
    """Tell whether the channels of a view lie beside each other in memory, and nothing else fits that memory."""
    return view.ndim == 3 and not view.is_contiguous() and view.permute(1, 2, 0).is_contiguous()


def _alike(batches: Iterator[Tensor | list[Tensor]], source: str) -> Iterator[Tensor]:
    for batch in batches:
        if isinstance(batch, list):
            shapes = ", ".join(sorted({str(tuple(tensor.shape)) for tensor in batch}))
            raise TrainingError(
                f"{source} gave images of different shapes, which cannot be trained on: {shapes}"
            )
        yield batch


class FeatureInputs:
    """Cached features of a frozen part, (views, n, ...) on the device."""

    def __init__(self, features: Tensor) -> None:
        self.features = features
        self.views = features.shape[0]

    def batches(self, order: Ints, views: Ints, size: int, seed: int | None) -> Iterator[Tensor]:
        """Yield features; what augmentation there is lies in the views."""
        rows, picked = (sent(numbers, self.features.device) for numbers in (order, views))
        for start in range(0, len(order), size):
            yield self.features[picked[start : start + size], rows[start : start + size]]

    def gallery(self, size: int) -> Iterator[Tensor | list[Tensor]]:
        """Yield the features of view 0."""
        import numpy as np

        order = np.arange(self.features.shape[1])
        return self.batches(order, np.zeros_like(order), size, None)

    def embed(self, encoder: Any, batch: Tensor | list[Tensor]) -> Tensor:
        """Run the encoder's head."""
        return _embed(encoder.head, batch)


class RowInputs:
    """Cached features of a frozen part whose outputs differ in shape: n tensors."""

    views = 1

    def __init__(self, features: Sequence[Tensor], device: str) -> None:
        self.features, self.device = features, device

    def batches(self, order: Ints, views: Ints, size: int, seed: int | None) -> Iterator[Tensor]:
        """Yield features, as long as they have one shape."""
        return _alike(self._batches(order.tolist(), size), "the frozen part of the image encoder")

    def gallery(self, size: int) -> Iterator[Tensor | list[Tensor]]:
        """Yield all features in order."""
        return self._batches(range(len(self.features)), size)

    def _batches(self, order: Sequence[int], size: int) -> Iterator[Tensor | list[Tensor]]:
        for start in range(0, len(order), size):
            yield _joined([self.features[row].to(self.device) for row in order[start : start + size]])

    def embed(self, encoder: Any, batch: Tensor | list[Tensor]) -> Tensor:
        """Run the encoder's head."""
        return _embed(encoder.head, batch)


class PixelInputs:
    """Images prepared for every batch, in worker processes where there are cores for them.

    Args:
        decoded: the images of the split at the encoder's `stored_size`; ``None``: each is decoded every time.
    """

    views = 1

    def __init__(
        self,
        dataset: OpenDataset,
        split: Split,
        encoder: Encoder,
        *,
        device: str,
        workers: int,
        decoded: DecodedImages | None = None,
    ) -> None:
        self.dataset, self.split, self.encoder = dataset, split, encoder
        self.device, self.workers, self.decoded = device, workers, decoded

    def pixels(self, index: int) -> Pixels:
        """Return image `index` of the split, (height, width, 3) uint8, as the encoder is to get it."""
        if self.decoded is not None:
            return self.decoded.pixels(index)
        return self.dataset.pixels(self.split.records[index])

    def batches(self, order: Ints, views: Ints, size: int, seed: int | None) -> Iterator[Tensor]:
        """Yield prepared pixels; each image's augmentation depends on `seed` and the image, not on the worker."""
        return _alike(self._batches(order, size, seed), f"{type(self.encoder).__name__}.prepare")

    def gallery(self, size: int) -> Iterator[Tensor | list[Tensor]]:
        """Yield the prepared pixels of all images in order."""
        import numpy as np

        return self._batches(np.arange(len(self.split.records)), size, None)

    def _batches(self, order: Ints, size: int, seed: int | None) -> Iterator[Tensor | list[Tensor]]:
        import torch
        from torch.utils.data import DataLoader

        loader: DataLoader[Tensor] = DataLoader(
            _Pixels(self, seed),  # type: ignore[arg-type] # a map-style dataset by protocol
            batch_sampler=[order[start : start + size].tolist() for start in range(0, len(order), size)],
            num_workers=self.workers,
            collate_fn=_joined,
            # Its own: drawing from the global one would shift the dropout of an epoch that is resumed.
            generator=torch.Generator(),
            pin_memory=self.device != "cpu",
        )
        for batch in loader:
            if isinstance(batch, list):
                yield [tensor.to(self.device, non_blocking=True) for tensor in batch]
            else:
                yield batch.to(self.device, non_blocking=True)

    def embed(self, encoder: Any, batch: Tensor | list[Tensor]) -> Tensor:
        """Run the whole encoder."""
        return _embed(encoder, batch)


class _Pixels:
    def __init__(self, inputs: PixelInputs, seed: int | None) -> None:
        self.inputs, self.seed = inputs, seed

    def __getitems__(self, indices: Sequence[int]) -> list[Tensor]:
        """Prepare a batch; each image draws from a state of its own, at test time from that of before."""
        import torch

        inputs = self.inputs
        prepared = []
        with torch.random.fork_rng(devices=[]):
            before = torch.get_rng_state()
            for index in indices:
                raw = inputs.pixels(index)
                if self.seed is None:
                    torch.set_rng_state(before)
                else:
                    # Not torch.manual_seed: that would seed the GPUs' generators as well, and leave them so.
                    torch.default_generator.manual_seed(derive(self.seed, index))
                prepared.append(inputs.encoder.prepare(raw, training=self.seed is not None))
        return prepared

    def __getitem__(self, index: int) -> Tensor:
        return self.__getitems__([index])[0]

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
