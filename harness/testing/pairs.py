"""Batches of pairs for losses: embeddings that agree, that disagree, and that are odd."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from harness.protocols import Mining

if TYPE_CHECKING:
    from torch import Tensor

NOISE = 0.1
"""Deviation of an embedding of an image from others of it, whose own are of deviation 1."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Pairs:
    """A batch as the harness gives it to a loss, and the captions that one may mine.

    Attributes:
        image, text: (batch, dim) embeddings with gradient.
        group: (batch,) int64: the training image of each pair.
        more: (captions, dim) embeddings of the train captions.
        more_group: (captions,) int64: the training image of each.
    """

    image: Tensor
    text: Tensor
    group: Tensor
    more: Tensor
    more_group: Tensor

    def ordered(self, order: Tensor) -> Pairs:
        """Return the same pairs in another order."""
        return replace(self, image=self.image[order], text=self.text[order], group=self.group[order])

    def to(self, *, device: Any = None, dtype: Any = None) -> Pairs:
        """Return the pairs on another device, or with embeddings of another dtype, as leaves with gradient."""
        moved = {
            name: getattr(self, name).detach().to(device=device, dtype=dtype).requires_grad_()
            for name in ("image", "text", "more")
        }
        return Pairs(**moved, group=self.group.to(device), more_group=self.more_group.to(device))


Planted = Literal["agreeing", "disagreeing", "random"]


def plant_pairs(how: Planted, *, batch: int, classes: int, dim: int, seed: int) -> Pairs:
    """Plant a batch of distinct images.

    Args:
        how: ``agreeing`` embeds a caption beside its image, ``disagreeing`` beside another image of the batch,
            ``random`` anywhere.
        batch: number of pairs, at most `classes`.
    """
    import torch

    draw = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, dim, generator=draw)
    group = torch.randperm(classes, generator=draw)[:batch]
    of_captions = centres.clone()
    if how == "disagreeing":
        of_captions[group] = centres[group.roll(1)]
    elif how == "random":
        of_captions = torch.randn(classes, dim, generator=draw)

    def near(rows: Tensor) -> Tensor:
        return (rows + NOISE * torch.randn(rows.shape, generator=draw)).requires_grad_()

    return Pairs(
        image=near(centres[group]),
        text=near(of_captions[group]),
        group=group,
        more=near(of_captions),
        more_group=torch.arange(classes),
    )


def ordinary(classes: int, dim: int) -> Iterator[tuple[str, Pairs]]:
    """Yield batches of every size that a loss has to take, by what they are."""
    for batch in (min(8, classes), min(5, classes), 2):
        yield (
            f"{batch} random pairs",
            plant_pairs("random", batch=batch, classes=classes, dim=dim, seed=batch),
        )
    together: tuple[Planted, ...] = ("agreeing", "disagreeing")
    for how in together:
        batch = min(8, classes)
        yield f"{batch} {how} pairs", plant_pairs(how, batch=batch, classes=classes, dim=dim, seed=1)


def odd(classes: int, dim: int) -> Iterator[tuple[str, Pairs]]:
    """Yield batches that come up when training goes wrong, by what they are."""
    import torch

    pairs = plant_pairs("random", batch=min(8, classes), classes=classes, dim=dim, seed=2)
    one = torch.ones_like(pairs.image)
    yield "pairs whose embeddings are all equal", _embedded(pairs, one, one)
    yield "pairs whose embeddings are all zero", _embedded(pairs, 0 * one, 0 * one)
    yield "pairs whose captions are exactly their images", _embedded(pairs, pairs.image, pairs.image)
    yield (
        "pairs with embeddings a thousand times as long",
        _embedded(pairs, 1e3 * pairs.image, 1e3 * pairs.text),
    )
    yield (
        "pairs with embeddings a thousandth as long",
        _embedded(pairs, 1e-3 * pairs.image, 1e-3 * pairs.text),
    )
    if len(pairs.group) > 2:
        group = pairs.group.clone()
        group[1] = group[0]
        yield "two pairs of one image among others", replace(pairs, group=group)


def ask(loss: Any, pairs: Pairs, seed: int = 0) -> Tensor:
    """Ask a loss for its value as a training step does, mined captions included."""
    import torch

    torch.manual_seed(seed)
    extra = []
    # As embeddings are in training: no leaves, so that a change in place is one that autograd allows.
    image, text = pairs.image.clone(), pairs.text.clone()
    if mines(loss):
        count = min(loss.candidates, len(pairs.more))
        extra = [pairs.more[mine(loss, pairs, count)].clone()]
    value: Tensor = loss(image, text, pairs.group, *extra)
    return value


def mines(loss: Any) -> bool:
    """Tell whether a loss takes captions from beyond the batch."""
    return isinstance(loss, Mining) and loss.candidates > 0


def mine(loss: Any, pairs: Pairs, count: int) -> Tensor:
    """Let a loss choose among the first `count` captions."""
    rows: Tensor = loss.mine(
        pairs.image.detach(), pairs.group, pairs.more[:count].detach(), pairs.more_group[:count]
    )
    return rows


def _embedded(pairs: Pairs, image: Tensor, text: Tensor) -> Pairs:
    return replace(
        pairs, image=image.detach().clone().requires_grad_(), text=text.detach().clone().requires_grad_()
    )
