"""Figures of steps: read late on a GPU, and the same sums."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from harness.errors import TrainingError
from harness.model import Model
from harness.step import Batch, Numerics, Step
from harness.tally import STEPS, Ranges, Tally, flat

TERMS = frozenset({"a"})


def told(step: int, a: float = 0.1) -> dict[str, torch.Tensor]:
    return {
        "a": torch.tensor(a * step),
        "b": torch.tensor(1 / 3),
        "loss": torch.tensor(step, dtype=torch.bfloat16),
    }


def test_late_reading_adds_the_same_numbers() -> None:
    at_once, late = Tally("cpu"), Tally("cpu")
    late.every = STEPS
    sums: list[dict[str, float]] = [{}, {}]
    for step in range(1, 24):
        for tally, own in zip((at_once, late), sums, strict=True):
            tally.add(1, step, told(step), TERMS, {})
            if tally.due:
                tally.read(own, {})
        assert not at_once.waiting
        assert len(late.waiting) == step % STEPS
    late.read(sums[1], {})
    assert sums[0] == sums[1]
    assert sums[0]["loss"] == sum(range(1, 24))
    expected = 0.0
    for _ in range(23):
        expected += float(torch.tensor(1 / 3))
    assert sums[0]["b"] == expected


def test_the_first_broken_step_is_named_however_late_it_is_read() -> None:
    tally = Tally("cpu")
    for step, a in ((1, 0.1), (2, float("nan")), (3, float("inf"))):
        tally.add(4, step, told(step, a), TERMS, {})
    with pytest.raises(TrainingError, match="loss a is nan in epoch 4, step 2"):
        tally.read({}, {})


def test_a_figure_that_is_no_term_may_be_anything() -> None:
    tally, sums = Tally("cpu"), dict[str, float]()
    tally.add(1, 1, {**told(1), "b": torch.tensor(float("inf"))}, TERMS, {})
    tally.read(sums, {})
    assert sums["b"] == float("inf")


def test_a_doubt_that_came_true_is_told() -> None:
    tally = Tally("cpu")
    tally.add(1, 1, told(1), TERMS, {"something is odd": torch.tensor(False)})
    tally.read({}, {})
    tally.add(1, 2, told(2), TERMS, {"something is odd": torch.tensor(True)})
    with pytest.raises(TrainingError, match=re.escape("something is odd, in epoch 1, step 2")):
        tally.read({}, {})


def test_a_term_stands_still_over_two_steps_and_no_other_figure_does() -> None:
    tally, ranges = Tally("cpu"), Ranges()
    for step, a in ((1, 1.0), (2, 1.0009), (3, 1.003)):
        tally.add(1, step, {"a": torch.tensor(a), "b": torch.tensor(2.0)}, TERMS, {})
        tally.read({}, ranges)
        assert flat(ranges) is (step == 2)
    assert ranges == {"a": (1.0, pytest.approx(1.003), 3)}


def test_no_graph_is_kept() -> None:
    weight = torch.ones((), requires_grad=True)
    tally = Tally("cpu")
    tally.add(1, 1, {"a": 2 * weight}, TERMS, {"doubt": (weight > 2).any()})
    assert not any(value.requires_grad for told in tally.waiting for value in told.scalars)


class Nearest(nn.Module):
    """A loss that mines, reads nothing back, and may point beyond its candidates."""

    candidates = 4

    def __init__(self, beyond: int = 0) -> None:
        super().__init__()
        self.beyond = beyond

    def mine(self, image: Any, group: Any, text: Any, text_group: Any) -> torch.Tensor:
        return (image @ text.T).argmax(1) + self.beyond

    def forward(self, image: Any, text: Any, group: Any, mined: Any) -> torch.Tensor:
        return (image * (mined - text)).sum(1).mean()


class Table(nn.Embedding):
    """Captions of one word."""


def step_on(device: str, loss: nn.Module) -> tuple[Step, Batch]:
    root = nn.ModuleDict(
        {"image": nn.Linear(3, 2), "text": Table(8, 2), "loss": nn.ModuleDict({"near": loss})}
    ).to(device)
    split: Any = SimpleNamespace(caption_image=np.arange(8))
    images: Any = SimpleNamespace(embed=lambda encoder, batch: encoder(batch))
    texts = torch.arange(8).to(device)
    step = Step(Model(root, {"near": 1.0}), images, split, texts, seed=0, numerics=Numerics())
    return step, Batch(images=torch.ones(3, 3).to(device), texts=texts[:3], groups=torch.arange(3).to(device))


def test_a_step_reads_nothing_back_from_its_device() -> None:
    # What lies on the meta device has no numbers that could be read.
    step, batch = step_on("meta", Nearest())
    step.terms(batch, 1, 0)["near"].backward()
    assert [value.device.type for value in step.doubts().values()] == ["meta"]
    with pytest.raises((RuntimeError, NotImplementedError)):
        float(batch.images.sum())


@pytest.mark.parametrize(("beyond", "wrong"), [(0, False), (5, True), (-9, True)])
def test_rows_beyond_the_candidates_are_a_doubt(beyond: int, wrong: bool) -> None:
    step, batch = step_on("cpu", Nearest(beyond))
    step.terms(batch, 1, 0)
    ((text, value),) = step.doubts().items()
    assert bool(value) is wrong
    assert text == "loss 'near' mined what is no row; it must return (k,) int64 rows of its 4 candidates"
    assert step.doubts() == {}
