"""The gradient of a batch in parts is that of the whole, and memory that runs out is survived."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.accumulation import Accumulation, Parts
from harness.collapse import Look
from harness.distributed import Team
from harness.errors import Interrupted, TrainingError
from harness.inputs import FeatureInputs
from harness.model import Model
from harness.protocols import Record, Split
from harness.registry import Stage
from harness.step import Batch, Numerics, Step
from harness.task import Task, Trained
from harness.train import train

N, WIDTH, DIM, WORDS = 13, 6, 4, 20


class Encoder(nn.Module):
    """A path of one kind of layers; it notes what it embedded, and runs out of memory above `room` rows."""

    def __init__(self, first: nn.Module, *rest: nn.Module, room: int = 10**6) -> None:
        super().__init__()
        self.layers, self.room = nn.Sequential(first, *rest, nn.Linear(WIDTH, DIM)), room
        self.seen: list[Tensor] = []

    def forward(self, batch: Tensor) -> Tensor:
        embedded = self.layers(batch)
        if self.training and len(batch) > self.room:  # after drawing, and moving statistics
            raise torch.OutOfMemoryError("CUDA out of memory")
        if self.training:
            self.seen.append(embedded.detach().clone())
        return embedded

    head = forward


class Classes(nn.Module):
    """Instance loss: one classifier over both paths."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(N, DIM))

    def forward(self, image: Tensor, text: Tensor, group: Tensor) -> Tensor:
        return functional.cross_entropy(torch.cat([image, text]) @ self.weight.T, torch.cat([group, group]))


class OfCaptions(nn.Module):
    """A loss that sends nothing back to the image path."""

    def forward(self, image: Tensor, text: Tensor, group: Tensor) -> Tensor:
        return text.square().mean()


class Ranking(nn.Module):
    """A hinge over all pairs of the batch, a random one weighed more, and over captions from beyond it."""

    candidates = 7

    def mine(self, image: Tensor, group: Tensor, text: Tensor, text_group: Tensor) -> Tensor:
        return (image @ text.T).argmax(1)[:5]

    def forward(self, image: Tensor, text: Tensor, group: Tensor, mined: Tensor) -> Tensor:
        scores = functional.normalize(image, dim=1) @ functional.normalize(torch.cat([text, mined]), dim=1).T
        weight = 1 + torch.rand(scores.shape)
        return ((1 + scores - scores.diagonal()[:, None]).relu() * weight).mean()


def step_of(
    *,
    kind: torch.dtype = torch.float64,
    drop: bool = False,
    norm: bool = False,
    team: Team | None = None,
    **how: Any,
) -> tuple[Step, Batch]:
    torch.manual_seed(0)

    def more() -> list[nn.Module]:
        return [*([nn.BatchNorm1d(WIDTH)] if norm else []), *([nn.Dropout(0.5)] if drop else [])]

    paths = {
        "image": Encoder(nn.Linear(3, WIDTH), *more()),
        "text": Encoder(nn.EmbeddingBag(WORDS, WIDTH), *more()),
    }
    losses = nn.ModuleDict({"classes": Classes(), "ranking": Ranking()})
    root = nn.ModuleDict({**paths, "loss": losses}).to(kind).train()
    split: Any = SimpleNamespace(caption_image=np.arange(N))
    images: Any = SimpleNamespace(embed=lambda encoder, batch: encoder(batch))
    texts = torch.randint(WORDS, (N, 5))
    weights = {"classes": 0.7, "ranking": 2.0}
    others = {"team": team} if team else {}
    step = Step(Model(root, weights), images, split, texts, seed=0, numerics=Numerics(**how), **others)
    return step, Batch(images=torch.randn(N, 3).to(kind), texts=texts, groups=torch.arange(N))


