"""`harness data prepare` as people type it: images in archives, annotations elsewhere, decoded at once."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

Harness = Callable[..., tuple[int, str, str]]
SPLITS = ("train", "train", "train", "val", "test", "test")


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, inside: Harness) -> Harness:
    """Run `harness data` with the registry of this repository and the datasets alone."""
    monkeypatch.chdir(Path(__file__).parents[2])
    monkeypatch.setenv("HARNESS_PLUGINS", "datasets")
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    return partial(inside, "data")


def archive(path: Path, numbers: Sequence[int]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for n in numbers:
            buffer = io.BytesIO()
            Image.new("RGB", (40, 30), (40 * n, 0, 0)).save(buffer, "PNG")
            file.writestr(f"{path.stem}/COCO_val2014_{n:012d}.png", buffer.getvalue())
    return path


def annotations(path: Path, splits: Sequence[str] = SPLITS) -> Path:
    rows = [
        {
            "filename": f"COCO_val2014_{n:012d}.png",
            "split": split,
            "cocoid": n,
            "sentences": [{"raw": f"{k} of {n}", "sentid": 10 * n + k} for k in range(5)],
        }
        for n, split in enumerate(splits)
    ]
    path.write_text(json.dumps({"dataset": "coco", "images": rows}))
    return path


def test_archives_and_annotations_of_their_own_and_a_cache(harness: Harness, tmp_path: Path) -> None:
    zips = archive(tmp_path / "train2014.zip", range(4)), archive(tmp_path / "val2014.zip", (4, 5))
    file = annotations(tmp_path / "dataset_coco.json")
    typed = ["prepare", "mscoco", "--images", zips[0], "--images", zips[1], "--annotations", file]
    code, _, err = harness(*typed)
    assert code == 2
    assert (
        "MSCOCO, Karpathy split: images of train 3, not 113,287; val 1, not 5,000; test 2, not 5,000" in err
    )

    code, out, err = harness(*typed, "--set", "strict=false", "--as", "few", "--decode", 16)
    assert code == 0, err
    assert "note: MSCOCO, Karpathy split: images of train 3, not 113,287" in err
    assert next(line.split() for line in out.splitlines() if "test" in line)[1:6:2] == ["test", "2", "10"]
    assert len(list((tmp_path / "home" / "decoded").rglob("*.safetensors"))) == 3
    records = (tmp_path / "home" / "data" / "few" / "records.jsonl").read_text().splitlines()
    assert json.loads(records[-1])["tags"] == {"coco_id": "5", "caption_ids": "50,51,52,53,54"}
    assert json.loads(records[-1])["file"] == "val2014/COCO_val2014_000000000005.png"

    code, out, _ = harness(*typed, "--set", "strict=false", "--as", "few")
    assert code == 0
    assert "few: as it was prepared before" in " ".join(out.split())
    assert harness("verify", "few")[0] == 0


def test_a_split_without_images_is_not_decoded(harness: Harness, tmp_path: Path) -> None:
    images = archive(tmp_path / "val2014.zip", (0, 1))
    file = annotations(tmp_path / "dataset_coco.json", ["test", "test"])
    typed = ["prepare", "mscoco", "--images", images, "--annotations", file, "--set", "strict=false"]
    code, _, err = harness(*typed, "--as", "few", "--decode", "16")
    assert code == 0, err
    assert "note: split 'train' has no images" in err


@pytest.mark.parametrize("places", [(), ("--from", "a", "--images", "b")])
def test_one_place_is_named(harness: Harness, places: tuple[str, ...]) -> None:
    code, _, err = harness("prepare", "mscoco", *places)
    assert code == 2
    assert "name the folder of the dataset with --from, or its images with --images" in err
    assert "harness data prepare mscoco --from DIR" in err


def test_status_names_the_command_of_each(harness: Harness) -> None:
    code, out, _ = harness("status", "--json")
    listed = {entry["name"]: entry for entry in json.loads(out)["datasets"]}
    assert code == 0
    for name, title in (
        ("flickr30k", "Flickr30k"),
        ("flickr8k-names", "Flickr30k (2017 split)"),
        ("mscoco", "MSCOCO"),
    ):
        assert listed[name]["title"] == title
        assert listed[name]["command"] == f"harness data prepare {name} --from DIR"


def test_status_names_the_store_that_it_was_asked_about(harness: Harness, tmp_path: Path) -> None:
    home = tmp_path / "another home"
    code, out, _ = harness("status", "--home", str(home))
    assert code == 0
    assert f"to get it: harness data prepare mscoco --from DIR '--home={home}'" in out
    listed = json.loads(harness("status", "--json", "--home", str(home))[1])["datasets"]
    assert {entry["command"].partition("DIR")[2] for entry in listed if entry["command"]} == {
        f" '--home={home}'"
    }
