"""--registry and $HARNESS_REGISTRY: a file of one's own is read, and results land beside it; names are completed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Invoke = Callable[..., tuple[int, str, str]]
MINE = """\
version: 1
extends: registry/registry.yaml
losses: {mine: {use: contrast, scale: 2.0}}
stages: {mine: {like: one, losses: {mine: 1}, epochs: 1}}
matrices:
  mine: {experiment: toy, axes: {variant: {theirs: {stage.epochs: 1}, mine: {stage: mine, title: Mine}}}}
"""


@pytest.fixture
def mine(invoke: Invoke, tmp_path: Path) -> Path:
    """A registry beside the folder of the toy one."""
    file = tmp_path / "mine.yaml"
    file.write_text(MINE, encoding="utf-8")
    return file


def test_a_run_of_ones_own_registry_lands_beside_it(
    invoke: Invoke, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = invoke(
        "run", "--registry", str(mine), "--matrix", "mine", "--device", "cpu", "--threads", "1"
    )
    assert code == 0, err
    page = (tmp_path / "leaderboards" / "dataset-toys.md").read_text(encoding="utf-8")
    assert "**Mine**" in page
    assert "**Toy**" in page
    assert {file.name for file in (tmp_path / "leaderboards").glob("*.md")} == {
        "README.md",
        "dataset-toys.md",
    }
    index = (tmp_path / "leaderboards" / "README.md").read_text(encoding="utf-8")
    assert "published/README.md" not in index
    assert "```sh\nharness run --matrix mine\nharness leaderboard\n" in index
    assert not (tmp_path / "registry" / "leaderboards").exists()
    monkeypatch.setenv("HARNESS_REGISTRY", str(mine))
    assert invoke("leaderboard", "--check")[0] == 0
    assert "mine" in json.loads(invoke("list", "--json")[1])["matrices"]
    # The option is stronger than the environment.
    other = tmp_path / "registry" / "registry.yaml"
    assert "mine" not in json.loads(invoke("list", "--json", "--registry", str(other))[1])["matrices"]


def test_a_registry_that_is_not_there_or_broken_is_named(invoke: Invoke, mine: Path) -> None:
    code, out, err = invoke("plan", "--registry", "nowhere.yaml")
    assert (code, out) == (2, "")
    assert "nowhere.yaml: No such file" in err
    mine.write_text(MINE.replace("like: one", "like: oen"), encoding="utf-8")
    code, _, err = invoke("plan", "--registry", str(mine), "--matrix", "mine")
    assert code == 2
    assert f"{mine}:4: stages.mine.like: there is no 'oen' in stages; did you mean 'one'?" in err


def test_a_failed_cell_is_done_alone_with_the_same_registry(invoke: Invoke, mine: Path) -> None:
    mine.write_text(MINE.replace("{stage: mine,", "{text.fault: raises,"), encoding="utf-8")
    code, out, _ = invoke(
        "run", "--registry", str(mine), "--matrix", "mine", "--only", "variant=mine", "--json"
    )
    (cell,) = json.loads(out)["cells"]
    assert code == 1
    assert cell["alone"] == f"harness run --matrix mine --only=variant=mine --registry={mine}"


Complete = Callable[..., list[str]]


@pytest.fixture
def complete(command: Any) -> Complete:
    """Return what the shell gets for words of which the last is to be completed."""

    def complete(*words: str, **environment: str) -> list[str]:
        code, out, err = command(
            before="import atexit, sys\n"
            "sys.argv[0] = 'harness'\n"
            "heavy = ('torch', 'numpy', 'pandas', 'matplotlib', 'scipy', 'pyarrow')\n"
            "atexit.register(lambda: sys.stderr.write(' '.join(m for m in heavy if m in sys.modules)))",
            _HARNESS_COMPLETE="complete_bash",
            COMP_WORDS=" ".join(["harness", *words]),
            COMP_CWORD=str(len(words)),
            **environment,
        )
        assert (code, err) == (0, ""), "a completion is silent and loads nothing heavy"
        return out.split()

    return complete


def test_names_are_completed(complete: Complete, mine: Path, tmp_path: Path) -> None:
    (tmp_path / "home" / "data" / "photos").mkdir(parents=True)
    (tmp_path / "home" / "data" / "photos" / "manifest.json").write_text("{}")
    for run in ("abc1", "abd2"):
        (tmp_path / "home" / "runs" / run).mkdir(parents=True)
        (tmp_path / "home" / "runs" / run / "manifest.json").write_text("{}")
    assert complete("run", "--matrix", "o") == ["one"]
    assert complete("run", "--registry", str(mine), "--matrix", "m") == ["mine"]
    assert complete("plan", "--dataset", "t") == ["toys", "twisted"]
    assert complete("plan", "--dataset", "p") == ["photos"]
    assert complete("show", "ab") == ["abc1", "abd2"]
    assert complete("rescore", "--evaluator", "r") == ["recall", "raising"]
    assert complete("data", "prepare", "l") == ["listed"]
    assert complete("data", "verify", "p") == ["photos"]
    assert complete("plan", "--registry", str(mine), "--matrix", "mine", "--only", "variant=") == [
        "variant=theirs",
        "variant=mine",
    ]
    assert complete("plan", "--matrix", "absent", "--only", "v") == []
    assert complete("bench", "train", "--profile", "n") == ["none"]
    assert complete("plugin", "new", "x", "--kind", "e") == ["encoder", "evaluator"]
    assert complete("plugin", "new", "x", "--modality", "") == ["image", "text"]
    assert complete("plugin", "check", "retrieval-harness-rec") == ["retrieval-harness-recall"]


def test_a_broken_registry_completes_nothing_and_says_nothing(complete: Complete, mine: Path) -> None:
    mine.write_text("version: [", encoding="utf-8")
    assert complete("run", "--registry", str(mine), "--matrix", "m") == []
    assert complete("run", "--registry", str(mine.parent / "none.yaml"), "--dataset", "t") == []
