"""The loss of VSE++: a pair has to win by a margin over the hardest wrong pair of the batch."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from harness.api import ParameterError
from harness_baselines.cosine import products, same_image, unit


class VsePlusPlus(nn.Module):
    """Compute the max of hinges, summed over the pairs of a batch (Faghri et al., BMVC 2018, eq. 6).

        L = sum over pairs (i, c) of  max over c' of [margin + s(i, c') - s(i, c)]+
                                    + max over i' of [margin + s(i', c) - s(i, c)]+

    with the cosine as s. Captions and images of the pair's own training image are no negatives.

    Args:
        margin: by how much a pair has to win, above 0; cosines differ by 2 at most.
        warmup: batches at the start of training in which every violation counts and not the greatest alone: the
            sum of hinges (eq. 5), which learns faster as long as the hardest negatives are noise. 0 in the paper.

    Raises:
        ParameterError: if `margin` is not above 0 or `warmup` is negative.
    """

    seen: Tensor

    def __init__(self, *, margin: float = 0.2, warmup: int = 0) -> None:
        super().__init__()
        if not 0 < margin < math.inf:
            raise ParameterError(f"vsepp: parameter 'margin' is {margin}, not a number above 0")
        if warmup < 0:
            raise ParameterError(f"vsepp: parameter 'warmup' is {warmup}, not a number from 0")
        self.margin, self.warmup = margin, warmup
        # A buffer, so that a resumed run goes on counting where it stopped.
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self._figures: dict[str, Tensor] = {}

    def forward(self, image: Tensor, text: Tensor, group: Tensor) -> Tensor:
        """Compute the loss of (batch, dim) images and captions: 0 .. 2 batch (margin + 2) without warm-up."""
        scores = products(unit(image), unit(text))
        own, same = scores.diagonal(), same_image(group)
        over_captions = (self.margin + scores - own[:, None]).relu().masked_fill(same, 0.0)
        over_images = (self.margin + scores - own[None, :]).relu().masked_fill(same, 0.0)
        hardest = over_captions.amax(1), over_images.amax(0)
        with torch.no_grad():
            self._figures = {
                "active": (torch.cat(hardest) > 0).float().mean(),
                "positive": own.mean(),
                "violation": torch.cat(hardest).mean(),
            }
        greatest = hardest[0].sum() + hardest[1].sum()
        if self.warmup == 0 or not self.training:
            return greatest
        self.seen += 1
        # Chosen on the device: no step waits for a GPU to tell how far it has counted.
        return torch.where(self.seen > self.warmup, greatest, over_captions.sum() + over_images.sum())

    def figures(self) -> Mapping[str, Tensor]:
        """Return the share of pairs with a violation, 0..1, the mean cosine of pairs, and the mean of the maxima."""
        return self._figures