def gradient(
    step: Step, batch: Batch, parts: int, **fields: Any
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return terms and gradients of a batch."""
    torch.manual_seed(1)
    how = Accumulation(step, step.terms, Parts(count=parts, **fields), N, lambda _: None)
    terms, total = how.backward(batch, 1, 0)
    weights = step.model.weights
    assert total.item() == pytest.approx(sum(weights[name] * term.item() for name, term in terms.items()))
    return terms, {name: p.grad for name, p in step.model.root.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("parts", [2, 3, 4, 6])
def test_parts_have_the_terms_and_the_gradient_of_the_whole(parts: int) -> None:
    whole, all_of_it = gradient(*step_of(), 1)
    terms, grads = gradient(*step_of(), parts)
    assert set(grads) == set(all_of_it)
    assert len(grads) == 8
    for name, term in whole.items():
        torch.testing.assert_close(terms[name], term, rtol=1e-12, atol=1e-12)
    for name, grad in all_of_it.items():
        assert grad.any()
        torch.testing.assert_close(grads[name], grad, rtol=1e-10, atol=1e-12)


def test_a_mean_of_losses_over_parts_would_be_another() -> None:
    step, batch = step_of()
    _, whole = gradient(step, batch, 1)
    step, batch = step_of()
    for rows in (slice(0, 7), slice(7, N)):
        part = Batch(images=batch.images[rows], texts=batch.texts[rows], groups=batch.groups[rows])
        terms = step.terms(part, 1, 0)
        (sum(0.5 * step.model.weights[name] * term for name, term in terms.items())).backward()
    other = step.model.root["image"].layers[0].weight.grad
    assert not torch.allclose(other, whole["image.layers.0.weight"], rtol=0.01)


def test_both_passes_over_a_part_drop_the_same() -> None:
    step, batch = step_of(drop=True)
    gradient(step, batch, 3)
    for encoder, rows in ((step.model.image, [5, 4, 4]), (step.model.text, [6, 6, 6])):
        first, again = encoder.seen[:3], encoder.seen[3:]
        assert [len(part) for part in first] == rows
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    # What comes next draws something else than the second pass drew.
    after = torch.rand(3)
    step, batch = step_of(drop=True)
    gradient(step, batch, 3)
    assert torch.equal(torch.rand(3), after)
    torch.manual_seed(1)
    assert not torch.equal(torch.rand(3), after)


def test_batch_statistics_move_once_a_part() -> None:
    step, batch = step_of(norm=True)
    expected = nn.BatchNorm1d(WIDTH).double()
    first = step.model.image.layers[0]
    for part in torch.tensor_split(batch.images, 3):
        expected(first(part))
    gradient(step, batch, 3)
    found = step.model.image.layers[1]
    assert found.num_batches_tracked == 3
    torch.testing.assert_close(found.running_mean, expected.running_mean)
    torch.testing.assert_close(found.running_var, expected.running_var)


def test_a_frozen_path_is_embedded_once_and_its_statistics_move() -> None:
    step, batch = step_of(norm=True)
    step.model.freeze(("image.*",))
    _, grads = gradient(step, batch, 3)
    assert (len(step.model.image.seen), len(step.model.text.seen)) == (3, 6)
    assert step.model.image.layers[1].num_batches_tracked == 3
    assert not any(name.startswith("image") for name in grads)


def test_statistics_of_a_path_without_a_gradient_move() -> None:
    step, batch = step_of(norm=True)
    step.model.root["loss"] = nn.ModuleDict({"classes": OfCaptions()})
    _, grads = gradient(step, batch, 3)
    assert (len(step.model.image.seen), len(step.model.text.seen)) == (3, 6)
    for path in (step.model.image, step.model.text):
        assert path.layers[1].num_batches_tracked == 3
        assert path.layers[1].running_mean.any()
    assert not any(name.startswith("image") for name in grads)


def test_bfloat16_in_parts() -> None:
    _, whole = gradient(*step_of(kind=torch.float32, precision="bf16-mixed"), 1)
    _, parts = gradient(*step_of(kind=torch.float32, precision="bf16-mixed"), 3)
    assert set(parts) == set(whole)
    for name, grad in whole.items():
        assert (parts[name] - grad).norm() < 0.05 * grad.norm(), name


def test_parts_are_refused_where_they_do_not_go() -> None:
    for fields in ({"compile": "eager"}, {"team": Team(0, 2)}):
        step, _ = step_of(**fields)
        Accumulation(step, step.terms, Parts(), N, lambda _: None)
        for parts in (Parts(count=2), Parts(halve=True)):
            with pytest.raises(TrainingError, match="in parts on one device only, and not compiled"):
                Accumulation(step, step.terms, parts, N, lambda _: None)


def trained(
    path: Path, parts: Parts, *, room: int = 10**6, notes: list[str] | None = None, **fields: Any
) -> tuple[Trained, dict[str, Tensor]]:
    """Train 13 pairs for 2 epochs of a batch of 9 and one of 4, with dropout and batch normalisation."""
    step, _ = step_of(kind=torch.float32, drop=True, norm=True)
    model = step.model
    model.text.room = room
    records = (Record(image=f"i{k}", split="train", captions=("a",)) for k in range(N))
    stage = {"name": "one", "losses": model.weights, "epochs": 2, "batch": 9, "lr": 0.05}
    task = Task(
        model=model,
        split=Split("train", tuple(records)),
        images=FeatureInputs(torch.randn(1, N, 3, generator=torch.Generator().manual_seed(2))),
        texts=step.texts,
        stage=Stage.model_validate(stage, strict=False),
        seed=0,
        unsaved=(),
        validate=lambda: Look(rsum=float(model.image.layers[0].weight.detach().abs().sum())),
        checkpoint=path / "checkpoint.pt",
        progress=lambda *_: None,
        note=(notes if notes is not None else []).append,
        parts=parts,
        **{"stopping": lambda: 0, **fields},
    )
    return train(task), dict(model.root.state_dict())


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_memory_that_runs_out_doubles_the_parts_and_leaves_no_trace(tmp_path: Path) -> None:
    notes: list[str] = []
    # 9 captions and 5 mined ones: 14, then 7, then 4 at a time.
    halved, weights = trained(tmp_path / "a", Parts(halve=True), room=5, notes=notes)
    assert halved.parts == 4
    assert notes == [
        "out of memory with 9 images at a time, in epoch 1, step 1: from now on each batch is embedded in 2 parts",
        "out of memory with 5 images at a time, in epoch 1, step 1: from now on each batch is embedded in 4 parts",
    ]
    fixed, expected = trained(tmp_path / "b", Parts(count=4))
    assert fixed.parts == 4
    assert same(weights, expected)


def test_halving_where_memory_suffices_changes_nothing(tmp_path: Path) -> None:
    plain, weights = trained(tmp_path / "a", Parts())
    ready, expected = trained(tmp_path / "b", Parts(halve=True))
    assert (plain.parts, ready.parts) == (1, 1)
    assert same(weights, expected)
    _, other = trained(tmp_path / "c", Parts(count=2))
    assert not same(weights, other)  # batch statistics are those of parts


def test_a_resumed_training_goes_on_in_as_many_parts(tmp_path: Path) -> None:
    _, expected = trained(tmp_path / "calm", Parts(halve=True), room=5)
    asked, notes = [0], list[str]()

    def stopping() -> int:
        asked[0] += 1
        return 15 if asked[0] == 2 else 0

    with pytest.raises(Interrupted):
        trained(tmp_path / "hurt", Parts(halve=True), room=5, stopping=stopping)
    again, weights = trained(tmp_path / "hurt", Parts(halve=True), room=5, notes=notes)
    assert notes == ["resumed in epoch 2 of 2"]
    assert again.parts == 4
    assert same(weights, expected)


@pytest.mark.parametrize(("parts", "room"), [(Parts(), 13), (Parts(count=2), 5), (Parts(halve=True), 2)])
def test_memory_that_is_too_small_for_two_rows_or_not_to_be_halved_ends_it(
    tmp_path: Path, parts: Parts, room: int
) -> None:
    with pytest.raises(torch.OutOfMemoryError):
        trained(tmp_path, parts, room=room)


def test_no_more_parts_than_twos(tmp_path: Path) -> None:
    most, _ = trained(tmp_path, Parts(count=100))
    assert most.parts == 4
