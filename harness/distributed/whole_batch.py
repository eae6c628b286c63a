"""Lets an encoder work on its share of a batch as if it had all of it: batch statistics, and random draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from harness.distributed.collectives import total
from harness.distributed.share import Share

DROPPED = {
    *(functional.dropout, functional.dropout1d, functional.dropout2d, functional.dropout3d),
    *(functional.alpha_dropout, functional.feature_alpha_dropout, torch.dropout, torch.bernoulli),
    *(torch.rand_like, torch.randn_like, torch.randint_like),
}
"""Functions whose result has the shape of their first argument and draws for each of its entries."""
FILLED = {
    *(Tensor.bernoulli_, Tensor.uniform_, Tensor.normal_, Tensor.random_, Tensor.exponential_),
}
"""Methods that draw into a tensor."""
DRAWN = {torch.rand, torch.randn, torch.randint}
"""Functions that draw a tensor of a shape that they are given."""


class WholeBatch(TorchFunctionMode):
    """While it is entered, what a share draws is its part of what the whole batch would, and statistics are of all.

    So a step of several processes has the dropout masks, and the batch normalisation, of a step of one. It looks at
    batch normalisation in training, at dropout, and at torch's drawing functions where the first axis is the rows (or,
    for dropout, several to a row). What is drawn elsewhere, within a recurrent layer or fused attention, is drawn for
    the share alone: still random, but not the draw of one process.
    """

    def __init__(self, share: Share) -> None:
        super().__init__()
        self.share = share

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """Answer a call of torch."""
        kwargs = kwargs or {}
        if func in (functional.batch_norm, torch.batch_norm):
            return _batch_norm(func, *args, **kwargs)
        if func in DROPPED:
            return self._dropped(func, *args, **kwargs)
        if func in FILLED:
            return self._filled(func, *args, **kwargs)
        if func in DRAWN:
            return self._drawn(func, args, kwargs)
        return func(*args, **kwargs)

    def _padded(self, own: Tensor) -> tuple[Tensor, slice] | None:
        """Return the share among zeros for all other rows, and where it is; ``None`` if the axis is not the rows."""
        share = self.share
        if own.ndim == 0 or not len(own) or len(own) % share.rows:
            return None
        each = len(own) // share.rows
        whole = own.new_zeros((share.total * each, *own.shape[1:]))
        rows = slice(share.start * each, share.stop * each)
        whole[rows] = own
        return whole, rows

    def _dropped(self, func: Callable[..., Any], input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        padded = self._padded(input)
        if padded is None:
            return func(input, *args, **kwargs)  # type: ignore[no-any-return]
        whole, rows = padded
        result: Tensor = func(whole, *args, **kwargs)
        return result[rows]

    def _filled(self, func: Callable[..., Any], own: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        padded = self._padded(own.detach())
        if padded is None:
            return func(own, *args, **kwargs)  # type: ignore[no-any-return]
        whole, rows = padded
        return own.copy_(func(whole, *args, **kwargs)[rows])

    def _drawn(self, func: Callable[..., Any], args: Any, kwargs: Any) -> Tensor:
        share = self.share
        shape, rest, named = _shape(func, args, kwargs)
        if not shape or shape[0] != share.rows:
            return func(*args, **kwargs)  # type: ignore[no-any-return]
        result: Tensor = func(*rest, (share.total, *shape[1:]), **named)
        return result[share.slice]


def _shape(func: Callable[..., Any], args: Any, kwargs: Any) -> tuple[tuple[int, ...], Any, dict[str, Any]]:
    """Return the shape that a drawing function is asked for, and its arguments without it."""
    if "size" in kwargs:
        return tuple(kwargs["size"]), args, {k: v for k, v in kwargs.items() if k != "size"}
    if func is torch.randint:
        return (tuple(args[-1]), args[:-1], kwargs) if args else ((), args, kwargs)
    shape = args[0] if args and not isinstance(args[0], int) else args
    return tuple(shape), (), kwargs


def _batch_norm(
    func: Callable[..., Any],
    input: Tensor,
    *args: Any,
    **kwargs: Any,
) -> Tensor:
    names = ("running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
    if func is torch.batch_norm:
        names = ("weight", "bias", "running_mean", "running_var", "training", "momentum", "eps")
    given = dict(zip(names, args, strict=False)) | kwargs
    if not given.get("training", False):
        return func(input, *args, **kwargs)  # type: ignore[no-any-return]
    mean, var = given.get("running_mean"), given.get("running_var")
    weight, bias = given.get("weight"), given.get("bias")
    momentum, eps = given.get("momentum", 0.1), given.get("eps", 1e-5)
    if input.is_cuda:
        from torch.nn.modules._functions import SyncBatchNorm

        group = dist.group.WORLD
        normal: Tensor = SyncBatchNorm.apply(
            input, weight, bias, mean, var, eps, momentum, group, dist.get_world_size()
        )
        return normal
    return _synchronous(input, mean, var, weight, bias, momentum, eps)


def _synchronous(
    own: Tensor,
    mean: Tensor | None,
    var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    momentum: float,
    eps: float,
) -> Tensor:
    """Normalise by the statistics of all processes' rows; torch has this for GPUs only."""
    axes = [0, *range(2, own.ndim)]
    shape = [1, -1, *[1] * (own.ndim - 2)]
    values = own.float()
    count = total(torch.tensor([math.prod(own.shape) / own.shape[1]], dtype=torch.float64)).item()
    center = total(values.sum(axes)) / count
    centred = values - center.view(shape)
    spread = total(centred.square().sum(axes)) / count
    if mean is not None and var is not None:
        with torch.no_grad():
            mean.lerp_(center.to(mean.dtype), momentum)
            var.lerp_((spread * (count / (count - 1))).to(var.dtype), momentum)
    normal = centred * (spread + eps).rsqrt().view(shape)
    if weight is not None:
        normal = normal * weight.view(shape)
    if bias is not None:
        normal = normal + bias.view(shape)
    return normal.to(own.dtype)
