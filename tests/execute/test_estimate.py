"""What is estimated before anything starts: every run once, bytes as they come out, nothing written."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from harness.execute.costs import Cost, cost_key, known_costs
from harness.execute.estimate import Estimate, estimate
from harness.execute.measure import Bench
from harness.manifest import seal
from harness.registry import Stage
from harness.store import Store

ASKING = ("contrast: {use: contrast}", "contrast: {use: asking}")
DISK = 0.05
"""Share by which the estimate of disk may miss what is written."""


def stored_bytes(home: Path, fingerprint: str) -> int:
    return sum(path.stat().st_size for path in (home / "runs" / fingerprint).iterdir())


def cached_bytes(home: Path) -> int:
    """Return the bytes of features and decoded images."""
    caches = (home / "features", home / "decoded")
    return sum(path.stat().st_size for cache in caches for path in cache.glob("*/*.safetensors"))


@pytest.fixture
def guess(toy: Any) -> Callable[..., tuple[Estimate, list[str]]]:
    """Estimate a plan; returns it with the runs that were measured."""

    def make(plan: Any, **fields: Any) -> tuple[Estimate, list[str]]:
        told: list[str] = []
        found = estimate(
            plan, toy.workspace(**fields), lambda number, total, run: told.append(run.fingerprint)
        )
        return found, told

    return make


def test_every_run_has_finite_seconds_and_nothing_is_stored(toy: Any, guess: Any, tmp_path: Path) -> None:
    plan = toy.plan()
    found, told = guess(plan)
    assert list(found.runs) == [run.fingerprint for run in plan.runs]
    # Stage two is stage one again, for fewer epochs.
    assert told == list(found.runs)[:3]
    for run in found.runs.values():
        assert run.source == "measured"
        assert run.reason == ""
        assert math.isfinite(run.seconds)
        assert run.seconds > 0
        assert run.bytes > 0
    assert (found.measured, found.stored, found.unknown) == (3, 0, 0)
    assert 0 < found.feature_seconds < found.seconds < 600
    assert found.needed_bytes > found.bytes
    assert found.free_bytes > 10**6
    assert not toy.home.exists()


def test_runs_that_differ_in_seed_and_schedule_share_a_measurement(
    toy: Any, toy_log: Any, guess: Any
) -> None:
    axes = "axes: {seed: [0, 1], variant: {a: {}, b: {stage.epochs: 40}, c: {stage.lr: 0.2}, d: {stage.batch: 5}}}"
    found, told = guess(toy.plan(("axes: {seed: [0, 1]}", axes), matrix="seeds"))
    assert len(found.runs) == 8
    assert len(told) == found.measured == 2
    assert len(toy_log.events("training")) == 2
    by_epochs = {
        run.stage.epochs: found.runs[run.fingerprint].seconds
        for run in toy.plan(("axes: {seed: [0, 1]}", axes), matrix="seeds", only={"variant": ["a", "b"]}).runs
    }
    assert by_epochs[40] > by_epochs[4]


def test_what_runs_share_is_measured_once(toy: Any, toy_log: Any, guess: Any) -> None:
    axes = (
        "axes: {variant: {a: {}, b: {stage.batch: 5}, c: {text.fault: none}, d: {loss.contrast.scale: 4.0}}}"
    )
    told: list[str] = []
    plan = toy.plan(("axes: {seed: [0, 1]}", axes), matrix="seeds")
    found = estimate(plan, toy.workspace(), lambda *_: None, told.append)
    assert found.measured == 4
    assert Counter(told) == {"model": 4, "caches": 4, "steps": 4, "look at val": 2}
    # The first is a look at val by words of a size that two others have.
    assert told[:4] == ["model", "caches", "steps", "look at val"]
    assert len(toy_log.events("training")) == 4


def test_features_are_made_up_where_only_time_is_asked(toy: Any, toy_log: Any, guess: Any) -> None:
    guess(toy.plan(matrix="one", limit=12))
    # Those that tell what filling the cache takes, and one batch before.
    assert sum(int(event.split()[1]) for event in toy_log.events("compute")) == 1 + 12


def test_finished_runs_that_were_compiled_tell_of_those_alone(toy: Any, guess: Any) -> None:
    toy.execute(toy.plan(matrix="seeds", only={"seed": ["0"]}))
    plan = toy.plan(matrix="seeds")
    assert guess(plan)[1] == []
    assert guess(plan, compile="eager")[1] == [plan.runs[1].fingerprint]


@pytest.mark.parametrize("freeze", ["image.backbone.*", "image.*"])
def test_what_is_foreseen_to_be_stored_is_stored(shapes: Any, tmp_path: Path, freeze: str) -> None:
    """Frozen whole, the image path still moves the statistics of its head, which a run stores."""
    text = (shapes.folder / "registry.yaml").read_text(encoding="utf-8")
    registry = tmp_path / "registry.yaml"
    registry.write_text(
        text.replace("freeze: [image.backbone.*], epochs: 1", f"freeze: [{freeze}], epochs: 1"),
        encoding="utf-8",
    )
    workspace = replace(shapes.workspace, home=tmp_path / "home")
    plan = shapes.make(registry, workspace, only={"variant": ["one"]})
    measured = Bench(workspace, tmp_path / "bench", lambda part: None).measure(plan.runs[0])
    shapes.execute(plan, workspace)
    (folder,) = (workspace.home / "runs").iterdir()
    with safe_open(folder / "weights.safetensors", framework="numpy") as file:
        assert set(file.keys()) == measured.sizes.keys() - measured.spared


def test_features_are_counted_once_and_no_more_when_they_are_cached(
    toy: Any, toy_log: Any, guess: Any
) -> None:
    # Three runs on one frozen backbone: the first pays.
    plan = toy.plan()
    paying = [run.feature_bytes > 0 for run in guess(plan)[0].runs.values()]
    assert paying == [True, False, False, False]
    toy.execute(toy.plan(matrix="one"))
    rest = guess(plan)[0]
    assert rest.feature_seconds == 0
    assert rest.bytes == sum(run.bytes for run in rest.runs.values())
    assert len(rest.runs) == 3


def test_features_that_a_loss_asks_for_are_made_up_and_counted(toy: Any, toy_log: Any, guess: Any) -> None:
    pixels = ("freeze: [image.backbone.*], epochs: 4", "freeze: [], epochs: 4")
    plan = toy.plan(ASKING, pixels, matrix="one", limit=12)
    found, _ = guess(plan)
    (run,) = found.runs.values()
    assert run.reason == ""
    assert run.feature_bytes > 12 * 12 * 4
    toy_log.clear()
    toy.execute(plan)
    assert cached_bytes(toy.home) == pytest.approx(run.feature_bytes, rel=DISK)


def test_bytes_are_those_that_a_run_writes(toy: Any, guess: Any) -> None:
    plan = toy.plan()
    found, _ = guess(plan)
    toy.execute(plan)
    for fingerprint, run in found.runs.items():
        # The toys' texts outweigh their numbers.
        assert run.bytes == pytest.approx(stored_bytes(toy.home, fingerprint), rel=0.3)
    features = sum(run.feature_bytes for run in found.runs.values())
    assert features == pytest.approx(cached_bytes(toy.home), rel=0.1)


def test_bytes_of_the_real_methods_are_those_that_they_write(shapes: Any) -> None:
    home = shapes.workspace.home
    assert [path.name for path in shapes.left] == ["registry.yaml"]
    assert set(shapes.before.runs) == set(shapes.runs.values())
    for fingerprint, run in shapes.before.runs.items():
        assert run.seconds > 0
        written = stored_bytes(home, fingerprint)
        assert run.bytes == pytest.approx(written, rel=DISK, abs=6000), shapes.runs
    features = sum(run.feature_bytes for run in shapes.before.runs.values())
    assert features == pytest.approx(cached_bytes(home), rel=DISK)


def test_a_child_stores_what_its_parent_did(toy: Any, guess: Any) -> None:
    # The parent trains the backbone and stores it; the child freezes it, and stores it again.
    changes = (
        (
            "one: {losses: {contrast: 1}, freeze: [image.backbone.*]",
            "one: {losses: {contrast: 1}, freeze: []",
        ),
        ("two: {like: one, after: one,", "two: {like: one, freeze: [image.backbone.*], after: one,"),
    )
    plan = toy.plan(*changes, only={"variant": ["after"]})
    alone = toy.plan(only={"variant": ["plain"]})
    found, _ = guess(plan)
    backbone = 48 * 12 * 4
    parent, child = found.runs.values()
    assert abs(child.bytes - parent.bytes) < 1000
    assert next(iter(guess(alone)[0].runs.values())).bytes < child.bytes - backbone // 2
    toy.execute(toy.plan(*changes, only={"variant": ["plain"]}))
    (later,) = guess(plan)[0].runs.values()
    assert later.bytes == child.bytes
    toy.execute(plan)
    assert stored_bytes(toy.home, plan.runs[1].fingerprint) == pytest.approx(child.bytes, rel=0.3)


def test_what_sharing_saves_is_what_cells_have_in_common(toy: Any, guess: Any) -> None:
    plan = toy.plan()
    found, _ = guess(plan)
    # Cells `plain` and `after` both stand on the run of stage one.
    assert plan.summary.naive - plan.summary.distinct == 1
    assert found.shared_seconds == found.runs[plan.cells[0].run.fingerprint].seconds


def test_finished_runs_tell_what_they_took(toy: Any, toy_log: Any, guess: Any) -> None:
    plan = toy.plan(matrix="seeds")
    toy.execute(toy.plan(matrix="seeds", only={"seed": ["0"]}))
    toy_log.clear()
    found, told = guess(plan)
    assert told == []
    assert toy_log.events() == []
    assert (found.measured, found.stored) == (0, 1)
    ((fingerprint, run),) = found.runs.items()
    assert run.source == "stored"
    done = Store(toy.home).result(plan.runs[0].fingerprint)
    spent = sum(done.cost[name] for name in ("prepare_seconds", "train_seconds", "test_seconds"))
    assert 0.2 * spent < run.seconds < 5 * spent
    toy.execute(plan)
    assert run.bytes == pytest.approx(stored_bytes(toy.home, fingerprint), rel=DISK)
    # With other threads, or of another shape, they tell nothing.
    more = toy.plan(("axes: {seed: [0, 1]}", "axes: {seed: [2]}"), matrix="seeds")
    assert len(guess(more, threads=2)[1]) == 1
    assert len(guess(toy.plan(matrix="seeds", limit=8))[1]) == 1
    assert guess(more)[1] == []


def test_a_finished_run_that_is_damaged_is_measured_anew(toy: Any, guess: Any) -> None:
    toy.execute(toy.plan(matrix="seeds", only={"seed": ["0"]}))
    (history,) = toy.home.glob("runs/*/history.jsonl")
    history.write_text("{}")
    found, told = guess(toy.plan(matrix="seeds"))
    assert (len(told), found.stored) == (1, 0)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("raises", "ZeroDivisionError: boom in forward"),
        ("exits", "SystemExit: 0"),
        ("nan", "loss contrast is nan"),
        ("lengths", "tensors of different shapes"),
    ],
)
def test_what_cannot_be_measured_has_a_reason_and_costs_no_other(
    toy: Any, guess: Any, fault: str, reason: str
) -> None:
    plan = toy.plan(("plain: {}", f"plain: {{text.fault: {fault}}}"))
    found, _ = guess(plan)
    broken = found.runs[plan.cells[0].run.fingerprint]
    assert broken.seconds is None
    assert broken.source == "none"
    assert reason in broken.reason
    assert found.unknown == 1
    assert (found.measured, len(found.runs)) == (3, 5)
    assert found.seconds == sum(r.seconds + r.feature_seconds for r in found.runs.values() if r.seconds)


def test_a_plan_that_is_stored_takes_nothing(toy: Any, guess: Any) -> None:
    plan = toy.plan(matrix="one")
    toy.execute(plan)
    found, told = guess(plan)
    assert (found.runs, told, found.seconds, found.bytes, found.needed_bytes) == ({}, [], 0, 0, 0)


@pytest.mark.parametrize(
    ("epochs", "every", "seconds"),
    [(4, 1, 100 + 4 * 10 + 4 * 1 + 0.1), (5, 2, 100 + 5 * 10 + 3 * 1 + 0.1), (0, 3, 100 + 10 + 1 + 0.1)],
)
def test_a_schedule_is_epochs_and_looks_at_val(epochs: int, every: int, seconds: float) -> None:
    cost = Cost(prepare=100, epoch=10, evaluation=1, test=0.1)
    stage = Stage(name="s", losses={"a": 1.0}, epochs=epochs, evaluate_every=every)
    assert cost.seconds(stage) == pytest.approx(seconds)


def test_an_epoch_is_told_from_its_look_at_val(toy: Any) -> None:
    plan = toy.plan(matrix="one")
    toy.execute(plan)
    store, workspace = Store(toy.home), toy.workspace()
    key = cost_key(plan.runs[0].as_dict())
    folder = store.folder(plan.runs[0].fingerprint)
    rows = [{"epoch": k, "seconds": 10.0 * k + 3.0 * (k // 2)} for k in range(1, 7)]
    for row in rows[1::2]:
        row["val.rsum"] = 1.0
    rewrite(folder, rows)
    cost = known_costs(store, workspace, {key})[key].cost
    assert (cost.epoch, cost.evaluation) == (10.0, 3.0)
    # A look at val after every epoch: the test split's time stands in for it.
    rewrite(folder, [{"epoch": k, "seconds": 13.0 * k, "val.rsum": 1.0} for k in range(1, 4)])
    cost = known_costs(store, workspace, {key})[key].cost
    assert cost.epoch + cost.evaluation == pytest.approx(13.0)
    assert cost.evaluation == pytest.approx(cost.test)
    assert known_costs(store, workspace, {"another"}) == {}


def rewrite(folder: Path, rows: list[dict[str, float]]) -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "history.jsonl").write_text(text, encoding="utf-8")
    seal(folder, {})


def test_the_address_of_a_cost_holds_what_determines_it(toy: Any) -> None:
    def key(*changes: tuple[str, str], **options: Any) -> str:
        return cost_key(toy.plan(*changes, matrix="one", **options).runs[0].as_dict())

    own = key()
    stage = "one: {losses: {contrast: 1}, freeze: [image.backbone.*], epochs: 4, batch: 6, lr: 0.1}"
    for old, new in (
        (stage, stage.replace("epochs: 4", "epochs: 9")),
        (stage, stage.replace("lr: 0.1", "lr: 0.2, evaluate_every: 3, weight_decay: 0.1")),
        (stage, stage.replace("contrast: 1", "contrast: 3")),
        ("axes: {seed: [0]}", "axes: {seed: [5]}"),
        ("words: {use: words}", "words: {use: words, title: Other}"),
    ):
        assert key((old, new)) == own
    others = [
        key((stage, stage.replace("batch: 6", "batch: 7"))),
        key((stage, stage.replace("freeze: [image.backbone.*], ", ""))),
        key((stage, stage.replace("lr: 0.1", "lr: 0.1, optimizer: adamw"))),
        key((stage, stage.replace("lr: 0.1", "lr: 0.1, clip: 1.0"))),
        key((stage, stage.replace("lr: 0.1", "lr: 0.1, views: 2"))),
        key(("dim: 8", "dim: 9")),
        key(("contrast: {use: contrast}", "contrast: {use: contrast, scale: 4.0}")),
        key(("frozen: {use: frozen}", "frozen: {use: frozen, drift: x}")),
        key(limit=8),
        key(precision="bf16-mixed"),
    ]
    assert len({own, *others}) == len(others) + 1
