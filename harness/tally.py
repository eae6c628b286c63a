"""Sums over the steps of an epoch, read back from the device every few steps: reading makes a GPU wait."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.errors import TrainingError

if TYPE_CHECKING:
    from torch import Tensor

STEPS = 10
"""Steps after which a GPU's figures are read; a CPU's are at hand."""


class Tally:
    """What steps told and nobody has read yet.

    Args:
        device: where they are computed.
    """

    def __init__(self, device: str) -> None:
        self.device, self.every = device, 1 if device == "cpu" else STEPS
        self.waiting: list[tuple[int, int, dict[str, Tensor], frozenset[str], dict[str, Tensor]]] = []

    def add(
        self,
        epoch: int,
        step: int,
        figures: Mapping[str, Tensor],
        terms: frozenset[str],
        doubts: Mapping[str, Tensor],
    ) -> None:
        """Keep a step's scalars.

        Args:
            epoch, step: from 1.
            terms: names of those figures that must be finite.
            doubts: by what is to be said of it, whether something was wrong.
        """
        self.waiting.append((epoch, step, self._kept(figures), terms, self._kept(doubts)))

    def _kept(self, scalars: Mapping[str, Tensor]) -> dict[str, Tensor]:
        import torch

        return {
            name: torch.as_tensor(value).detach().reshape(()).to(self.device, torch.float64)
            for name, value in scalars.items()
        }

    @property
    def due(self) -> bool:
        """Tell whether it is time to read."""
        return len(self.waiting) >= self.every

    def read(self, sums: dict[str, float]) -> None:
        """Add to `sums` what waits, in one transfer.

        Raises:
            TrainingError: names the first step with a term that is NaN or infinite, or with a doubt that came true.
        """
        import torch

        waiting, self.waiting = self.waiting, []
        scalars = [
            value for *_, figures, _, doubts in waiting for value in (*figures.values(), *doubts.values())
        ]
        if not scalars:
            return
        values = iter(torch.stack(scalars).tolist())
        for epoch, step, figures, terms, doubts in waiting:
            read = {name: next(values) for name in figures}
            wrong = [text for text in doubts if next(values)]
            if wrong:
                raise TrainingError(f"{wrong[0]}, in epoch {epoch}, step {step}")
            broken = [name for name in read if name in terms and not math.isfinite(read[name])]
            if broken:
                raise TrainingError(
                    f"loss {', '.join(broken)} is {read[broken[0]]} in epoch {epoch}, step {step}",
                    hint="Lower the stage's lr, set clip, or look at the loss's parameters in registry.yaml.",
                )
            for name, value in read.items():
                sums[name] = sums.get(name, 0.0) + value
