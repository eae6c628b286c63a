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
    """

    names: tuple[str, ...]
    broken: Tensor


def norms(root: nn.Module) -> Norms | None:
    """Look at the gradients of a model, without waiting for its device; ``None`` if there are none."""
    import torch

    trained = [(name, p.grad) for name, p in root.named_parameters() if p.grad is not None]
    if not trained:
        return None
    dense = [g.coalesce().values() if g.is_sparse else g for _, g in trained]
    finite = torch.stack([norm.float() for norm in torch._foreach_norm(dense)]).isfinite()
    place = (~finite).to(torch.int8).argmax()
    return Norms(tuple(name for name, _ in trained), torch.where(finite.all(), -1, place))
