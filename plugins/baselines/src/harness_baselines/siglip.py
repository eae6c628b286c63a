"""The loss of SigLIP: each pair of the batch is a yes-or-no question of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.api import ParameterError
from harness_baselines.cosine import products, same_image, unit


class SigLip(nn.Module):
    """Compute the pairwise sigmoid loss (Zhai et al., ICCV 2023, eq. 1).

        L = - 1/B sum over i, j of log sigmoid( z[i, j] (t cos(image i, text j) + b) )

    with z = 1 where image and caption belong together and -1 elsewhere. All pairs of one training image belong
    together. t = exp(t') and b are learned; b makes up for a batch that is nearly all negatives, from the first step.

    Args:
        scale: start of t, above 0; t' starts at its logarithm.
        bias: start of b.
        learned: train both; otherwise they stay.

    Raises:
        ParameterError: if `scale` is not above 0 or `bias` is not finite.
    """

    log_scale: Tensor
    bias: Tensor

    def __init__(self, *, scale: float = 10.0, bias: float = -10.0, learned: bool = True) -> None:
        super().__init__()
        if not 0 < scale < math.inf:
            raise ParameterError(f"siglip: parameter 'scale' is {scale}, not a number above 0")
        if not math.isfinite(bias):
            raise ParameterError(f"siglip: parameter 'bias' is {bias}, not a finite number")
        for name, value in (("log_scale", math.log(scale)), ("bias", bias)):
            start = torch.tensor(float(value))
            if learned:
                self.register_parameter(name, nn.Parameter(start))
            else:
                self.register_buffer(name, start)
        self._figures: dict[str, Tensor] = {}

    def forward(self, image: Tensor, text: Tensor, group: Tensor) -> Tensor:
        """Compute the loss of (batch, dim) images and captions: a scalar in nats, at least 0."""
        logits = self.log_scale.exp() * products(unit(image), unit(text)) + self.bias
        same = same_image(group)
        with torch.no_grad():
            right = (logits > 0) == same
            self._figures = {
                "recall": (right & same).sum() / same.sum(),
                "accuracy": right.float().mean(),
                "scale": self.log_scale.detach().exp(),
                "bias": self.bias.detach().clone(),
            }
        answers = functional.logsigmoid(torch.where(same, logits, -logits))
        return -answers.sum() / len(group)

    def figures(self) -> Mapping[str, Tensor]:
        """Return the shares of matching pairs, and of all pairs, that are told right, 0..1; t and b."""
        return self._figures
