"""The contract of a loss in closed form, on small encoders whose embedding is an affine function of features."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.testing.contract import Check, Witness
from harness.testing.making import Made
from harness.testing.settings import ADVICE, UNTOUCHED
from harness.testing.violation import Violation

if TYPE_CHECKING:
    from torch import Tensor

IMAGES, CAPTIONS, SHARED = 40, 2, 4
"""Train images, captions of each, and numbers that both sides have in common."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """A loss in closed form, made anew for every question."""

    made: Made
    dim: int

    def solved(self, order: Tensor | None = None, seed: int = 0) -> tuple[Mapping[str, float], Tensor]:
        """Let it set both encoders; return its figures and the (images, captions) cosines afterwards.

        Args:
            order: of the train images.

        Raises:
            TrainingError: if the encoders do not offer what it needs, as it may.
        """
        import torch

        image, text, owner = _features()
        torch.manual_seed(seed)
        sides = _Affine(image.shape[1], self.dim), _Affine(text.shape[1], self.dim)
        captions = torch.arange(len(owner))
        if order is not None:
            captions = (order[:, None] * CAPTIONS + torch.arange(CAPTIONS)).flatten()
        train = _Train(image if order is None else image[order], text[captions])
        figures = self.made.make(seed).fit(sides[0].module, sides[1].module, train)
        left, right = (
            torch.nn.functional.normalize(side.module(rows).detach(), dim=1)
            for side, rows in zip(sides, (image, text), strict=True)
        )
        return figures, left @ right.T


def fit(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Look at its figures, and at whether captions find their images afterwards."""
    import torch

    see.sample = (
        f"{IMAGES} train images whose features and captions' features have {SHARED} numbers in common"
    )
    solved = _solved(subject)
    if solved is None:
        return
    figures, scores = solved
    for name, value in figures.items():
        if not math.isfinite(value):
            yield see.violation("finite figures", f"{name!r}: {value}")
    owner = torch.arange(scores.shape[1]) // CAPTIONS
    own = scores[owner, torch.arange(len(owner))]
    above = (scores > own).sum(0).float().mean().item()
    chance = (IMAGES - 1) / 2
    if not scores.isfinite().all() or above > chance / 2:
        yield see.violation(
            f"far fewer than {chance:g} images above a train caption's own, which is chance", f"{above:.3g}"
        )


def order(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Give it the train images in another order."""
    import torch

    see.sample = "the same train images in another order"
    solved = _solved(subject)
    if solved is None:
        return
    moved = subject.solved(torch.randperm(IMAGES, generator=torch.Generator().manual_seed(1)))
    difference = (solved[1] - moved[1]).abs().max().item()
    if not difference < 1e-3:
        yield see.violation("the same scores", f"scores that differ by up to {difference:.3g}")


def repeatable(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Solve twice."""
    import torch

    see.sample = "the same train images"
    solved = _solved(subject)
    if solved is not None and not torch.equal(solved[1], subject.solved()[1]):
        yield see.violation("the same scores to the bit", "others")


def global_state(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Watch what it changes beside both encoders."""
    import torch

    if _solved(subject) is None:
        return

    def steps() -> Iterator[str]:
        yield f"fit() of {IMAGES} train images"
        subject.solved(seed=int(torch.randint(2**31, ())))

    yield from see.untouched(steps)


CHECKS: Mapping[str, Check[Subject]] = {
    "fit": Check(
        summary="finite figures, and train captions find their images",
        where="fit(): which caption belongs to which image, and what is set of either encoder",
        run=fit,
    ),
    "train order": Check(
        summary="the same solution in any order of the train images",
        where="fit(): whether captions are paired by `train.caption_image`",
        run=order,
    ),
    "repeatable": Check(
        summary="the same solution from the same seed",
        where="what is drawn, and by which random state",
        run=repeatable,
    ),
    "global state": Check(
        summary=UNTOUCHED,
        where=ADVICE,
        run=global_state,
    ),
}
"""Name -> check, in the order in which they are run."""


def _solved(subject: Subject) -> tuple[Mapping[str, float], Tensor] | None:
    """Solve; ``None`` if these encoders do not offer what the solution needs."""
    try:
        return subject.solved()
    except HarnessError:
        return None


def _features() -> tuple[Tensor, Tensor, Tensor]:
    """Return (images, 10) and (captions, 9) features, and the image of each caption."""
    import torch

    draw = torch.Generator().manual_seed(0)
    owner = torch.arange(IMAGES).repeat_interleave(CAPTIONS)
    shared = torch.randn(IMAGES, SHARED, generator=draw)
    image = shared @ torch.randn(SHARED, 10, generator=draw)
    text = shared[owner] @ torch.randn(SHARED, 9, generator=draw)
    image += 0.05 * torch.randn(image.shape, generator=draw)
    text += 0.05 * torch.randn(text.shape, generator=draw)
    return image, text, owner


def _batches(rows: Tensor) -> tuple[Tensor, ...]:
    import torch

    return torch.split(rows, 16)


class _Train:
    """The train split for a closed-form loss."""

    def __init__(self, image: Tensor, text: Tensor) -> None:
        import torch

        self.image, self.text = image, text
        self.caption_image = torch.arange(len(image)).repeat_interleave(CAPTIONS)

    def images(self) -> Iterator[Tensor]:
        """Yield the images' features, in batches."""
        yield from _batches(self.image)

    def texts(self) -> Iterator[Tensor]:
        """Yield the captions' features, in batches."""
        yield from _batches(self.text)


class _Affine:
    """Holds an encoder whose embedding is ``features @ weight + bias``."""

    def __init__(self, width: int, dim: int) -> None:
        import torch

        class Affine(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.projection = torch.nn.Linear(width, dim)

            def features(self, inputs: Tensor) -> Tensor:
                return inputs

            @torch.no_grad()
            def project(self, weight: Tensor, bias: Tensor) -> None:
                self.projection.weight.copy_(weight.T)
                self.projection.bias.copy_(bias)

            def forward(self, batch: Tensor) -> Tensor:
                embedding: Tensor = self.projection(batch)
                return embedding

            head = forward

        self.module: Any = Affine()
