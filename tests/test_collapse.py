"""Collapse while training: what is beyond hope is stopped, what recovers is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.checkpoint import read
from harness.collapse import Look, same, spread, stuck
from harness.errors import Interrupted, TrainingError
from harness.evaluate import embed, rank
from harness.inputs import FeatureInputs
from harness.model import Model
from harness.protocols import Record, Split
from harness.ranking import normalize, rsum
from harness.registry import Stage
from harness.task import Task, Trained
from harness.train import train

N, DIM = 12, 4
SPLIT = Split("train", tuple(Record(image=f"i{k}", split="train", captions=("a",)) for k in range(N)))


class Head(nn.Module):
    def __init__(self, *, dead: bool) -> None:
        super().__init__()
        self.top, self.dead = nn.Linear(DIM, DIM), dead

    def head(self, batch: Tensor) -> Tensor:
        return functional.relu(self.top(batch) - 100) if self.dead else self.top(batch)


class Near(nn.Module):
    """Embeds captions around one point, how near is learned."""

    def __init__(self, *, width: float) -> None:
        super().__init__()
        self.log_width = nn.Parameter(torch.tensor(width).log())
        self.points = nn.Buffer(torch.randn(N, DIM))

    def forward(self, batch: Tensor) -> Tensor:
        return torch.ones(DIM) + self.log_width.exp() * self.points[batch]


class Widening(nn.Module):
    """Drives captions apart, after `until` steps together."""

    def __init__(self, until: int) -> None:
        super().__init__()
        self.left = nn.Buffer(torch.tensor(until))

    def forward(self, image: Tensor, text: Tensor, group: Tensor) -> Tensor:
        self.left -= 1
        apart = (text - text.mean(0)).square().sum().log()
        return (-apart if self.left >= 0 else apart) + 0 * image.sum()


class Hinge(nn.Module):
    """The hinge of a ranking loss in both directions, with a margin of 1."""

    def forward(self, image: Tensor, text: Tensor, group: Tensor) -> Tensor:
        scores = functional.normalize(image, dim=1) @ functional.normalize(text, dim=1).T
        right, wrong = scores.diagonal(), scores.roll(1, 1).diagonal()
        return (1 - right + wrong).relu().mean() + (1 - right + scores.roll(1, 0).diagonal()).relu().mean()


def trained(
    path: Path,
    loss: nn.Module,
    *,
    width: float = 1.0,
    dead: bool = False,
    looks: list[Look] | None = None,
    **fields: Any,
) -> tuple[Trained, list[Look]]:
    """Train on 12 pairs for 6 epochs of 3 steps; val is the same pairs."""
    looks = [] if looks is None else looks
    torch.manual_seed(0)
    root = nn.ModuleDict(
        {"image": Head(dead=dead), "text": Near(width=width), "loss": nn.ModuleDict({"it": loss})}
    )
    model, images = Model(root, {"it": 1.0}), FeatureInputs(torch.randn(1, N, DIM))
    stopping = fields.pop("stopping", lambda: 0)
    values = {"name": "one", "losses": {"it": 1.0}, "epochs": 6, "batch": 4, "lr": 0.05, "momentum": 0.0}

    def validate() -> Look:
        embedded = embed(SPLIT, model.image, model.text, images, torch.arange(N))
        looks.append(Look(rsum=rsum(rank(SPLIT, *embedded)), same=same(*embedded)))
        return looks[-1]

    task = Task(
        model=model,
        split=SPLIT,
        images=images,
        texts=torch.arange(N),
        stage=Stage.model_validate({**values, **fields}, strict=False),
        seed=0,
        unsaved=(),
        validate=validate,
        checkpoint=path / "checkpoint.pt",
        progress=lambda *_: None,
        stopping=stopping,
        note=lambda _: None,
    )
    return train(task), looks


def test_a_path_that_died_stops_the_training_at_the_second_look(tmp_path: Path) -> None:
    with pytest.raises(
        TrainingError,
        match="collapse: every val image has the same embedding, in epoch 2 as at the look before, and they do not "
        "move apart; the loss stands at 2",
    ) as caught:
        trained(tmp_path, Hinge(), dead=True)
    assert "Lower the stage's lr" in caught.value.hint


def test_a_loss_that_stands_still_is_looked_into_between_two_looks(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="in epoch 2 as at the look before"):
        trained(tmp_path, Hinge(), dead=True, evaluate_every=6)


def test_a_loss_that_moves_is_not_looked_into(tmp_path: Path) -> None:
    done, looks = trained(tmp_path, Hinge(), evaluate_every=6)
    assert len(looks) == 1
    assert len(done.history) == 6


def test_one_step_an_epoch_stands_not_still(tmp_path: Path) -> None:
    _, looks = trained(tmp_path, Hinge(), evaluate_every=6, batch=N)
    assert len(looks) == 1


def test_captions_that_move_apart_are_given_time(tmp_path: Path) -> None:
    done, looks = trained(tmp_path, Widening(100), width=6e-4)
    assert [list(look.same) for look in looks[:2]] == [["caption"], ["caption"]]
    assert looks[1].same["caption"] > 1.1 * looks[0].same["caption"]
    assert looks[-1].same == {}
    assert len(done.history) == 6


def test_a_training_that_learned_before_it_collapsed_keeps_its_best(tmp_path: Path) -> None:
    done, looks = trained(tmp_path, Widening(3), width=1.7e-3)
    assert not looks[0].same
    assert [list(look.same) for look in looks[3:]] == [["caption"]] * 3
    assert len(done.history) == 6
    assert done.best_epoch <= 3


def test_a_resumed_training_remembers_what_it_saw(tmp_path: Path) -> None:
    asked: list[int] = []

    def stopping() -> int:
        asked.append(0)
        return 15 if len(asked) == 4 else 0  # in the second epoch

    with pytest.raises(Interrupted):
        trained(tmp_path, Hinge(), dead=True, stopping=stopping)
    with pytest.raises(TrainingError, match="in epoch 2 as at the look before"):
        trained(tmp_path, Hinge(), dead=True)


@pytest.mark.parametrize("steps", [[2], [1, 1, 3]])
def test_a_resumed_training_looks_when_an_undisturbed_one_does(tmp_path: Path, steps: list[int]) -> None:
    """Pieces of one step of an epoch, whose loss moves from step to step."""

    def interrupted(path: Path, stops: list[int]) -> tuple[list[Look], Any]:
        looks: list[Look] = []
        for stop in stops:
            asked = iter([0] * (stop - 1) + [15])
            with pytest.raises(Interrupted):
                trained(
                    path,
                    Widening(100),
                    width=6e-4,
                    evaluate_every=2,
                    looks=looks,
                    stopping=lambda asked=asked: next(asked),
                )
        return looks, read(path / "checkpoint.pt")["state"]

    total = 7  # two epochs of three steps and a step
    calm, expected = interrupted(tmp_path / "calm", [total])
    hurt, found = interrupted(tmp_path / "hurt", [*steps, total - sum(steps)])
    assert len(calm) == 1
    assert hurt == calm
    for name in ("same", "alive", "ranges", "sums"):
        assert found[name] == expected[name], name
    assert expected["same"].keys() == {"caption"}
    assert {name: steps for name, (_, _, steps) in expected["ranges"].items()} == {"it": 1}


def test_paths_stay_collapsed_unless_they_move_apart() -> None:
    assert stuck({}, {"image": 0.0}) == ""
    assert stuck({"image": 0.0}, {"image": 0.0}) == "image"
    assert stuck({"image": 1e-15}, {"image": 1e-14}) == "image"  # rounding
    assert stuck({"image": 1e-8}, {"image": 1.05e-8}) == "image"
    assert stuck({"image": 1e-8}, {"image": 1.2e-8}) == ""
    assert stuck({"image": 1e-8}, {"caption": 0.0}) == ""
    assert stuck({"image": 1e-8, "caption": 0.0}, {"image": 1e-9, "caption": 0.0}) == "image and caption"


def test_spread() -> None:
    assert spread(np.eye(2, dtype=np.float32)) == 0.5
    assert spread(np.ones((3, 2), np.float32)) == 0.0
    rows = normalize(
        1 + 1e-4 * np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32), [""] * 50, ""
    )
    assert same(rows, np.eye(8, dtype=np.float32)) == {"image": pytest.approx(spread(rows))}
    assert 1e-9 < spread(rows) < 1e-7
