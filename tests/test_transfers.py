"""A step of training waits for no device: nothing is read back, and what is sent is sent without waiting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from harness.collapse import Look
from harness.inputs import FeatureInputs, sent
from harness.model import Model
from harness.protocols import Record, Split
from harness.registry import Stage
from harness.task import Task
from harness.train import train
from harness_baselines.vsepp import VsePlusPlus
from harness_dualpath.instance import InstanceLoss
from harness_dualpath.kclass import KClassLoss
from harness_dualpath.ranking import RankingLoss

N, DIM, STEPS = 40, 4, 6


class Transfers(TorchDispatchMode):
    """Count what reaches a device from the CPU, and what waits for it. The device is ``meta``: it has no numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.sent, self.waiting = 0, Counter[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        flat, _ = torch.utils._pytree.tree_flatten((args, kwargs))
        # A number alone is part of the call.
        given = {t.device.type for t in flat if isinstance(t, Tensor) and t.ndim}
        if "cpu" in given and isinstance(result, Tensor) and result.device.type == "meta":
            if func._schema.name in ("aten::_to_copy", "aten::copy_") and kwargs.get("non_blocking"):
                self.sent += 1
            else:
                self.waiting[func._schema.name] += 1
        return result


class Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, DIM), nn.BatchNorm1d(DIM), nn.Dropout(0.3))

    def head(self, batch: Tensor) -> Tensor:
        return self.layers(batch)


class Words(nn.Embedding):
    """Captions of one word."""


class Nearest(nn.Module):
    """Compares with captions from beyond the batch."""

    candidates = 8

    def mine(self, image: Tensor, group: Tensor, text: Tensor, text_group: Tensor) -> Tensor:
        return ((image @ text.T) * (group[:, None] != text_group)).argmax(1)

    def forward(self, image: Tensor, text: Tensor, group: Tensor, mined: Tensor) -> Tensor:
        return (image * (mined - text)).sum(1).mean()


class Enough(BaseException):
    """Ends a training after some steps."""


def task(device: str, loss: nn.Module, path: Path, stopping: Callable[[], int]) -> Task:
    torch.manual_seed(0)
    parts = {"image": Head(), "text": Words(9, DIM), "loss": nn.ModuleDict({"rank": loss})}
    stage = {"name": "one", "losses": {"rank": 1.0}, "epochs": 2, "batch": 4, "lr": 0.05, "clip": 1.0}
    return Task(
        model=Model(nn.ModuleDict(parts).to(device), {"rank": 1.0}),
        split=Split(
            "train", tuple(Record(image=f"i{k}", split="train", captions=("a", "b")) for k in range(N))
        ),
        images=FeatureInputs(torch.randn(2, N, 3).to(device)),
        texts=torch.randint(9, (2 * N,)).to(device),
        stage=Stage.model_validate(stage, strict=False),
        seed=0,
        unsaved=(),
        validate=lambda: Look(rsum=1.0),
        checkpoint=path / "checkpoint.pt",
        progress=lambda *_: None,
        stopping=stopping,
        note=lambda _: None,
    )


def after(steps: int, at: int = 0, then: Callable[[], None] = lambda: None) -> Callable[[], int]:
    """Return what ends a training after some steps, and does something after others."""
    done = 0

    def stopping() -> int:
        nonlocal done
        done += 1
        if done == at:
            then()
        if done == steps:
            raise Enough
        return 0

    return stopping


def k_classes() -> KClassLoss:
    features = torch.arange(N)[:, None].float()
    return KClassLoss(
        dim=DIM, classes=N, train_features=lambda: torch.cat([features, 1 + features.sin()], 1), seed=0, k=5
    )


@pytest.mark.parametrize(
    ("loss", "drawn"),
    [
        (RankingLoss, 2),
        (Nearest, 1),
        (partial(InstanceLoss, dim=DIM, classes=N), 0),
        (partial(InstanceLoss, dim=DIM, classes=N, sampled=0.5), 0),
        (k_classes, 0),
    ],
    ids=["random", "mined", "instance", "sampled", "k-class"],
)
def test_indices_are_sent_once_an_epoch_and_draws_without_waiting(
    tmp_path: Path, loss: Callable[[], nn.Module], drawn: int
) -> None:
    counted = []
    for steps in (1, STEPS):
        one = task("meta", loss(), tmp_path, after(steps))
        with Transfers() as transfers, pytest.raises(Enough):
            train(one)
        assert transfers.waiting == {}
        counted.append(transfers.sent)
    # The images' rows and views, captions, groups; the owners of captions; and what a loss draws in each step.
    first, all_of_it = counted
    assert all_of_it - first == drawn * (STEPS - 1)
    assert first == 5 + drawn


def test_an_index_that_lies_elsewhere_or_waits_would_be_seen() -> None:
    table, rows = torch.empty(5, 2, device="meta"), torch.tensor([1, 3])
    with Transfers() as transfers:
        table[rows]
        rows.to("meta")
        rows.to("meta", non_blocking=True)
    assert transfers.waiting == {"aten::index": 1, "aten::_to_copy": 1}
    assert transfers.sent == 1


def test_what_is_sent_is_the_same_and_on_a_cpu_no_copy() -> None:
    numbers = np.arange(5)
    there = sent(numbers, "cpu")
    assert there.tolist() == [0, 1, 2, 3, 4]
    numbers[0] = 7
    assert there[0] == 7


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(
    "loss",
    [
        *(partial(RankingLoss, negatives=how, candidates=8) for how in ("random", "hardest", "mined")),
        partial(InstanceLoss, dim=DIM, classes=N),
        partial(InstanceLoss, dim=DIM, classes=N, sampled=0.5),
        k_classes,
        partial(VsePlusPlus, warmup=6),
    ],
    ids=["random", "hardest", "mined", "instance", "sampled", "k-class", "vsepp"],
)
def test_a_gpu_is_not_waited_for(tmp_path: Path, loss: Callable[[], nn.Module]) -> None:
    # Libraries are set up in the first steps; figures are read after the tenth.
    strict = after(9, 3, lambda: torch.cuda.set_sync_debug_mode("error"))
    try:
        with pytest.raises(Enough):
            train(task("cuda", loss(), tmp_path, strict))
    finally:
        torch.cuda.set_sync_debug_mode("default")
