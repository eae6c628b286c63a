"""Training: schedule, groups, freezing, best-on-val, and resuming to the same bits."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from harness import train as training
from harness.checkpoint import previous
from harness.collapse import Look
from harness.distributed import Team
from harness.errors import Interrupted, TrainingError
from harness.inputs import FeatureInputs, derive, draw_epoch
from harness.model import Model
from harness.protocols import Record, Split
from harness.registry import Stage
from harness.schedule import build_optimizer, rate_factor
from harness.train import Task, Trained, train

N, DIM = 12, 4


def stage(**fields: Any) -> Stage:
    base = {"name": "one", "losses": {"pull": 1.0}, "epochs": 6, "batch": 5, "lr": 0.05}
    return Stage.model_validate({**base, **fields}, strict=False)


class Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(3, 3)
        self.layers = nn.Sequential(nn.Linear(3, DIM), nn.BatchNorm1d(DIM), nn.Dropout(0.3))

    def head(self, batch: Tensor) -> Tensor:
        return self.layers(batch)


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(20, DIM)

    def forward(self, batch: Tensor) -> Tensor:
        return self.table(batch)


class Pull(nn.Module):
    def __init__(self, explode_at: int = -1, steep_at: int = -1) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(DIM))
        self.calls, self.explode_at, self.steep_at = 0, explode_at, steep_at

    def forward(self, image: Tensor, text: Tensor, group: Tensor) -> Tensor:
        assert group.dtype == torch.int64
        assert group.unique().numel() == len(group)
        self.calls += 1
        loss = ((image - text) * self.scale).square().mean()
        if self.calls == self.steep_at:
            loss = loss + (self.scale.detach() - self.scale).sqrt().sum()  # 0, and infinitely steep
        return loss * torch.nan if self.calls == self.explode_at else loss

    def figures(self) -> dict[str, Tensor]:
        return {"scale": self.scale.detach().mean()}


def split() -> Split:
    return Split(
        "train",
        tuple(Record(image=f"i{k}", split="train", captions=tuple("abc"[: 1 + k % 3])) for k in range(N)),
    )


def model(**faults: int) -> Model:
    torch.manual_seed(0)
    root = nn.ModuleDict({"image": Head(), "text": Words(), "loss": nn.ModuleDict({"pull": Pull(**faults)})})
    return Model(root, {"pull": 1.0})


def scores() -> Callable[[], float]:
    """A val curve that rises, falls and rises no more: best at its third value."""
    values = iter([10.0, 20.0, 30.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    return lambda: next(values)


def task(path: Path, m: Model, s: Stage, **fields: Any) -> Task:
    generator = torch.Generator().manual_seed(1)
    texts = torch.randint(20, (len(split().captions), 5), generator=generator)
    values: dict[str, Any] = {
        "model": m,
        "split": split(),
        "images": FeatureInputs(torch.randn(2, N, 3, generator=generator)),
        "texts": texts,
        "stage": s,
        "seed": 3,
        "unsaved": (),
        "validate": scores(),
        "checkpoint": path / "checkpoint.pt",
        "progress": lambda *_: None,
        "stopping": lambda: 0,
        "note": lambda _: None,
        **fields,
    }
    rsum = values["validate"]
    return Task(**{**values, "validate": lambda: Look(rsum=rsum())})


def test_keeps_the_weights_that_were_best_on_val(tmp_path: Path) -> None:
    seen: list[Tensor] = []
    m = model()
    curve = scores()

    def validate() -> float:
        seen.append(m.text.table.weight.detach().clone())
        return curve()

    trained = train(task(tmp_path, m, stage(), validate=validate))
    assert (trained.best_epoch, trained.best_rsum, len(trained.history)) == (3, 30.0, 6)
    assert torch.equal(m.text.table.weight, seen[2])
    assert not torch.equal(seen[2], seen[5])
    assert {"loss", "pull", "pull.scale", "val.rsum", "epoch", "rate", "seconds"} <= set(trained.history[0])


def test_patience_counts_looks_without_a_better_one(tmp_path: Path) -> None:
    trained = train(task(tmp_path, model(), stage(patience=2)))
    assert len(trained.history) == 5


def test_evaluate_every_looks_at_the_last_epoch_too(tmp_path: Path) -> None:
    trained = train(task(tmp_path, model(), stage(evaluate_every=4)))
    assert [row["epoch"] for row in trained.history if "val.rsum" in row] == [4, 6]


def test_frozen_parts_stay_and_are_not_stored(tmp_path: Path) -> None:
    m = model()
    before = m.image.layers[0].weight.detach().clone()
    frozen = ("image.*",)
    train(task(tmp_path, m, stage(freeze=list(frozen)), unsaved=frozen))
    assert torch.equal(m.image.layers[0].weight, before)
    assert set(m.state(frozen)) == {"text.table.weight", "loss.pull.scale"}


def run_to_end(
    path: Path, stops: list[int], monkeypatch: pytest.MonkeyPatch, **fields: Any
) -> tuple[Trained, Model]:
    """Train with an interruption after each of `stops` steps, each time in a fresh model."""
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    values = [10.0, 20.0, 30.0, 5.0, 4.0, 3.0]
    looks: list[float] = []

    def validate() -> float:
        looks.append(0.0)
        return values[len(looks) - 1]

    for stop in [*stops, 10**6]:
        m, asked = model(), [0]

        def stopping(asked: list[int] = asked, stop: int = stop) -> int:
            asked[0] += 1
            return 15 if asked[0] == stop else 0

        try:
            return train(task(path, m, stage(**fields), validate=validate, stopping=stopping)), m
        except Interrupted:
            continue
    raise AssertionError("never ended")


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_resuming_gives_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    whole, calm = run_to_end(tmp_path / "calm", [], monkeypatch, optimizer=optimizer)
    pieces, hurt = run_to_end(tmp_path / "hurt", [1, 4, 2, 5], monkeypatch, optimizer=optimizer)
    assert pieces.resumed_from > 0
    for name, tensor in calm.root.state_dict().items():
        assert torch.equal(tensor, hurt.root.state_dict()[name]), name

    def without_time(trained: Trained) -> list[dict[str, float]]:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in trained.history]

    assert without_time(whole) == without_time(pieces)


def test_nan_is_named_with_epoch_and_step(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="loss pull is nan in epoch 2, step 1"):
        train(task(tmp_path, model(explode_at=4), stage()))


@pytest.mark.parametrize("fields", [{}, {"clip": 1.0}, {"optimizer": "adamw"}])
def test_an_exploding_gradient_is_named_with_parameter_epoch_and_step(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    with pytest.raises(
        TrainingError,
        match=r"exploding gradient: that of loss.pull.scale is NaN or infinite in epoch 2, step 1, .* loss is \d",
    ):
        train(task(tmp_path, model(steep_at=4), stage(**fields)))


class Passes(TorchDispatchMode):
    """Count passes over all gradients that take their norms."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func._schema.name == "aten::_foreach_norm"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("clip", [None, 1.0])
