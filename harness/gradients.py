"""Gradients that explode: which parameter's is NaN or infinite, found on the device and read later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Norms:
    """What was seen of the gradients of one step.

    Attributes:
        names: parameters that have a gradient.
        broken: int64 scalar on their device: the place, from 0, of the first whose norm is NaN or infinite, or -1.
        total: scalar on their device: the norm of all together.
    """

    names: tuple[str, ...]
    broken: Tensor
    total: Tensor


def norms(root: nn.Module) -> Norms | None:
    """Look at the gradients of a model; ``None`` if there are none.

    Its device is not waited for, unless a gradient is sparse: how many rows of it differ is told by the device.
    """
    import torch

    trained = [(name, p.grad) for name, p in root.named_parameters() if p.grad is not None]
    if not trained:
        return None
    dense = [g.coalesce().values() if g.is_sparse else g for _, g in trained]
    # torch's public helpers tell the norm of all together alone; its own begin with this, one kernel for many tensors.
    each = torch.stack([norm.to(dense[0].device) for norm in torch._foreach_norm(dense)])
    finite = each.isfinite()
    place = (~finite).to(torch.int8).argmax()
    return Norms(
        tuple(name for name, _ in trained),
        torch.where(finite.all(), -1, place),
        torch.linalg.vector_norm(each),
    )
