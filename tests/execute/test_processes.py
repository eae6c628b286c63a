"""Real processes, really killed: what they leave is taken up, and nothing is done twice."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

STEPS = 4 * 3  # epochs, batches of 6 of the 16 training images
OFTEN = "import harness.train; harness.train.CHECKPOINT_SECONDS = 0.0"
RUN = ("run", "--matrix", "one", "--threads", "1", "--device", "cpu", "--json")


def wait(process: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
    """Wait until a process has come so far."""
    end = time.monotonic() + 120
    while not reached():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


def contents(folder: Path) -> list[Any]:
    """Ranks, embeddings and weights; the ids in a safetensors header come in no order."""
    tensors = [load_file(folder / f"{name}.safetensors") for name in ("embeddings", "weights")]
    return [
        (folder / "ranks.parquet").read_bytes(),
        *({k: v.tobytes() for k, v in t.items()} for t in tensors),
    ]


def test_killed_and_stopped_runs_end_as_an_undisturbed_one(
    command: Any, toy_log: Any, tmp_path: Path
) -> None:
    code, out, err = command(*RUN, "--home", str(tmp_path / "calm"))
    assert code == 0, err
    fingerprint = json.loads(out)["cells"][0]["fingerprint"]
    toy_log.clear()
    steps, repeated = 0, 0
    for number, before, expected in (
        (signal.SIGKILL, OFTEN, -signal.SIGKILL),
        (signal.SIGTERM, "", 128 + signal.SIGTERM),
        (signal.SIGINT, "", 128 + signal.SIGINT),
    ):
        process = command.start(*RUN, before=before, TOY_SLEEP="0.15")
        wait(process, lambda: len(toy_log.events("step")) >= steps + 3)  # noqa: B023 - called in this pass
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert process.returncode == expected, err
        assert out == ""
        if number != signal.SIGKILL:
            assert "the same command goes on" in err
        else:
            repeated = 1  # the step under way, or the one whose checkpoint was
        steps = len(toy_log.events("step"))
        assert (tmp_path / "home" / "work" / fingerprint / "checkpoint.pt").is_file()
        assert not (tmp_path / "home" / "runs" / fingerprint).exists()
    code, out, err = command(*RUN)
    assert code == 0, err
    assert "waiting for" not in err  # the lock of a dead process is free
    assert json.loads(out)["cells"][0]["status"] == "done"
    assert STEPS <= len(toy_log.events("step")) <= STEPS + repeated
    assert contents(tmp_path / "home/runs" / fingerprint) == contents(tmp_path / "calm/runs" / fingerprint)
    assert not (tmp_path / "home" / "work" / fingerprint).exists()


def test_a_second_signal_ends_at_once(command: Any, toy_log: Any) -> None:
    """Of whatever it is doing: the step that it is in would take longer than anybody waits for it here."""
    process = command.start(*RUN, TOY_SLEEP="600")
    try:
        wait(process, lambda: len(toy_log.events("step")) >= 1)
        process.send_signal(signal.SIGINT)
        assert any("once more to stop at once" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert len(toy_log.events("step")) == 1


def test_two_processes_on_one_matrix_train_each_run_once(command: Any, toy_log: Any, tmp_path: Path) -> None:
    arguments = ("run", "--matrix", "seeds", "--threads", "1", "--device", "cpu", "--json")
    both = [command.start(*arguments, TOY_SLEEP="0.05") for _ in range(2)]
    ended = [process.communicate(timeout=180) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert len(toy_log.events("training")) == 2
    assert len(toy_log.events("step")) == 2 * STEPS
    cells = [json.loads(out)["cells"] for out, _ in ended]
    assert [cell["figures"] for cell in cells[0]] == [cell["figures"] for cell in cells[1]]
    assert sorted(cell["status"] for two in cells for cell in two) == ["cached", "cached", "done", "done"]
    assert sum(int(event.split()[1]) for event in toy_log.events("compute")) == 16 + 8 + 8


def test_the_folder_that_a_killed_process_left_is_cleared(command: Any, toy_log: Any, tmp_path: Path) -> None:
    runs = tmp_path / "home" / "runs"
    before = "import os, harness.store\nharness.store.seal = lambda *_: os.kill(os.getpid(), 9)"
    assert command(*RUN, before=before)[0] == -signal.SIGKILL
    (left,) = runs.iterdir()
    assert left.name.startswith(".")
    code, out, err = command(*RUN)
    assert code == 0, err
    assert [path.name for path in runs.iterdir()] == [json.loads(out)["cells"][0]["fingerprint"]]