def test_norms_are_taken_once_a_step(tmp_path: Path, clip: float | None) -> None:
    with Passes() as passes:
        train(task(tmp_path, model(), stage(epochs=2, clip=clip)))
    assert passes.count == 2 * 3


def test_a_checkpoint_that_cannot_be_read_is_named_and_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, calm = run_to_end(tmp_path / "calm", [], monkeypatch)
    stranger = model()
    stranger.root["image"] = Words()  # of other names and shapes, as after a change of a plugin
    notes: list[str] = []
    for number, content in enumerate(
        (b"not a checkpoint", b"", {"state": {}, "model": stranger.state(()), "random": 0, "cuda": []})
    ):
        path = tmp_path / f"hurt{number}" / "checkpoint.pt"
        path.parent.mkdir()
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        m = model()
        values = iter([10.0, 20.0, 30.0, 5.0, 4.0, 3.0])
        train(task(path.parent, m, stage(), validate=lambda values=values: next(values), note=notes.append))
        assert f"cannot resume from {path}" in notes[-1]
        assert notes[-1].endswith("the run starts anew")
        for name, tensor in calm.root.state_dict().items():
            assert torch.equal(tensor, m.root.state_dict()[name]), name


def test_processes_that_read_other_checkpoints_say_what_to_do(tmp_path: Path) -> None:
    class Apart(Team):
        def agree(self, *values: float) -> tuple[float, ...]:
            return tuple(value + 1 for value in values)

    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    for team, message, hint in (
        (Team(1, 1), "process 1 cannot resume from", "without --devices, or delete that file"),
        (Apart(0, 1), "process 0 would go on at", f"without --devices, or delete {tmp_path} to begin anew"),
    ):
        with pytest.raises(TrainingError, match=message) as refused:
            train(task(tmp_path, model(), stage(), team=team))
        assert hint in refused.value.hint


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    """A flipped bit in a tensor is loaded in silence by torch: the checksum is of our own."""
    _, calm = run_to_end(tmp_path / "calm", [], monkeypatch)
    monkeypatch.setattr("harness.train.CHECKPOINT_SECONDS", 0.0)
    path, passes, notes = tmp_path / "hurt" / "checkpoint.pt", [0], list[str]()

    def stopping() -> int:
        passes[0] += 1
        return 15 if passes[0] == 5 else 0

    values = iter([10.0, 20.0, 30.0, 5.0, 4.0, 3.0])
    with pytest.raises(Interrupted):  # in the second epoch
        train(task(path.parent, model(), stage(), validate=lambda: next(values), stopping=stopping))
    assert previous(path).is_file()
    content = bytearray(path.read_bytes())
    if damage == "cut":
        del content[len(content) // 2 :]
    else:
        tensor = torch.load(path, weights_only=True)["model"]["image.layers.0.weight"]
        content[content.index(tensor.numpy().tobytes())] ^= 1
    path.write_bytes(content)
    m = model()
    train(task(path.parent, m, stage(), validate=lambda: next(values), note=notes.append))
    assert f"cannot resume from {path}" in notes[0]
    assert notes[1].startswith("resumed in epoch")
    for name, tensor in calm.root.state_dict().items():
        assert torch.equal(tensor, m.root.state_dict()[name]), name


def test_a_glob_that_matches_nothing_is_named(tmp_path: Path) -> None:
    for fields in ({"freeze": ["image.bakbone.*"]}, {"groups": {"image.bakbone.*": {"lr": 0.1}}}):
        notes: list[str] = []
        train(task(tmp_path, model(), stage(**fields), note=notes.append))
        assert notes == [
            "stage 'one': no parameter is named image.bakbone.*; did you mean 'image.backbone.*'?"
        ]


def test_no_epochs_need_a_closed_form(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="0 epochs and no loss in closed form"):
        train(task(tmp_path, model(), stage(epochs=0)))


def test_the_first_matching_group_multiplies_rate_and_decay() -> None:
    groups = {"*.table.*": {"lr": 0.5, "weight_decay": 0.0}, "text.*": {"lr": 9.0}, "loss.*": {"lr": 0.1}}
    optimizer = build_optimizer(model().root, stage(groups=groups, lr=0.2, weight_decay=0.01))
    found = sorted((round(g["lr"], 9), g["weight_decay"], len(g["params"])) for g in optimizer.param_groups)
    assert found == [(0.02, 0.01, 1), (0.1, 0.0, 1), (0.2, 0.01, 6)]


def test_nothing_left_to_train_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="freezes every parameter"):
        train(task(tmp_path, model(), stage(freeze=["*"])))


