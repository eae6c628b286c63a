"""The dual-path method in small, through the whole harness: its runs resume, and Stage II starts from Stage I."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import harness.execute.run
import harness.train
from harness.errors import Interrupted
from harness.execute.restore import restore
from harness.store import Store
from harness.task import Task, Trained

Registry = Callable[..., Path]


@pytest.fixture
def registry(shapes: Any, tmp_path: Path) -> Registry:
    """Write the registry of the tiny matrix, with replacements each of which must occur; returns its path."""

    def write(*changes: tuple[str, str]) -> Path:
        text = (shapes.folder / "registry.yaml").read_text(encoding="utf-8")
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "registry.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


# Both read pixels: batches of random crops, dropout, a start of the words and negatives that are drawn in every step.
MINED = (
    "losses: {instance: {use: instance}, ",
    "losses: {instance: {use: instance}, rank: {use: ranking, negatives: mined, candidates: 9}, ",
)
FINE_TUNED = (
    MINED,
    (
        "one: {losses: {instance: 1}, freeze: [image.backbone.*], epochs: 1",
        "one: {losses: {instance: 1, rank: 2}, epochs: 2",
    ),
)
BATCH_STATISTICS = (
    ("head: linear,", "backbone_norm: batch, feature_dropout: 0.2, head: linear,"),
    ("freeze: [image.backbone.*], epochs: 1, batch: 16", "freeze: [image.backbone.*], epochs: 2, batch: 16"),
)


@pytest.mark.parametrize(
    "changes", [FINE_TUNED, BATCH_STATISTICS], ids=["fine-tuned backbone", "backbone_norm: batch"]
)
def test_a_run_that_reads_pixels_goes_on_to_the_same_bits(
    shapes: Any,
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: tuple[tuple[str, str], ...],
) -> None:
    steps = [0]
    step = harness.train._Training._step

    def counted(self: Any, batch: Any) -> None:
        assert batch.images.dtype == torch.uint8  # pixels, no features
        step(self, batch)
        steps[0] += 1

    monkeypatch.setattr(harness.train._Training, "_step", counted)
    calm, hurt = (replace(shapes.workspace, home=tmp_path / name) for name in ("calm", "hurt"))
    plan = shapes.make(registry(*changes), calm, only={"variant": ["one"]})
    (run,) = plan.runs
    shapes.execute(plan, calm)
    whole, pieces = steps[0], 0
    stopping = replace(hurt, stopping=lambda: 15 if steps[0] == 3 else 0)
    while True:  # three steps at a time: within the first epoch, and within the second
        steps[0], before = 0, pieces
        try:
            shapes.execute(plan, stopping)
        except Interrupted:
            pieces += 1
            steps[0] = 0
        if pieces == before:
            break
    assert pieces == (whole - 1) // 3 >= 2
    one, other = (Store(home.home).folder(run.fingerprint) for home in (calm, hurt))
    for name in ("weights.safetensors", "embeddings.safetensors"):
        a, b = load_file(one / name), load_file(other / name)
        assert a.keys() == b.keys()
        assert [key for key in a if not torch.equal(a[key], b[key])] == []
    assert (one / "ranks.parquet").read_bytes() == (other / "ranks.parquet").read_bytes()
    assert history(one) == history(other)


def history(folder: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def hashes(state: dict[str, torch.Tensor]) -> dict[str, str]:
    """Return the sha256 of each tensor's bytes."""
    return {name: hashlib.sha256(t.contiguous().numpy().tobytes()).hexdigest() for name, t in state.items()}


@pytest.mark.parametrize("words", ["text-cnn, blocks: [1], width: 0.1", "text-rnn, hidden: 12"])
def test_stage_two_starts_from_exactly_the_weights_of_stage_one(
    shapes: Any, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    seen: list[tuple[str, dict[str, str], dict[str, str]]] = []

    def watched(task: Task) -> Trained:
        start = hashes(task.model.root.state_dict())
        trained = harness.train.train(task)
        seen.append((task.stage.name, start, hashes(task.model.root.state_dict())))
        return trained

    monkeypatch.setattr(harness.execute.run, "train", watched)
    workspace = replace(shapes.workspace, home=tmp_path / "home")
    path = registry(("text-cnn, blocks: [1], width: 0.1", words))
    plan = shapes.make(path, workspace, only={"variant": ["two"]})
    shapes.execute(plan, workspace)
    (one, first, trained), (two, start, tuned) = seen
    assert (one, two) == ("one", "two")
    assert start == trained
    # That holds for what the store handed over, and for the backbone that Stage I froze and did not store.
    store = Store(workspace.home)
    stored = hashes(load_file(store.folder(plan.runs[0].fingerprint) / "weights.safetensors"))
    assert stored == {name: start[name] for name in stored}
    frozen = {name for name in start if name.startswith("image.backbone.")}
    assert stored.keys() == start.keys() - frozen
    assert {name: first[name] for name in frozen} == {name: start[name] for name in frozen}
    # Each stage moved what it trains: the comparison above says something.
    names = {name for name in start if name.endswith("weight")}
    assert {n for n in names if first[n] == start[n]} == names & frozen
    convolutions = {name for name in names & frozen if ".conv" in name}
    assert len(convolutions) > 8
    assert {name for name in convolutions if start[name] == tuned[name]} == set()
    # And what it stores embeds as it did.
    assert restore(plan.runs[1].fingerprint, workspace, store, path.parent).result.epochs == 1


def test_a_run_of_another_stored_size_is_another_run(shapes: Any, registry: Registry) -> None:
    found = set()
    for setting in ("", "stored_scale: 1.5, ", "stored_scale: 2.0, ", "stored_scale: null, "):
        path = registry(("head: linear,", f"{setting}head: linear,"))
        found.add(shapes.make(path, shapes.workspace, only={"variant": ["two"]}).runs[-1].fingerprint)
    assert len(found) == 4
