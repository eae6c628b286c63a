"""`harness leaks` from prepared folders and stored runs to report and exit code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.catalog import Catalog
from harness.data import prepare

Invoke = Callable[..., tuple[int, str, str]]
FLICKR = [f"{number}_0123456789.jpg" for number in (1000092795, 1009434119, 2258277193)]


@pytest.fixture
def folder(world: Any, tmp_path: Path) -> Callable[..., None]:
    """Prepare a folder of images by split in the store."""

    def make(
        name: str, splits: Mapping[str, Mapping[str, Any]], caption: str = "A dog in the grass ."
    ) -> None:
        source = tmp_path / name
        (source / "images").mkdir(parents=True)
        for split, images in splits.items():
            rows = []
            for file, image in images.items():
                image.save(source / "images" / file)
                rows.append({"image": file, "captions": [caption, f"A picture that is called {file}"]})
            lines = "".join(f"{json.dumps(row)}\n" for row in rows)
            (source / f"{split}.jsonl").write_text(lines, encoding="utf-8")
        prepare(name, "folder", {}, source, tmp_path / "home" / "data", Catalog.load())

    return make


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: Invoke) -> Invoke:
    """Run the command line with all plugins and an empty registry."""
    (tmp_path / "registry.yaml").write_text("version: 1\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    return inside


@pytest.fixture
def three(world: Any) -> dict[str, dict[str, Any]]:
    """A dataset without a leak but its caption."""
    names = {"train": ["a.png", "b.png"], "val": ["c.png"], "test": FLICKR}
    return {
        split: {
            name: world.photograph(10 * len(split) + k + sum(map(ord, split)), 48)
            for k, name in enumerate(own)
        }
        for split, own in names.items()
    }


def test_no_leak_is_exit_code_0(folder: Any, harness: Invoke, three: Any) -> None:
    folder("clean", three)
    code, out, err = harness("leaks")
    assert (code, err) == (0, "")
    assert "examined: clean (6 images), 0 stored runs" in out
    assert out.endswith("\nnothing found by the checks of images, series\nno leak found\n")
    assert "note  captions, clean: 3 captions of test (50.0 %) stand in train word for word" in out
    code, out, _ = harness("leaks", "--json", "--dataset", "clean")
    report = json.loads(out)
    assert (code, report["leaks"], report["runs"]) == (0, 0, 0)
    assert report["datasets"] == {"clean": {"images": 6, "captions": 12}}
    assert [finding["check"] for finding in report["findings"]] == ["captions"]
    assert report["nothing_found"] == ["images", "series"]


def test_a_leak_is_exit_code_1_and_hostile_captions_are_escaped(
    folder: Any, harness: Invoke, three: Any, world: Any
) -> None:
    three["train"]["copy.png"] = world.changes["jpeg"](three["test"][FLICKR[1]])
    folder("leaky", three, caption="[/red] \x1b[31m dog\u202e")
    code, out, err = harness("leaks", "-d", "leaky")
    assert code == 1
    assert "leak  images, leaky: 1 image of test is the same picture" in out
    assert f"test:{FLICKR[1]} = train:copy.png (0.9" in out
    assert "next: Leave the images out of train" in out
    assert "\x1b[31m" not in out
    assert "\u202e" not in out
    assert "1 leak; --json lists every item" in err
    code, out, _ = harness("leaks", "--json")
    assert code == 1
    assert json.loads(out)["findings"][0]["items"][0].startswith(f"test:{FLICKR[1]} = train:copy.png")


def test_another_dataset_and_a_list_of_ids(
    folder: Any, harness: Invoke, three: Any, world: Any, tmp_path: Path
) -> None:
    folder("own", three)
    other = {
        "train": {"1000092795.jpg": world.photograph(900, 32), "z.png": three["test"][FLICKR[2]]},
        "test": {"y.png": world.photograph(901, 32)},
    }
    other["train"] |= {f"{k}.png": world.photograph(902 + k, 32) for k in range(2)}
    folder("flickr", other)
    code, out, _ = harness("leaks", "-d", "own", "--against", "flickr", "--json")
    found = [f for f in json.loads(out)["findings"] if f["check"] == "datasets"]
    assert code == 1
    assert [(f["severity"], f["subject"], f["count"]) for f in found] == [("leak", "own", 2)]
    assert found[0]["items"] == [f"{FLICKR[2]} = z.png (picture)", f"{FLICKR[0]} = 1000092795.jpg (name)"]
    (tmp_path / "train.txt").write_text("1000092795\n1009434119.jpg\n")
    code, out, _ = harness("leaks", "-d", "own", "--against", "train.txt")
    assert code == 1
    assert "leak  datasets, own: 2 of 3 test images stand in train.txt, by the id in their names" in out


def test_wrong_input_is_exit_code_2(folder: Any, harness: Invoke, three: Any, tmp_path: Path) -> None:
    folder("clean", three)
    code, _, err = harness("leaks", "--dataset", "cleen")
    assert code == 2
    assert "did you mean 'clean'?" in err
    assert "harness data prepare cleen --from DIR" in err
    for nowhere in ("nowhere.txt", "lists/nowhere"):
        code, _, err = harness("leaks", "--against", nowhere)
        assert code == 2
        assert f"--against {nowhere}: no such file, and no dataset of that name" in err
        assert "Name a file with an image a line" in err
    code, _, err = harness("leaks", "--against", "flickr30k")
    assert (code, "harness data prepare flickr30k --from DIR" in err) == (2, True)
    (tmp_path / "others.txt").write_text("123456789.jpg\n")
    code, out, _ = harness("leaks", "--against", "others.txt")
    assert (code, "nothing found by the checks of images, series, datasets\n" in out) == (0, True)
    (tmp_path / "captions.txt").write_text("a dog runs\n")
    code, _, err = harness("leaks", "--against", "captions.txt")
    assert code == 2
    assert "line 1: 'a dog runs' names no photograph" in err
    (tmp_path / "clean" / "images" / "a.png").write_bytes(b"")
    shutil.rmtree(tmp_path / "home" / "looks", ignore_errors=True)
    code, _, err = harness("leaks")
    assert code == 2
    assert "a.png" in err
    assert "harness data verify clean" in err


def test_nothing_prepared_is_said(harness: Invoke) -> None:
    code, out, err = harness("leaks")
    assert code == 0
    assert "0 stored runs" in out
    assert "no dataset is prepared; next: harness data status" in err


def test_stored_runs_of_a_matrix(invoke: Invoke, tmp_path: Path) -> None:
    code, _, err = invoke("run", "--threads", "1", "--device", "cpu", "--matrix", "whole")
    assert code == 0, err
    code, out, err = invoke("leaks", "--json")
    report = json.loads(out)
    assert (code, report["runs"], report["findings"]) == (0, 4, []), out
    code, out, _ = invoke("leaks", "--dataset", "toys", "--json")
    report = json.loads(out)
    assert (report["datasets"]["toys"]["images"], report["runs"]) == (32, 4)
    assert {f["check"] for f in report["findings"]} <= {"images", "captions"}