def test_schedules() -> None:
    step = stage(epochs=60, decay_at=[40, 50])
    assert [rate_factor(step, at) for at in (0, 39.9, 40, 50)] == pytest.approx([1, 1, 0.1, 0.01])
    assert rate_factor(stage(), 5.5) == 1.0
    cosine = stage(schedule="cosine")
    assert [rate_factor(cosine, at) for at in (0, 3)] == pytest.approx([1, 0.5])
    cycle = stage(schedule="one-cycle", warmup=0.25, epochs=8)
    rates = [rate_factor(cycle, at / 10) for at in range(80)]
    assert max(rates) == rates[20] == 1.0
    assert rates[:21] == sorted(rates[:21])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[-1] < 0.01 < rates[0] < 0.1


def test_an_epoch_draws_every_image_once_with_a_caption_of_its_own() -> None:
    s = split()
    draw = draw_epoch(s, views=3, seed=0, epoch=1)
    assert sorted(draw.order) == list(range(N))
    assert (s.caption_image[draw.captions] == draw.order).all()
    assert set(np.unique(draw.views)) <= {0, 1, 2}
    again, other = draw_epoch(s, views=3, seed=0, epoch=1), draw_epoch(s, views=3, seed=0, epoch=2)
    assert (again.order == draw.order).all()
    assert (other.order != draw.order).any()
    seen = {c for epoch in range(60) for c in draw_epoch(s, views=1, seed=0, epoch=epoch).captions}
    assert seen == set(range(len(s.captions)))


def test_derived_seeds_are_stable() -> None:
    assert derive(0, "epoch", 1) == derive("0", "epoch", "1") != derive(0, "epoch", 2)
    assert 0 <= derive("x") < 2**63


def test_a_last_batch_of_one_is_left_out(tmp_path: Path) -> None:
    m = model()
    train(task(tmp_path, m, stage(epochs=1, batch=11)))
    assert m.losses["pull"].calls == 1
    assert math.isfinite(float(m.text.table.weight.detach().sum()))
