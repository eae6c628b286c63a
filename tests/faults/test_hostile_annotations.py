"""Faulty annotation files: everything that is wrong with them and with their images, in one list, with ids."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

Inside = Callable[..., tuple[int, str, str]]


def photograph(path: Path) -> None:
    """Save an image that nobody else has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (9, 9), (len(list(path.parent.iterdir())), 0, 0)).save(path)


def problems_of(inside: Inside, tmp_path: Path, *arguments: str) -> list[str]:
    """Prepare in vain, and return the problems that were told, each once."""
    home = tmp_path / "home"
    code, out, err = inside("data", "prepare", *arguments, "--home", str(home))
    assert (code, out) == (2, ""), err
    told = " ".join(err.split())
    problems = [" ".join(each.split()) for each in err.split("\n  - ")[1:]]
    assert f"has {len(problems)} problems" in told
    assert len(set(problems)) == len(problems)
    # Nothing of it can be taken for a dataset.
    assert not list(home.rglob("manifest.json"))
    return problems


def told_once(problems: Collection[str], told: Collection[str], faults: Any) -> None:
    """Hold problems to be those that are to be told, each once, and count them."""
    for what in told:
        assert sum(what in problem for problem in problems) == 1, (what, problems)
        faults.one()
    assert len(problems) == len(told), problems


