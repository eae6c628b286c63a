"""The optimiser of a stage with its parameter groups, and the course of its learning rate."""

from __future__ import annotations

import math
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from harness.errors import TrainingError, nearest
from harness.registry import Stage

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer


def build_optimizer(root: nn.Module, stage: Stage) -> Optimizer:
    """Build the optimiser; the first glob of `stage.groups` that matches a name multiplies its rate and decay.

    Raises:
        TrainingError: if nothing is left to train.
    """
    import torch

    groups: dict[str, list[Tensor]] = {}
    for name, parameter in root.named_parameters():
        if parameter.requires_grad:
            glob = next((glob for glob in stage.groups if fnmatchcase(name, glob)), "")
            groups.setdefault(glob, []).append(parameter)
    if not groups:
        raise TrainingError(f"stage freezes every parameter: {', '.join(stage.freeze)}")
    settings = []
    for glob, parameters in groups.items():
        own = stage.groups.get(glob)
        rate = stage.lr * (own.lr if own else 1.0)
        decay = stage.weight_decay * (own.weight_decay if own else 1.0)
        settings.append({"params": parameters, "lr": rate, "base_lr": rate, "weight_decay": decay})
    if stage.optimizer == "sgd":
        return torch.optim.SGD(
            settings,
            momentum=stage.momentum,
            nesterov=stage.nesterov and stage.momentum > 0,
            # One kernel for all parameters; on a CPU its sums would round otherwise than those measured before.
            fused=any(parameter.is_cuda for parameter in root.parameters()),
        )
    return torch.optim.AdamW(settings, fused=True)


def idle_globs(root: nn.Module, stage: Stage) -> list[str]:
    """Return one line for each glob of `freeze` or `groups` that no parameter has: a slip, or a model without it."""
    names = [name for name, _ in root.named_parameters()]
    parts = [name.split(".") for name in names]
    modules = {".".join(part[:end]) + ".*" for part in parts for end in range(1, len(part))}
    return [
        f"stage {stage.name!r}: no parameter is named {glob}{nearest(glob, {*modules, *names})}"
        for glob in dict.fromkeys((*stage.freeze, *stage.groups))
        if not any(fnmatchcase(name, glob) for name in names)
    ]


def rate_factor(stage: Stage, at: float) -> float:
    """Return what the learning rate is multiplied with at `at` epochs of training, 0 <= at < epochs."""
    if stage.schedule == "step":
        return float(stage.decay_by ** sum(at >= epoch for epoch in stage.decay_at))
    if stage.schedule == "constant":
        return 1.0
    share = at / stage.epochs
    warm = stage.warmup if stage.schedule == "one-cycle" else 0.0
    if share < warm:
        return 0.04 + 0.96 * share / warm
    return 0.5 * (1.0 + math.cos(math.pi * (share - warm) / (1.0 - warm)))
