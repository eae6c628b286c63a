"""InfoNCE: the batch's other pairs are the negatives."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.api import ParameterError

MAX_SCALE = 100.0  # of the logits, as in CLIP: beyond it a learned temperature has run away


class InfoNce(nn.Module):
    """Compute the symmetric cross-entropy of the pairs of a batch.

    ``L = (CE(S, 1..B) + CE(S', 1..B)) / 2`` with ``S[i, j] = cos(image i, text j) / temperature``. Other
    pairs of the same training image are no negatives and are left out of the sums.

    Args:
        temperature: divisor of the cosines, at least 0.01; the start where it is learned.
        learned: train the temperature; it then stays at 0.01 or above.

    Raises:
        ParameterError: if `temperature` is below 0.01.
    """

    log_scale: Tensor

    def __init__(self, *, temperature: float = 0.05, learned: bool = False) -> None:
        super().__init__()
        if not temperature >= 1 / MAX_SCALE:
            raise ParameterError(f"infonce: parameter 'temperature' is {temperature}, not a number from 0.01")
        scale = torch.tensor(1.0 / temperature).log()
        if learned:
            self.log_scale = nn.Parameter(scale)
        else:
            self.register_buffer("log_scale", scale)
        self._figures: dict[str, Tensor] = {}

    def forward(self, image: Tensor, text: Tensor, group: Tensor) -> Tensor:
        """Compute the loss of (batch, dim) images and captions: a scalar in nats, at least 0."""
        scale = self.log_scale.exp().clamp(max=MAX_SCALE)
        logits = scale * functional.normalize(image, dim=1) @ functional.normalize(text, dim=1).T
        own = torch.eye(len(group), dtype=torch.bool, device=group.device)
        logits = logits.masked_fill((group[:, None] == group[None, :]) & ~own, -torch.inf)
        target = torch.arange(len(group), device=group.device)
        with torch.no_grad():
            self._figures = {
                "i2t.accuracy": (logits.argmax(1) == target).float().mean(),
                "t2i.accuracy": (logits.argmax(0) == target).float().mean(),
                "temperature": scale.detach().reciprocal(),
            }
        return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2

    def figures(self) -> Mapping[str, Tensor]:
        """Return the shares of right answers within the batch, 0..1, and the temperature."""
        return self._figures
