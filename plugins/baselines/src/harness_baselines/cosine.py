"""Scores between all images and all captions of a batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def unit(rows: Tensor) -> Tensor:
    """Scale (n, dim) rows to length 1, in float32 at least; zeros stay zeros."""
    return functional.normalize(_precise(rows), dim=1)


def products(image: Tensor, text: Tensor) -> Tensor:
    """Return the (n, m) dot products of (n, dim) images and (m, dim) captions, in float32 at least.

    Also within a step in bfloat16, whose eight digits leave no order among the hardest negatives.
    """
    with torch.autocast(image.device.type, enabled=False):
        return _precise(image) @ _precise(text).T


def same_image(group: Tensor) -> Tensor:
    """Return (batch, batch) bool: the pairs of rows that are of one training image, the diagonal among them."""
    return group[:, None] == group[None, :]


def _precise(rows: Tensor) -> Tensor:
    return rows.float() if rows.dtype in (torch.bfloat16, torch.float16) else rows
