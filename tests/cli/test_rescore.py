"""`harness rescore`, `import` and `export` on the command line: what is printed, exit codes, JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.leaderboard import read_rows

Invoke = Callable[..., tuple[int, str, str]]


@pytest.fixture
def file(planted: Callable[..., str], command: Any, tmp_path: Path) -> Path:
    """Embeddings of the toy dataset as another code may have written them."""
    from harness_toy.data import Toys
    from safetensors.numpy import load_file

    planted("source", 0.8, images=32)
    home = Path(command.environment["HARNESS_HOME"])
    arrays = load_file(home / "runs" / "source" / "embeddings.safetensors")
    test = [record for record in Toys().annotations(None).records if record.split == "test"]
    ids = {
        "image_ids": [record.image for record in test],
        "text_ids": [f"{record.image}#{place}" for record in test for place in range(2)],
    }
    np.savez(
        tmp_path / "theirs.npz",
        **{name: array[::-1] for name, array in arrays.items()},
        **{name: each[::-1] for name, each in ids.items()},
    )
    return tmp_path / "theirs.npz"


def test_runs_are_rescored_and_damaged_ones_named(
    invoke: Invoke, planted: Callable[..., str], command: Any
) -> None:
    home = Path(command.environment["HARNESS_HOME"])
    for name in ("aaa", "bbb"):
        planted(name, 0.6, images=64)
    code, out, err = invoke("rescore", "-e", "five", "--dry-run")
    assert code == 0, err
    assert "2 of 2 runs rescored: 6 figures, 0 changed, 6 new, 0 gone. Nothing was stored." in out
    assert "five" not in json.loads((home / "runs" / "aaa" / "result.json").read_text())["figures"]
    code, out, err = invoke("rescore", "-e", "five", "--json")
    assert code == 0, err
    runs = json.loads(out)["runs"]
    assert [run["run"] for run in runs] == ["aaa", "bbb"]
    assert {figure["fate"] for run in runs for figure in run["figures"]} == {"new"}
    code, out, err = invoke("rescore")
    assert "2 of 2 runs rescored: 6 figures, 0 changed, 0 new, 0 gone." in out

    ranks = home / "runs" / "bbb" / "ranks.parquet"
    ranks.write_bytes(ranks.read_bytes()[:-1])
    code, out, err = invoke("rescore", "-e", "recall", "--set", "k=3", "--dataset", "toys")
    assert code == 1
    assert "1 of 2 runs rescored" in out
    assert "recall (k: 3).t2i.recall@3" in out
    assert f"{ranks} is missing or damaged" in err

    assert invoke("rescore", "-e", "nothing")[0] == 2
    assert invoke("rescore", "zzz")[0] == 2
    code, _, err = invoke("rescore", "--dataset", "toy")
    assert (code, "did you mean 'toys'" in err) == (2, True)
    assert invoke("rescore", "--dry-run", "--publish")[0] == 2
    assert invoke("rescore", "-e", "five", "--set", "k")[0] == 2


def test_an_import_is_scored_shown_compared_published_and_exported(
    invoke: Invoke, file: Path, command: Any, tmp_path: Path
) -> None:
    given = ("import", str(file), "--as", "Their [bold]method", "--dataset", "toys", "--source", "a paper")
    code, out, err = invoke(*given, "--dry-run")
    assert code == 0, err
    assert "Their [bold]method on toys" in out
    assert ": 8 images, 16 captions, passport " in out
    assert not (command.folder / "leaderboards").exists()
    code, out, err = invoke(*given, "--json", "--visual", "ViT")
    assert code == 0, err
    told = json.loads(out)
    assert set(told["figures"]) == {"recall"}
    (row,) = read_rows(command.folder / "leaderboards" / "results.jsonl")
    assert (row.matrix, row.title, row.source, row.fingerprint) == (
        "imported",
        "Their [bold]method",
        "a paper",
        told["run"],
    )
    assert str(tmp_path) not in row.command
    assert "theirs.npz" in row.command
    page = (command.folder / "leaderboards" / "dataset-toys.md").read_text(encoding="utf-8")
    assert "imported: a paper" in page
    assert invoke("leaderboard", "--check")[0] == 0

    code, out, err = invoke("show", told["run"])
    assert code == 0, err
    assert "Their [bold]method (ViT): embeddings of another code" in out
    # Another order of the rows is another file, and the same figures.
    with np.load(file) as stored:
        np.savez(tmp_path / "turned.npz", **{name: array[::-1] for name, array in stored.items()})
    turned = ("import", str(tmp_path / "turned.npz"), "--as", "Turned", "--dataset", "toys", "--json")
    code, out, err = invoke(*turned, "--no-leaderboard")
    assert code == 0, err
    other = json.loads(out)["run"]
    assert other != told["run"]
    code, out, err = invoke("compare", told["run"], other, "--json")
    assert code == 0, err
    assert json.loads(out)["test"]["difference"] == 0.0

    only = Path(command.environment["HARNESS_HOME"]) / "runs" / told["run"] / "ranks.parquet"
    ranks = ("import", str(only), "--as", "Ranks", "--dataset", "toys", "--json", "--no-leaderboard")
    code, out, err = invoke(*ranks)
    assert code == 0, err
    paired = json.loads(out)["run"]
    code, out, err = invoke("compare", told["run"], paired)
    assert code == 0, err
    assert "differ in their scores" in err
    assert f"only ranks were imported of {paired}: their scores are not known" in err
    assert "the same rank for every query" in out

    code, out, err = invoke("explain", told["run"], "--id", "test0", "--caption", "red")
    assert code == 2
    assert "its model is not here" in err

    code, out, err = invoke("export", told["run"], "--format", "model-card", "--to", str(tmp_path / "cards"))
    assert code == 0, err
    (card,) = (tmp_path / "cards").iterdir()
    assert "Their \\[bold\\]method" in card.read_text(encoding="utf-8")
    code, out, err = invoke(
        "export", "--all", "--format", "every-eval-ever", "--to", str(tmp_path / "e"), "--json"
    )
    assert code == 0, err
    records = [json.loads(Path(path).read_text(encoding="utf-8")) for path in json.loads(out)["files"]]
    assert {record["model_info"]["name"] for record in records} == {"Their [bold]method", "Turned", "Ranks"}
    assert "run source has no figures" in err
    for wrong in (
        ("export", "--format", "model-card", "--to", "x"),
        ("export", told["run"], "--format", "card", "--to", "x"),
        ("export", told["run"], "--all", "--format", "model-card", "--to", "x"),
        ("export", "--all", "--as", "name", "--format", "model-card", "--to", "x"),
    ):
        assert invoke(*wrong)[0] == 2

    ranks = Path(command.environment["HARNESS_HOME"]) / "runs" / told["run"] / "ranks.parquet"
    ranks.write_bytes(b"")
    code, out, err = invoke("export", told["run"], "--format", "model-card", "--to", str(tmp_path / "cards"))
    assert code == 0  # no file that it reads is damaged
    result = ranks.with_name("result.json")
    result.write_bytes(result.read_bytes() + b" ")
    code, out, err = invoke("export", told["run"], "--format", "model-card", "--to", str(tmp_path / "cards"))
    assert code == 1
    assert "result.json is missing or damaged" in err


def test_a_second_import_of_a_method_says_whose_row_it_takes(
    invoke: Invoke, file: Path, command: Any
) -> None:
    given = ("import", str(file), "--as", "M", "--dataset", "toys", "--json")
    first = json.loads(invoke(*given)[1])["run"]
    with np.load(file) as stored:
        arrays = dict(stored)
    np.savez(file, **{**arrays, "image": arrays["image"] + 0.1})
    code, out, err = invoke(*given)
    assert code == 0
    assert f"takes the place of that of run {first}" in err
    (row,) = read_rows(command.folder / "leaderboards" / "results.jsonl")
    assert row.fingerprint == json.loads(out)["run"]
    code, out, err = invoke(*given[:-1], "--no-leaderboard", "--seed", "4")
    assert code == 0
    assert len(read_rows(command.folder / "leaderboards" / "results.jsonl")) == 1
    arrays["image_ids"][0] = "none"
    np.savez(file, **arrays)
    code, out, err = invoke(*given)
    assert (code, out) == (2, "")
    assert "1 image id is unknown: 'none'" in err
