"""Names of Flickr and COCO, lists of ids, and the leak that is known: Flickr8k's test in Flickr30k's train."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError
from harness.leaks.names import SERIES, key_of, keys_of, read_ids, series
from harness.leaks.pretraining import KNOWN
from harness.protocols import Record


def record(name: str, **tags: str) -> Record:
    return Record(image=name, split="test", captions=("a",), file=f"images/{name}", tags=tags)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("1009434119_febe49276a.jpg", "flickr:1009434119"),
        ("2258277193_586949ec62.jpg.1", "flickr:2258277193"),
        ("1000092795.jpg", "flickr:1000092795"),
        ("36979.jpg", "flickr:36979"),
        ("val2014/COCO_val2014_000000391895.jpg", "coco:391895"),
        ("000000000139.jpg", "coco:139"),
        ("holiday-12.jpg", ""),
        ("0042.png", ""),
        ("42.png", ""),
        ("1009434119_beach.jpg", ""),
        ("", ""),
    ],
)
def test_a_name_tells_its_photograph(name: str, key: str) -> None:
    assert key_of(record(name)) == key


def test_a_tag_goes_before_the_name() -> None:
    assert key_of(record("1000092795.jpg", coco_id="000139")) == "coco:139"
    assert key_of(record("1000092795.jpg", coco_id="no number")) == "flickr:1000092795"
    assert keys_of([record("a.jpg"), record("36979.jpg"), record("36979_0123456789.jpg")]) == {
        "flickr:36979": 1
    }


def test_lists_of_ids(tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_text(
        "391895\n\nCOCO_val2014_000000000042.jpg\n1009434119_febe49276a.jpg#0\tA dog .\n36979.jpg,x\n"
    )
    listed = read_ids(path)
    expected = {"coco:391895", "flickr:391895", "coco:42", "flickr:1009434119", "coco:36979", "flickr:36979"}
    assert (listed.keys, listed.lines) == (expected, 4)


def test_a_list_that_names_no_photograph_is_refused_with_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_text("391895\n" + "a dog\n" * 30)
    with pytest.raises(DataError, match=r"line 2: 'a dog'") as caught:
        read_ids(path)
    assert "and 10 more" in str(caught.value)
    path.write_text("\n \n")
    with pytest.raises(DataError, match="holds no line"):
        read_ids(path)
    path.write_bytes(b"\xff\xfe1")
    with pytest.raises(DataError, match=r"ids\.txt"):
        read_ids(path)


def test_series_are_near_ids_and_no_numbered_files() -> None:
    one = [record(f"{10**8}_0123456789.jpg"), record("1234567.jpg"), record("a.jpg")]
    two = [
        *(record(f"{10**8 + step}_0123456789.jpg") for step in (SERIES + 1, -3, SERIES)),
        record("1234568.jpg"),
    ]
    assert series(one, two) == {0: [1, 2]}
    assert series(one, one) == {}
    assert series([], two) == {}


def test_871_of_flickr8k_test_lie_in_flickr30k_train(world: Any, tmp_path: Path) -> None:
    own = world.real / "flickr8k" / "splits" / "Flickr_8k.testImages.txt"
    other = world.real / "flickr30k_text" / "flickr30k_train.jsonl"
    if not own.is_file() or not other.is_file():
        pytest.skip("the lists of Flickr8k and Flickr30k are not here")
    names = [json.loads(line)["image"] for line in other.read_text(encoding="utf-8").splitlines()]
    (tmp_path / "train.txt").write_text("\n".join(names))
    listed = read_ids(tmp_path / "train.txt")
    test = keys_of(record(name) for name in own.read_text().split())
    assert (len(test), listed.lines) == (1000, 29000)
    assert len(set(test) & listed.keys) == 871
    assert len(set(test) & set(keys_of(record(name) for name in names))) == 871


def test_what_is_claimed_of_coco_weights_is_what_the_lists_say(world: Any) -> None:
    karpathy = world.real / "coco_text" / "coco_karpathy_test5k.jsonl"
    val2017 = world.real / "coco_text" / "captions_val2017.json"
    if not karpathy.is_file() or not val2017.is_file():
        pytest.skip("the lists of COCO are not here")
    rows = [json.loads(line) for line in karpathy.read_text(encoding="utf-8").splitlines()]
    assert {row["image"].split("_")[1] for row in rows} == {"val2014"}
    kept_out = {image["id"] for image in json.loads(val2017.read_text(encoding="utf-8"))["images"]}
    seen = sum(row["image_id"] not in kept_out for row in rows)
    assert f"{seen:,} of the {len(rows):,} test images" in KNOWN[0].what
    assert f"{len(rows) - seen} of the Karpathy test ids" in KNOWN[0].source
