"""A plan on a real Ray cluster on this machine: what the local executor gives, also where a worker is killed."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from harness.errors import InputError, Interrupted
from harness.execute import cluster
from harness.execute.cluster import drive
from harness.execute.cluster.connect import connected, device_on, threads_on
from harness.manifest import MANIFEST
from harness.store import Store

DIRECT = "direct: {experiment: direct}"
RETRAINED = (DIRECT, "direct: {experiment: direct, text.fault: killed later}")
FATAL = (DIRECT, "direct: {experiment: direct, text.fault: killed always}")
BROKEN = ("plain: {}", "plain: {text.fault: raises}")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What components write down on workers, which have the environment of the cluster's start."""
    return tmp_path_factory.mktemp("ray") / "toy.log"


@pytest.fixture(scope="module")
def running(toy_site: Path, log: Path) -> Iterator[Any]:
    """A cluster with two workers, as `harness run` starts it."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(toy_site))
        patch.setenv("TOY_LOG", str(log))
        for name in ("HARNESS_PLUGINS", "TOY_SLEEP", "RAY_ADDRESS"):
            patch.delenv(name, raising=False)
        with connected("", cpus=2) as ray:
            yield ray


@pytest.fixture
def at(toy: Any, log: Path, tmp_path: Path) -> Any:
    """Execute a plan of the toy on the cluster, in a store of its own."""

    def run(plan: Any, *, force: bool = False, fail_fast: bool = False, **fields: Any) -> Any:
        toy.home = tmp_path / "there"
        return cluster.execute(
            plan, toy.workspace(**fields), listener=toy.listener, force=force, fail_fast=fail_fast
        )

    log.unlink(missing_ok=True)
    return run


def events(log: Path, start: str) -> int:
    return sum(line.startswith(start) for line in log.read_text().splitlines())


def contents(home: Path, fingerprint: str) -> dict[str, Any]:
    """Return all that a run measured, to the bit; the ids in a safetensors header come in no order."""
    folder = Store(home).folder(fingerprint)
    manifest = json.loads((folder / MANIFEST).read_text())
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return {
        "ranks": manifest["files"]["ranks.parquet"],
        "history": [{key: value for key, value in row.items() if key != "seconds"} for row in history],
        **{
            f"{file} {name}": (tensor.shape, tensor.tobytes())
            for file in ("weights", "embeddings")
            for name, tensor in load_file(folder / f"{file}.safetensors").items()
        },
    }


@pytest.mark.filterwarnings("ignore")
def test_a_plan_gives_what_it_gives_here_though_a_worker_is_killed(
    toy: Any, running: Any, at: Any, log: Path, tmp_path: Path
) -> None:
    plan = toy.plan(RETRAINED)
    (tmp_path / "toy.log.killed").touch()  # here nothing is killed
    alone = toy.execute(plan)
    home = toy.home
    toy.listener.told.clear()
    there = at(plan)
    assert [(o.status, o.error) for o in there] == [("done", "")] * 4
    assert [o.cell.labels for o in there] == [cell.labels for cell in plan.cells]
    for one, other in zip(alone, there, strict=True):
        assert one.result.figures == other.result.figures
        assert one.result.val_rsum == other.result.val_rsum
        fingerprint = one.result.fingerprint
        assert contents(home, fingerprint) == contents(toy.home, fingerprint)
        assert Store(toy.home).damage(fingerprint) == []
    # Each once, the one whose worker was killed once more; the parent of `after` is shared.
    assert events(log, "training") == 4 + 1
    told = toy.listener.told
    assert sorted(event[1] for event in told if event[0] == "started") == [1, 2, 3, 4]
    assert sum(event[0] == "finished" for event in told) == 4
    lost = plan.cells[1].run.fingerprint
    assert ("note", f"run {lost} lost its worker; another goes on with it") in told
    assert ("note", "resumed in epoch 2 of 4") in told
    assert ("progress", "test", 1, 1) in told
    # Stored is stored, and forced is trained again, once.
    log.unlink()
    assert [o.status for o in at(plan)] == ["cached"] * 4
    assert not log.exists()


@pytest.mark.filterwarnings("ignore")
def test_failures_are_told_as_here_and_cost_children_alone(toy: Any, running: Any, at: Any) -> None:
    variants = ["plain", "closed", "after"]
    plan = toy.plan(
        BROKEN,
        ("after: {stage: two}", "after: {stage: two, text.fault: raises}"),
        only={"variant": variants},
    )
    alone = toy.execute(plan)
    there = at(plan)
    assert [(o.status, o.error, o.hint) for o in there] == [(o.status, o.error, o.hint) for o in alone]
    assert [o.status for o in there] == ["failed", "done", "failed"]
    assert there[0].error == "ZeroDivisionError: boom in forward"
    assert there[2].error.startswith("its parent run ")
    assert "harness_toy" in there[0].traceback.read_text()


@pytest.mark.filterwarnings("ignore")
def test_a_run_that_kills_each_worker_is_given_up_and_its_last_words_are_heard(
    toy: Any, running: Any, at: Any, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drive, "TIMES", 2)
    after = ("after: {stage: two}", "after: {stage: two, text.fault: raises}")
    plan = toy.plan(FATAL, after, only={"variant": ["direct", "after"]})
    given_up, child = at(plan)
    assert given_up.error == "it lost its worker 2 times"
    assert "lower the stage's batch" in given_up.hint
    # Ray would begin it again, as it does without end what it killed for want of memory.
    assert sum(event[0] == "started" for event in toy.listener.told) == 3
    assert events(log, "training") == 3
    # No cell wants the parent of `after`, so that a note in its last moment is all that is told of its failure.
    assert child.status == "failed"
    (note,) = [
        event[1] for event in toy.listener.told if event[0] == "note" and "boom in forward" in event[1]
    ]
    assert note.startswith(f"run {plan.cells[1].run.parent} failed: ZeroDivisionError: boom in forward")


@pytest.mark.filterwarnings("ignore")
def test_a_run_that_ray_gives_up_is_told_with_what_ray_says(toy: Any, running: Any) -> None:
    plan = toy.plan(matrix="one")
    watching = drive._Drive(running, plan, toy.workspace(), toy.listener, fail_fast=False)
    # A worker that dies before it can ask whether the run may begin: nobody has counted.
    dying = running.remote(lambda: os._exit(1)).options(max_retries=0)
    report = watching._report(dying.remote(), plan.runs[0])
    (outcome,) = report.outcomes
    assert outcome.status == "failed"
    assert outcome.error.startswith("Ray gave it up: ")
    assert "worker died" in outcome.error
    assert "times" not in outcome.error


@pytest.mark.filterwarnings("ignore")
def test_what_hangs_on_a_worker_is_ended_there_and_begun_no_second_time(
    toy: Any, running: Any, at: Any, log: Path
) -> None:
    hanging = (DIRECT, "direct: {experiment: direct, text.fault: hangs}")
    plan = toy.plan(hanging, only={"variant": ["direct", "closed"]})
    stalled, done = at(plan, stalled_after=3.0)
    assert (stalled.status, done.status) == ("failed", "done")
    assert stalled.error == "it stalled: nothing has moved for 3 seconds"
    assert "in _broken" in stalled.traceback.read_text()
    assert events(log, "training") == 2


@pytest.mark.filterwarnings("ignore")
def test_a_signal_and_a_demand_without_room_are_answered(toy: Any, running: Any, at: Any) -> None:
    plan = toy.plan(("epochs: 4, batch", "epochs: 100000, batch"), matrix="seeds")
    stop: list[int] = []
    toy.listener.at = lambda phase, done, total: stop.append(int(phase == "train"))
    with pytest.raises(Interrupted) as stopped:
        at(plan, stopping=lambda: signal.SIGTERM if any(stop) else 0)
    assert stopped.value.signal == signal.SIGTERM
    left = [Store(toy.home).work(run.fingerprint) / "checkpoint.pt" for run in plan.runs]
    assert any(path.is_file() for path in left)
    assert not any(Store(toy.home).finished(run.fingerprint) for run in plan.runs)
    with pytest.raises(Interrupted):
        at(plan, stopping=lambda: signal.SIGTERM)
    assert list((toy.home / "locks").glob("cluster-*")) == []
    with pytest.raises(
        InputError, match=r"a run asks for 4096 CPUs and 0 GPUs, and the largest node .* has \d"
    ):
        at(plan, threads=4096)
    with pytest.raises(InputError, match="asks for 1 CPUs and 64 GPUs"):
        at(plan, device="cuda", devices=64)
    with pytest.raises(InputError, match="Ray gives GPUs out"):
        device_on(running, "cuda:0", 1)
    assert device_on(running, "auto", 64) == "cpu"
    assert threads_on(running, "cpu", 1) == running.cluster_resources()["CPU"]
    # Nobody else gets in.
    assert running.nodes()[0]["NodeManagerAddress"] == "127.0.0.1"
    assert os.environ["RAY_AUTH_MODE"] == "token"


def test_ray_is_asked_for_by_name_where_it_is_missing(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    code, _, err = invoke("run", "--matrix", "one", "--executor", "ray", "--device", "cpu")
    assert code == 2
    assert "pip install 'retrieval-harness[ray]'" in err
    for arguments, message in (
        (("--executor", "rai"), "no executor 'rai'; did you mean 'ray'?"),
        (("--address", "auto"), "--address is of a Ray cluster"),
        (("--devices", "2", "--device", "cuda:1"), "--device cuda:1 is one device"),
        (("--devices", "2", "--compile", "inductor"), "works on one device only"),
        (("--devices", "64", "--device", "cuda"), "--devices asks for 64 GPUs"),
    ):
        code, _, err = invoke("run", "--matrix", "one", *arguments)
        assert code == 2
        assert message in err
