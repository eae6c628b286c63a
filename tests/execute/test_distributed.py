"""Several processes that share each batch: the gradients, weights and figures of one, and no process left hanging."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from harness.distributed.share import share_of
from harness.errors import Interrupted
from harness.execute.devices import forking
from harness.store import Store

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def test_shares_cover_a_batch_in_order_and_none_is_empty() -> None:
    for total in (1, 2, 3, 7, 8, 32):
        for size in (1, 2, 3, 8):
            shares = [share_of(total, rank, size) for rank in range(size)]
            rows = [row for share in shares for row in range(share.start, share.stop)]
            assert rows == list(range(total)) * (size if total < size else 1)
            assert all(0 < share.rows <= share.most for share in shares)
            assert max(share.rows for share in shares) - min(share.rows for share in shares) <= 1


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_of_a_shared_step_are_those_of_one_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, precision: str
) -> None:
    """W_share's, with its dropout; batch statistics; words and values that are dropped; mined captions; few rows."""
    monkeypatch.syspath_prepend(Path(__file__).parent / "team")
    from shared_steps import share, steps

    from harness.distributed import ALONE

    rows, size = (7, 5, 2), 3
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    context = forking()
    processes = [
        context.Process(target=share, args=(rank, size, tmp_path, rows, precision)) for rank in range(size)
    ]
    for process in processes:
        process.start()
    alone = steps(ALONE, rows, precision)
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    close = {"rtol": 0.05, "atol": 0.02} if precision == "bf16-mixed" else CLOSE
    for rank in range(size):
        for one, seen in zip(alone, torch.load(tmp_path / f"{rank}.pt", weights_only=True), strict=True):
            assert seen["terms"] == pytest.approx(one.terms, rel=close["rtol"])
            assert seen["gradients"]["loss.instance.weight"].abs().max() > 0.01
            assert seen["gradients"]["text.unused.weight"] is None
            torch.testing.assert_close(seen["gradients"], one.gradients, **close)
            torch.testing.assert_close(seen["buffers"], one.buffers, **close)


def weights(home: Path, fingerprint: str) -> dict[str, np.ndarray]:
    return load_file(Store(home).folder(fingerprint) / "weights.safetensors")


def assert_alike(one: Any, other: Any, home: Path, second: Path) -> None:
    """Hold two results of one run to each other."""
    assert one.figures == other.figures
    assert (one.best_epoch, one.epochs) == (other.best_epoch, other.epochs)
    own, theirs = weights(home, one.fingerprint), weights(second, one.fingerprint)
    assert own.keys() == theirs.keys()
    for name in own:
        np.testing.assert_allclose(own[name], theirs[name], err_msg=name, **CLOSE)


def test_a_plan_on_two_devices_gives_what_one_gives(toy: Any, tmp_path: Path) -> None:
    plan = toy.plan()
    alone = toy.execute(plan)
    home, toy.home = toy.home, tmp_path / "second"
    toy.listener.told.clear()
    shared = toy.execute(plan, devices=2)
    assert [(o.status, o.error) for o in shared] == [("done", "")] * 4
    for one, other in zip(alone, shared, strict=True):
        assert_alike(one.result, other.result, home, toy.home)
    # A closed form is found by one process.
    assert [o.result.provenance["devices"] for o in shared] == [2, 2, 1, 2]
    assert [o.result.provenance["devices"] for o in alone] == [1] * 4
    assert "2 processes" in shared[0].result.provenance["hardware"]
    told = [event for event in toy.listener.told if event[:2] == ("progress", "train")]
    assert told[0] == ("progress", "train", 3, 12)
    assert told[-1] == ("progress", "train", 6, 6)
    assert [o.status for o in toy.execute(plan)] == ["cached"] * 4
    assert multiprocessing.active_children() == []


def test_a_stopped_run_goes_on_with_another_number_of_devices(toy: Any, tmp_path: Path) -> None:
    plan = toy.plan(matrix="one")
    (alone,) = toy.execute(plan)
    home, toy.home = toy.home, tmp_path / "second"
    stop: list[int] = []
    toy.listener.at = lambda phase, done, total: stop.append(signal.SIGTERM) if phase == "train" else None
    with pytest.raises(Interrupted):
        toy.execute(plan, devices=2, stopping=lambda: int(bool(stop)) * signal.SIGTERM)
    assert (Store(toy.home).work(alone.result.fingerprint) / "checkpoint.pt").is_file()
    toy.listener.at = lambda *_: None
    (resumed,) = toy.execute(plan)
    assert any(event[0] == "note" and "resumed in epoch" in event[1] for event in toy.listener.told)
    assert_alike(alone.result, resumed.result, home, toy.home)


def test_a_killed_process_fails_its_cell_by_name_and_the_others_end(
    toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_SLEEP", "0.2")
    plan = toy.plan(matrix="seeds")
    killed: list[int] = []

    def kill(phase: str, done: int, total: int) -> None:
        if phase == "train" and not killed:
            second = max(multiprocessing.active_children(), key=lambda process: process.name)
            killed.append(second.pid or 0)
            os.kill(killed[0], signal.SIGKILL)

    toy.listener.at = kill
    first, second = toy.execute(plan, devices=2)
    assert (first.status, second.status) == ("failed", "done")
    assert first.error == "process 2 of the 2 that trained it was killed by SIGKILL"
    assert "lower the stage's batch or --devices" in first.hint
    assert multiprocessing.active_children() == []


def test_what_a_component_raises_in_another_process_is_told_as_here(toy: Any) -> None:
    plan = toy.plan(("plain: {}", "plain: {text.fault: raises}"), only={"variant": ["plain"]})
    (outcome,) = toy.execute(plan, devices=2)
    assert outcome.error == "ZeroDivisionError: boom in forward"
    story = outcome.traceback.read_text()
    assert "in another process:" in story
    assert "harness_toy/models.py" in story


def test_a_batch_must_have_an_image_for_each_device(toy: Any) -> None:
    plan = toy.plan(("batch: 6", "batch: 1"), matrix="one")
    (outcome,) = toy.execute(plan, devices=2)
    assert outcome.error == "a batch of 1 images cannot be shared by 2 devices"
    assert "--devices" in outcome.hint
