"""Sums over the steps of an epoch, read back from the device every few steps: reading makes a GPU wait."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.errors import TrainingError
from harness.gradients import Norms

if TYPE_CHECKING:
    from torch import Tensor

STEPS = 10
"""Steps after which a GPU's figures are read; a CPU's are at hand."""
HINT = "Lower the stage's lr, set clip, or look at the loss's parameters in registry.yaml."
FLAT = 1e-3
"""Part of its size by which a term that does not move differs between the steps of an epoch at most."""

Ranges = dict[str, tuple[float, float, int]]
"""Of each term its least and greatest value, and of how many steps they are."""


@dataclass(frozen=True, eq=False, kw_only=True)
class _Told:
    """The scalars of one step."""

    epoch: int
    step: int
    figures: Mapping[str, Tensor]
    terms: frozenset[str]
    doubts: Mapping[str, Tensor]
    gradients: Norms | None

    @property
    def scalars(self) -> list[Tensor]:
        broken = [self.gradients.broken] if self.gradients else []
        return [*self.figures.values(), *self.doubts.values(), *broken]


class Tally:
    """What steps told and nobody has read yet.

    Args:
        device: where they are computed.
    """

    def __init__(self, device: str) -> None:
        self.device, self.every = device, 1 if device == "cpu" else STEPS
        self.waiting: list[_Told] = []

    def add(
        self,
        epoch: int,
        step: int,
        figures: Mapping[str, Tensor],
        terms: frozenset[str],
        doubts: Mapping[str, Tensor],
        gradients: Norms | None = None,
    ) -> None:
        """Keep a step's scalars.

        Args:
            epoch, step: from 1.
            terms: names of those figures that must be finite.
            doubts: by what is to be said of it, whether something was wrong.
            gradients: what was seen of them.
        """
        self.waiting.append(
            _Told(
                epoch=epoch,
                step=step,
                figures={name: self._kept(value) for name, value in figures.items()},
                terms=terms,
                doubts={name: self._kept(value) for name, value in doubts.items()},
                gradients=replace(gradients, broken=self._kept(gradients.broken)) if gradients else None,
            )
        )

    def _kept(self, scalar: Tensor) -> Tensor:
        import torch

        return torch.as_tensor(scalar).detach().reshape(()).to(self.device, torch.float64)

    @property
    def due(self) -> bool:
        """Tell whether it is time to read."""
        return len(self.waiting) >= self.every

    def read(self, sums: dict[str, float], ranges: Ranges) -> None:
        """Add to `sums`, and to the `ranges` of terms, what waits, in one transfer.

        Raises:
            TrainingError: names the first step with a term that is NaN or infinite, with a parameter whose gradient
                is, or with a doubt that came true.
        """
        import torch

        waiting, self.waiting = self.waiting, []
        scalars = [value for told in waiting for value in told.scalars]
        if not scalars:
            return
        values = iter(torch.stack(scalars).tolist())
        for told in waiting:
            read = {name: next(values) for name in told.figures}
            wrong = [text for text in told.doubts if next(values)]
            place = int(next(values)) if told.gradients else -1
            at = f"in epoch {told.epoch}, step {told.step}"
            if wrong:
                raise TrainingError(f"{wrong[0]}, {at}")
            broken = [name for name in read if name in told.terms and not math.isfinite(read[name])]
            if broken:
                raise TrainingError(f"loss {', '.join(broken)} is {read[broken[0]]} {at}", hint=HINT)
            if told.gradients and place >= 0:
                raise TrainingError(
                    f"exploding gradient: that of {told.gradients.names[place]} is NaN or infinite {at}, where the "
                    f"loss is {read['loss']:.3g}",
                    hint=HINT,
                )
            for name, value in read.items():
                sums[name] = sums.get(name, 0.0) + value
                if name in told.terms:
                    low, high, steps = ranges.get(name, (value, value, 0))
                    ranges[name] = min(low, value), max(high, value), steps + 1


def flat(ranges: Ranges) -> bool:
    """Tell whether some term stood still over two steps or more.

    The hinges of a ranking loss do where all embeddings are equal: each is its margin.
    """
    return any(steps > 1 and high - low <= FLAT * abs(high) for low, high, steps in ranges.values())
