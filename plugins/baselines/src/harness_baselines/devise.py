"""The loss of DeViSE: an image is nearer to its own words than to other captions' words."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from harness.api import ParameterError
from harness_baselines.cosine import products, same_image, unit


class Devise(nn.Module):
    """Compute the hinge rank loss of images against captions (Frome et al., NIPS 2013, eq. 1).

        L = mean over images i of  sum over j of [margin - t_i . v_i + t_j . v_i]+

    where v_i is what the image encoder makes of the image, M v in the paper, as it comes, and t a caption's embedding
    at length 1. The captions j are those of other images in the batch, all of them; the paper stops at the first that
    violates the margin, to save time. There is no hinge over wrong images: words are given, and images are mapped.

    Args:
        margin: by how much a pair has to win, above 0.

    Raises:
        ParameterError: if `margin` is not above 0.
    """

    def __init__(self, *, margin: float = 0.1) -> None:
        super().__init__()
        if not 0 < margin < math.inf:
            raise ParameterError(f"devise: parameter 'margin' is {margin}, not a number above 0")
        self.margin = margin
        self._figures: dict[str, Tensor] = {}

    def forward(self, image: Tensor, text: Tensor, group: Tensor) -> Tensor:
        """Compute the loss of (batch, dim) images and captions: a scalar, at least 0."""
        scores = products(image, unit(text))
        own, same = scores.diagonal(), same_image(group)
        hinges = (self.margin + scores - own[:, None]).relu().masked_fill(same, 0.0)
        with torch.no_grad():
            wrong = (~same).sum().clamp(min=1)
            self._figures = {
                "active": (hinges > 0).sum() / wrong,
                "positive": own.mean(),
                "negative": scores.masked_fill(same, 0.0).sum() / wrong,
            }
        return hinges.sum(1).mean()

    def figures(self) -> Mapping[str, Tensor]:
        """Return the share of wrong pairs within the margin, 0..1, and the mean scores of right and wrong pairs."""
        return self._figures
