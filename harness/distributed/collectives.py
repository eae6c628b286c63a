"""Exchanges between processes that gradients pass through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from harness.distributed.share import Share


class Computing(nn.Module):
    """A function as the forward pass of a module that holds the parameters it uses.

    Args:
        root: holds them.
        compute: returns tensors with gradient to them.
    """

    def __init__(self, root: nn.Module, compute: Callable[..., Any]) -> None:
        super().__init__()
        self.root, self.compute = root, compute

    def forward(self, *arguments: Any) -> Any:
        """Call the function."""
        return self.compute(*arguments)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, own: Tensor, share: Share) -> Tensor:
        context.share = share
        # A collective takes tensors of one shape: shares may differ by a row.
        padded = own.new_zeros((share.most, *own.shape[1:]))
        padded[: share.rows] = own
        parts = [torch.empty_like(padded) for _ in range(share.parts)]
        dist.all_gather(parts, padded)
        each, left = divmod(share.total, share.parts)
        return torch.cat([part[: each + (rank < left)] for rank, part in enumerate(parts)])

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        # Every process computes the whole loss: the gradient of its own rows is here already. It counts for as many
        # as gradients are averaged over.
        share = context.share
        return gradients[0][share.slice] * share.parts, None


def gather(own: Tensor, share: Share) -> Tensor:
    """Return the rows of all processes, (total, ...), in order; the gradient comes back to one's own."""
    gathered: Tensor = _Gather.apply(own, share)
    return gathered


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, own: Tensor) -> Tensor:
        total = own.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        return total(gradients[0])


def total(own: Tensor) -> Tensor:
    """Return the sum over processes, with gradient."""
    summed: Tensor = _Sum.apply(own)
    return summed