@pytest.mark.fault(12)
@pytest.mark.parametrize("kind", ["json", "csv", "jsonl"])
def test_all_faults_of_annotations_and_images_are_one_list(
    inside: Inside, tmp_path: Path, faults: Any, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    monkeypatch.setenv("COLUMNS", "400")
    source = tmp_path / "photographs"
    rows = []
    for number in range(8):
        photograph(source / "images" / f"{number}.png")
        rows.append((f"{number}.png", ("train", "train", "val", "test")[number % 4], ["one", "two"]))
    (tmp_path / "x.png").write_bytes((source / "images" / "0.png").read_bytes())
    (source / "images" / "cut.png").write_bytes((source / "images" / "0.png").read_bytes()[:-20])
    photograph(source / "images" / "blank.png")
    (source / "images" / "blank-and-cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    rows += [
        ("gone.png", "train", ["one"]),
        ("../../x.png", "train", ["one"]),
        ("cut.png", "val", ["one"]),
        ("blank.png", "test", ["fine", " "]),
        ("blank-and-cut.png", "test", [""]),
        ("3.png", "train", ["again"]),
    ]
    told = {
        "gone.png": "image 'gone.png': no such file",
        "../../x.png": "leaves the folder",
        "cut.png": "images/cut.png: ",
        "blank.png#1": "caption 'blank.png#1' is empty",
        "blank-and-cut.png#0": "caption 'blank-and-cut.png#0' is empty",
        "blank-and-cut.png": "images/blank-and-cut.png: ",
        "3.png": "image '3.png' stands in split",
    }
    if kind == "json":
        rows += [("1.png", "trian", ["one"]), ("half.png", "train", ["a \ud800 b"])]
        photograph(source / "images" / "half.png")
        told |= {"1.png": "'1.png' stands in split 'train' and in split 'trian'"}
        told |= {"half.png#0": "caption 'half.png#0': holds half a surrogate pair"}
        images = [{"filename": i, "split": s, "sentences": [{"raw": c} for c in cs]} for i, s, cs in rows]
        (source / "dataset.json").write_text(json.dumps({"images": images}))
    elif kind == "csv":
        lines = [f"{i},{c},{s}" for i, s, cs in rows for c in cs] + ["odd.png,one,trian"]
        photograph(source / "images" / "odd.png")
        told |= {"odd.png": "image 'odd.png': unknown split 'trian'"}
        (source / "captions.csv").write_text("\n".join(["image,caption,split", *lines]))
    else:
        for split in ("train", "val", "test"):
            of = [json.dumps({"image": i, "captions": cs}) for i, s, cs in rows if s == split]
            (source / f"{split}.jsonl").write_text("\n".join(of))
        (source / "valid.jsonl").write_bytes(b'{"image": "\xe9.png", "captions": ["one"]}')
        told |= {"valid": "'valid' is no split", "utf": "valid.jsonl:1: not UTF-8"}
    problems = problems_of(inside, tmp_path, "folder", "--from", str(source), "--as", "mine")
    told_once(problems, told.values(), faults)


@pytest.mark.fault(12)
def test_what_is_wrong_with_an_image_beside_its_annotations_is_told_as_well(
    inside: Inside, tmp_path: Path, faults: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images lie beside the csv, so that a file is named as its image is: a problem of a caption hides none of it."""
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    monkeypatch.setenv("COLUMNS", "400")
    source = tmp_path / "photographs"
    for name in ("0", "1", "2", "3", "4"):
        photograph(source / f"{name}.png")
    for name in ("split file.png", "stands.png", "no caption.png", "it's.png"):
        (source / name).write_bytes((source / "0.png").read_bytes()[:-20])
    (source / "folder.png").mkdir()
    lines = ["0.png,a,train", "1.png,a,val", "2.png,a,test", "3.png,a,train"]
    lines += ["split file.png,a,trian", "stands.png,a,train", "stands.png,a,test", "no caption.png,,train"]
    lines += ["it's.png,,train", "gone.png,,train", "folder.png,a,train", f"{'x' * 300}.png,a,train"]
    (source / "captions.csv").write_text("\n".join(["image,caption,split", *lines]))
    problems = problems_of(inside, tmp_path, "folder", "--from", str(source), "--as", "mine")
    told = (
        "image 'split file.png': unknown split 'trian'",
        "split file.png: ",
        "image 'stands.png' stands in split 'train' and in split 'test'",
        "stands.png: ",
        "caption 'no caption.png#0' is empty",
        "no caption.png: ",
        """caption "it's.png#0" is empty""",
        "it's.png: ",
        "caption 'gone.png#0' is empty",
        "image 'gone.png': no such file",
        "image 'folder.png': no such file",
        f"image '{'x' * 300}.png': no such file",
    )
    told_once(problems, told, faults)


@pytest.mark.fault(12)
def test_all_faults_of_flickr8k_are_one_list_with_what_allows_other_counts(
    inside: Inside, tmp_path: Path, faults: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    monkeypatch.setenv("COLUMNS", "400")
    source = tmp_path / "flickr8k"
    lists: dict[str, list[str]] = {
        "train": ["a.jpg", "b.jpg", "gone.jpg"],
        "dev": ["c.jpg"],
        "test": ["d.jpg", "a.jpg"],
    }
    lines = ["no tab"]
    for name in ("a", "b", "c", "d", "gone"):
        lines += [f"{name}.jpg#{k}\tA dog {k} ." for k in range(4 if name == "b" else 5)]
        if name != "gone":
            photograph(source / "images" / f"{name}.jpg")
    (source / "images" / "c.jpg").write_bytes(b"")
    (source / "Flickr8k.token.txt").write_text("\n".join(lines))
    for split, names in lists.items():
        (source / f"Flickr_8k.{split}Images.txt").write_text("\n".join(names))
    code, _, err = inside(
        "data", "prepare", "flickr8k", "--from", str(source), "--home", str(tmp_path / "home")
    )
    assert code == 2
    assert "--set strict=false" in err
    for what in (
        "Flickr8k.token.txt:1: not '<image>#<number><tab><caption>'",
        "a.jpg: stands in Flickr_8k.trainImages.txt and in Flickr_8k.testImages.txt",
        "b.jpg: has 4 captions, not 5",
        "names 3 images, not 6,000",
        "1 image of 5 has no file in images/: gone.jpg",
        "images/c.jpg: empty file",
    ):
        assert err.count(what) == 1, (what, err)
        faults.one()
