"""`harness leaderboard export`: the figures of the page in another form, anywhere but among the tables."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from harness.cli import main
from harness.leaderboard import render

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Return what runs the command beside a copy of the committed tables: exit code, standard output and error."""
    shutil.copy(ROOT / "registry.yaml", tmp_path)
    boards = tmp_path / "leaderboards"
    shutil.copytree(ROOT / "leaderboards" / "published", boards / "published")
    (boards / "results.jsonl").write_bytes((ROOT / "leaderboards" / "results.jsonl").read_bytes())
    monkeypatch.chdir(tmp_path)

    def command(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["harness", "leaderboard", *words])
        with pytest.raises(SystemExit) as end:
            main()
        return (int(end.value.code or 0), *capfd.readouterr())

    return command


def test_figures_are_those_of_the_page(run: Run, tmp_path: Path) -> None:
    code, _, err = run("export", "flickr30k", "--output", "out/flickr30k.csv")
    assert code == 0, err
    frame = pd.read_csv(tmp_path / "out" / "flickr30k.csv")
    code, _, err = run("export", "shapes", "--output", "shapes.json")
    assert code == 0, err
    shapes = json.loads((tmp_path / "shapes.json").read_text(encoding="ascii"))["rows"]
    pages = render(tmp_path / "leaderboards")
    for page, records in (("flickr30k.md", frame.to_dict("records")), ("shapes.md", shapes)):
        table = pages[page].split("\n\n")[3]
        lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.split("\n")[2:]]
        assert len(lines) == len(records) > 20
        for cells, record in zip(lines, records, strict=True):
            found = [
                record[f"{side}_{name}"] for side in ("i2t", "t2i") for name in ("r1", "r5", "r10", "medr")
            ]
            for cell, figure in zip(cells[3:11], found, strict=True):
                if re.match(r"\d", cell):
                    assert float(re.sub(r"[^\d.]", "", cell)) == pytest.approx(figure, abs=0.0501)
                else:
                    assert figure is None or figure != figure
            mean, _, spread = cells[11].partition(" ± ")
            if re.match(r"\d", mean):
                assert float(re.sub(r"[^\d.]", "", mean)) == pytest.approx(record["rsum"], abs=0.0501)
            if spread:
                assert float(spread) == pytest.approx(record["rsum_std"], abs=0.0501)
                assert record["seeds"] > 1
            assert record["kind"] == ("measured" if cells[0].startswith("**") else "published")


def test_the_ending_names_the_form_and_no_file_is_standard_output(run: Run, tmp_path: Path) -> None:
    code, csv, err = run("export", "mscoco-5k")
    assert (code, err) == (0, "")
    assert csv.startswith("kind,method,visual,textual,i2t_r1,i2t_r1_std,")
    for name, begin in (("a.html", "<!DOCTYPE html>"), ("a.TEX", "% MSCOCO 5K\n"), ("a.json", "{")):
        code, out, err = run("export", "mscoco-5k", "--output", name)
        assert (code, out, err) == (0, f"{name}\n", "")
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(begin)
    code, out, err = run("export", "mscoco-5k.md", "--format", "latex")
    assert (code, out) == (0, (tmp_path / "a.TEX").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("flickr9k",),
            ("no table 'flickr9k' in", "did you mean 'flickr8k'?", "There are: flickr8k, flickr30k,"),
        ),
        (("flickr8k", "--format", "cvs"), ("--format 'cvs' is unknown; did you mean 'csv'?",)),
        (("flickr8k", "--output", "table.txt"), ("table.txt names no form", "csv|html|latex|json")),
        (("flickr8k", "--output", "leaderboards/published/new.csv"), ("lies among the tables", "outside")),
    ],
)
def test_what_cannot_be_is_said_and_nothing_written(
    run: Run, tmp_path: Path, words: tuple[str, ...], told: tuple[str, ...]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run("export", *words)
    assert (code, out) == (2, "")
    assert all(text in " ".join(err.split()) for text in told), err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_table_without_rows_says_what_fills_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "leaderboards" / "results.jsonl").unlink()
    code, _, err = run("export", "flickr8k")
    assert code == 2
    assert "has no row yet" in err
    assert "harness run --matrix ablations --dataset flickr8k" in err


def test_the_registry_may_stand_before_or_behind_the_word(run: Run, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "registry.yaml").write_bytes((tmp_path / "registry.yaml").read_bytes())
    shutil.copytree(tmp_path / "leaderboards" / "published", other / "leaderboards" / "published")
    own = ("--registry", "other/registry.yaml")
    for words in (("export", "shapes", *own), (*own, "export", "shapes")):
        code, _, err = run(*words)
        assert code == 2
        assert "no row yet" in err
    code, _, err = run("--check", "export", "shapes")
    assert code == 2
    assert "--check goes with no other word" in err
