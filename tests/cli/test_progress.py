"""What a person reads while several runs are at work."""

from __future__ import annotations

from typing import Any

import pytest

from harness.cli.progress import Watcher
from harness.execute import Outcome


def test_a_line_names_its_own_run_though_another_started_since(
    toy: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    plan = toy.plan(matrix="seeds")
    with Watcher() as watcher:
        for number, (run, cell) in enumerate(zip(plan.runs, plan.cells, strict=True), start=1):
            watcher.started(number, 2, run, cell)
        watcher.turn(plan.runs[0])
        watcher.spoken = 0.0
        watcher.progress("train", 3, 12, "epoch 1/4")
        watcher.finished(Outcome(cell=plan.cells[0], status="failed", error="no"))
    err = capfd.readouterr().err
    assert "[1/2] seed=0  train 3/12  epoch 1/4" in err
    assert "[1/2] seed=0  FAILED: no" in err
    assert "[2/2]" not in err
