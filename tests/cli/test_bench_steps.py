"""`harness bench train` and `harness bench embedding`: figures, what is kept, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.execute.efficiency import MEASURED
from harness.execute.republish import refreshed
from harness.leaderboard import read_rows
from harness.store import Store

Invoke = Callable[..., tuple[int, str, str]]
QUICK = ("--rounds", "2", "--seconds", "0", "--threads", "1", "--device", "cpu")
REGISTRY = """\
version: 1
datasets: {drawn: {use: shapes, images: 160, size: 64}}
encoders:
  image: {use: timm, backbone: test_resnet, weights: null, head: linear}
  words: {use: text-cnn, blocks: [1], width: 0.125, embedding_dim: 6, length: 8}
losses:
  instance: {use: instance}
  ranking: {use: ranking, negatives: mined, candidates: 6}
evaluators: {recall: {use: recall}}
stages: {two: {losses: {instance: 1, ranking: 1}, epochs: 1, batch: 6}}
experiments:
  whole: {dataset: drawn, image: image, text: words, dim: 5, stage: two, evaluators: [recall]}
"""


@pytest.fixture
def train(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Run the command beside the registry above, with the real plugins."""
    (tmp_path / "registry.yaml").write_text(REGISTRY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_PLUGINS", "dualpath,shapes,recall")
    named = ("--experiment", "whole", "--profile", "none", "--images", "13")
    return lambda *arguments: invoke("bench", "train", *named, *QUICK, *arguments)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_whole_steps_stand_beside_the_bare_encoder(train: Any, precision: str) -> None:
    code, out, err = train("--json", "--precision", precision)
    assert code == 0, err
    report = json.loads(out)
    (group,) = report["groups"]
    assert report["section"] == "train-whole-two"
    assert f"batches of 6, precision {precision};" in report["about"]
    # Of 13 images two batches of six are full.
    assert (group["unit"], group["amount"]) == ("images", 12)
    assert [timed["name"] for timed in group["timed"]] == [
        "whole steps",
        "bare image encoder",
        "reading batches",
    ]
    assert all(len(timed["seconds"]) == 2 and min(timed["seconds"]) > 0 for timed in group["timed"])
    share = report["figures"][0]
    seconds = {timed["name"]: timed["seconds"] for timed in group["timed"]}
    quotients = [
        bare / whole
        for bare, whole in zip(seconds["bare image encoder"], seconds["whole steps"], strict=True)
    ]
    assert share["ratio"]["median"] == pytest.approx(sum(quotients) / 2)
    assert share["reached"] is None  # a goal for a GPU
    assert float(group["facts"][0]["value"]) > 0


def test_a_stage_that_is_not_there_is_named(train: Any) -> None:
    code, out, err = train("--stage", "tow")
    assert (code, out) == (2, "")
    assert "tow" in err
    assert "two" in err


@pytest.fixture
def runs(invoke: Invoke) -> dict[str, str]:
    """Fingerprints of the toy runs, by their label."""
    code, out, err = invoke("run", "--threads", "1", "--device", "cpu", "--matrix", "whole", "--json")
    assert code == 0, err
    return {cell["labels"]["variant"]: cell["fingerprint"] for cell in json.loads(out)["cells"]}


def test_stored_runs_are_measured_again_and_nothing_else_of_them_changes(
    invoke: Invoke, runs: dict[str, str], command: Any
) -> None:
    store = Store(Path(command.environment["HARNESS_HOME"]))
    before = {name: store.result(name) for name in runs.values()}
    committed = read_rows(Path(__file__).parents[2] / "leaderboards" / "results.jsonl")[0]
    measure = ("bench", "embedding", "--threads", "1", "--device", "cpu", "--json")
    code, out, err = invoke(*measure, runs["plain"][:8])
    assert code == 0, err
    (told,) = json.loads(out)["runs"]
    assert told["run"] == runs["plain"]
    assert set(told) == {"run", "dataset", *MEASURED}
    assert store.result(runs["plain"]) == before[runs["plain"]]
    code, out, err = invoke(*measure, "--publish")
    assert code == 0, err
    measured = {entry.pop("run"): entry for entry in json.loads(out)["runs"]}
    assert set(measured) == set(before)
    for name, result in before.items():
        after = store.result(name)
        assert {key: after.cost[key] for key in MEASURED} == {key: measured[name][key] for key in MEASURED}
        assert {k: v for k, v in after.cost.items() if k not in MEASURED} == {
            k: v for k, v in result.cost.items() if k not in MEASURED
        }
        assert (after.figures, after.provenance) == (result.figures, result.provenance)
        assert store.damage(name) == []
        row = refreshed(replace(committed, efficiency={"image_flops": -1.0, "other": 2.0}), after)
        assert (row.efficiency["image_flops"], row.efficiency["other"]) == (after.cost["image_flops"], 2.0)


def test_speeds_of_another_machine_are_not_stored(invoke: Invoke, runs: dict[str, str], command: Any) -> None:
    store = Store(Path(command.environment["HARNESS_HOME"]))
    before = store.result(runs["plain"])
    code, _, err = invoke(
        "bench", "embedding", runs["plain"], "--threads", "2", "--device", "cpu", "--publish"
    )
    assert code == 1
    assert "2 threads" in err
    assert "A row names one machine" in err
    assert store.result(runs["plain"]) == before
