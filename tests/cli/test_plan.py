"""`harness plan`: the estimate that it prints, and how it is left out."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Invoke = Callable[..., tuple[int, str, str]]
PLAN = ("plan", "--threads", "1", "--device", "cpu", "--matrix")


def test_a_plan_tells_time_and_disk_before_anything_starts(invoke: Invoke, tmp_path: Path) -> None:
    code, out, err = invoke(*PLAN, "whole")
    assert code == 0, err
    assert not (tmp_path / "home").exists()
    assert "4 cells, 5 trainings naively, 4 distinct, 4 to do" in out
    assert "estimate for 4 of them: " in out
    assert "for cached features and images; sharing saves " in out
    assert "estimate of disk: " in out
    assert "from steps of 3 combinations measured now" in out
    rows = [line.split("│") for line in out.splitlines() if line.startswith("│")]
    times = {row[1].strip(): row[-2].strip() for row in rows}
    assert all(time.endswith(" s") for time in times.values())
    # What comes after another run tells that one's time, too.
    assert [label for label, time in times.items() if " + " in time] == ["after"]
    assert [line for line in err.splitlines() if line.startswith("measuring")] == [
        "measuring 1/3: variant=plain",
        "measuring 2/3: variant=direct",
        "measuring 3/3: variant=closed",
    ]
    assert re.search(
        r"^measured in [0-9.]+ s: model 3x, caches 3x, steps 3x, look at val \dx$", err, re.MULTILINE
    )


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_estimate_may_be_of_compiled_steps(invoke: Invoke, toy_log: Any) -> None:
    code, out, err = invoke(*PLAN, "one", "--compile", "eager")
    assert code == 0, err
    assert "from steps of 1 combinations measured now" in out
    assert invoke("run", *PLAN[1:], "seeds", "--seed", "0", "--compile", "eager")[0] == 0
    for compiled, source in (("eager", "stored"), ("", "measured")):
        told = json.loads(invoke(*PLAN, "seeds", "--compile", compiled, "--json")[1])["estimate"]
        assert [run["source"] for run in told["runs"].values()] == [source]


def test_a_busy_machine_is_said(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (99.0, 0.0, 0.0))
    assert "busy before (load 99.0 on " in invoke(*PLAN, "one")[2]
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 99.0, 99.0))
    assert "busy" not in invoke(*PLAN, "one")[2]


def test_fingerprints_are_not_folded(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.cli.console.out.width", 80)
    fingerprints = [run["fingerprint"] for run in json.loads(invoke(*PLAN, "whole", "--json")[1])["runs"]]
    code, out, _ = invoke(*PLAN, "whole")
    assert code == 0
    assert all(fingerprint in out for fingerprint in fingerprints)


def test_json_holds_the_numbers(invoke: Invoke, tmp_path: Path) -> None:
    code, out, _ = invoke(*PLAN, "whole", "--json")
    made = json.loads(out)
    assert code == 0
    told = made["estimate"]
    assert set(told["runs"]) == {run["fingerprint"] for run in made["runs"]}
    assert all(math.isfinite(run["seconds"]) and run["seconds"] > 0 for run in told["runs"].values())
    sums = {key: sum(run[key] for run in told["runs"].values()) for key in ("seconds", "feature_seconds")}
    assert told["seconds"] == pytest.approx(sum(sums.values()))
    assert told["needed_bytes"] > told["bytes"] > 0
    assert (told["unknown"], told["measured"], told["stored"]) == (0, 3, 0)

    assert invoke("run", *PLAN[1:], "seeds", "--seed", "0")[0] == 0
    told = json.loads(invoke(*PLAN, "seeds", "--json")[1])["estimate"]
    assert [run["source"] for run in told["runs"].values()] == ["stored"]
    assert (told["measured"], told["stored"]) == (0, 1)


def test_no_estimate_measures_nothing(invoke: Invoke, toy_log: Any) -> None:
    code, out, err = invoke(*PLAN, "whole", "--no-estimate")
    assert (code, err) == (0, "")
    assert "estimate" not in out
    assert "estimate" not in json.loads(invoke(*PLAN, "whole", "--no-estimate", "--json")[1])
    code, dry, _ = invoke("run", "--matrix", "whole", "--dry-run")
    assert (code, dry) == (0, out)
    assert toy_log.events() == []


def test_a_plan_that_is_stored_has_nothing_to_estimate(invoke: Invoke, toy_log: Any) -> None:
    assert invoke("run", *PLAN[1:], "one")[0] == 0
    toy_log.clear()
    code, out, err = invoke(*PLAN, "one")
    assert (code, err) == (0, "")
    assert "1 distinct, 0 to do" in out
    assert "estimate of" not in out
    assert toy_log.events() == []


def test_what_cannot_be_built_is_a_dash_with_its_reason(
    invoke: Invoke, toy_registry: Callable[..., Path]
) -> None:
    toy_registry(("direct: {experiment: direct}", "direct: {experiment: direct, text.fault: raises}"))
    code, out, err = invoke(*PLAN, "whole")
    assert code == 0
    (row,) = (line for line in out.splitlines() if line.startswith("│ direct"))
    assert row.split("│")[-2].strip() == "–"
    fingerprint = next(cell.strip() for cell in row.split("│") if len(cell.strip()) == 16)
    assert f"no estimate (–) for {fingerprint}: ZeroDivisionError: boom in forward" in err
    assert "estimate for 3 of them: " in out


def test_a_disk_that_will_not_do_is_said(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**6, 10**6 - 1000, 1000))
    code, out, err = invoke(*PLAN, "one")
    assert code == 0
    assert "0.0 MB are free" in out
    assert "will not do" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--device", "cudo"), "no device 'cudo'; did you mean 'cuda'"),
        (("--device", "cuda:99"), "device 'cuda:99' is not there"),
        (("--precision", "16"), "no precision '16'"),
        (("--threads", "0"), "--threads"),
    ],
)
def test_wrong_input_is_exit_code_2(
    invoke: Invoke, toy_log: Any, arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = invoke("plan", "--matrix", "one", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert toy_log.events() == []


def test_a_plugin_that_talks_does_not_disturb_json(invoke: Invoke, toy_registry: Callable[..., Path]) -> None:
    toy_registry(("words: {use: words}", "words: {use: words, fault: prints}"))
    code, out, err = invoke(*PLAN, "one", "--json")
    assert code == 0
    assert json.loads(out)["estimate"]["unknown"] == 0
    assert "a plugin talks" in err
