"""What embedding takes once training is over: operations and speed of both encoders, on test images and captions."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.data import OpenDataset
from harness.decoded import shrunk, stored_size
from harness.evaluate import evaluating
from harness.execute.timing import finished, timed
from harness.inputs import PixelInputs, prepare_captions
from harness.protocols import Split

if TYPE_CHECKING:
    from torch import nn

    from harness.protocols.datasets import Pixels

MEASURED = ("image_flops", "text_flops", "images_per_second", "captions_per_second")
"""What `efficiency` returns."""
IMAGES, CAPTIONS = 16, 256
"""Inputs of a batch, or all there are."""
ROUNDS, LEAST, SECONDS, PATIENCE = 10, 3, 0.02, 1.0
"""Measurements, fewer but not below `LEAST` once they took `PATIENCE` seconds, and the least time of one: a longer call
is measured alone. The fastest counts: what else the machine does can only slow one down."""


def efficiency(
    image: nn.Module, text: nn.Module, dataset: OpenDataset, split: Split, device: str
) -> dict[str, float]:
    """Embed a batch of each side in evaluation mode: all of the image encoder, whatever of it a run cached.

    Pixels and ids are prepared before: neither decoding nor tokenisation counts.

    Returns:
        ``image_flops`` and ``text_flops``, floating-point operations of one image and one caption in products and
        convolutions, a multiplication with its addition as two (`torch.utils.flop_counter`); ``images_per_second``
        and ``captions_per_second``, of the fastest round.
    """
    import torch

    decoded: Any = _Decoded(dataset, split, stored_size(image))
    encoder: Any = image
    inputs = PixelInputs(dataset, split, encoder, device=device, workers=0, decoded=decoded)
    images = next(inputs.gallery(min(IMAGES, len(split.records))))
    texts = prepare_captions(text, split.captions[:CAPTIONS], device)  # type: ignore[arg-type]
    works = {"image": partial(inputs.embed, image, images), "text": partial(text, texts)}
    sizes = {"image": len(images), "text": len(texts)}
    with evaluating(image, text), torch.no_grad():
        flops = {side: _operations(work) for side, work in works.items()}
        rates = {side: _rate(work, device) for side, work in works.items()}
    found = [flops[side] / sizes[side] for side in works] + [rates[side] * sizes[side] for side in works]
    return dict(zip(MEASURED, found, strict=True))


class _Decoded:
    """Images as an encoder gets them in a run, each decoded when it is asked for."""

    def __init__(self, dataset: OpenDataset, split: Split, size: int | None) -> None:
        self.dataset, self.split, self.size = dataset, split, size

    def pixels(self, index: int) -> Pixels:
        pixels = self.dataset.pixels(self.split.records[index])
        return pixels if self.size is None else shrunk(pixels, self.size)


def _operations(work: Callable[[], object]) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    with _plain(), FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


@contextlib.contextmanager
def _plain() -> Iterator[None]:
    """Leave the libraries' recurrent layers out: they are one operation each, which the counter does not know."""
    import torch

    libraries: tuple[Any, ...] = torch.backends.mkldnn, torch.backends.cudnn
    before = [library.enabled for library in libraries]
    try:
        for library in libraries:
            library.enabled = False
        yield
    finally:
        for library, enabled in zip(libraries, before, strict=True):
            library.enabled = enabled


def _rate(work: Callable[[], object], device: str) -> float:
    """Return calls a second in the fastest round, after two calls that do not count."""
    wait = finished(device)
    timed(work, 1, wait)
    calls = max(1, math.ceil(SECONDS / timed(work, 1, wait)))
    rounds: list[float] = []
    while len(rounds) < LEAST or (len(rounds) < ROUNDS and sum(rounds) < PATIENCE):
        rounds.append(timed(work, calls, wait))
    return calls / min(rounds)
