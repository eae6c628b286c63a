"""A user's folder in its three formats, and everything that can be wrong with it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from harness.api import DataError, Record
from harness_datasets.folder import Folder

SPLIT_OF = {"a.jpg": "train", "b/c.jpg": "train", "d.jpg": "val", "é f.jpg": "test"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Write four images that nobody opens here, in nested folders and with a name that is not ASCII."""
    folder = tmp_path / "my folder"
    for name in SPLIT_OF:
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"only its name is looked at")
    return folder


def captions(name: str) -> list[str]:
    return [f"{name} one", f'{name} «two», "quoted"\u2028', "x" * 50_000]


def expected() -> list[Record]:
    return [
        Record(image=n, split=s, captions=tuple(c.strip() for c in captions(n)), file=f"images/{n}")
        for n, s in SPLIT_OF.items()
    ]


def write_jsonl(folder: Path, split: str, rows: list[Any]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")


def as_jsonl(folder: Path) -> None:
    for split in ("train", "val", "test"):
        rows = [{"image": n, "captions": captions(n)} for n, s in SPLIT_OF.items() if s == split]
        write_jsonl(folder, split, rows)


def as_csv(folder: Path) -> None:
    with (folder / "all.csv").open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["split", "Caption", "image"])
        for k in range(3):  # captions of an image need not stand together
            writer.writerows([split, captions(name)[k], name] for name, split in SPLIT_OF.items())


def as_json(folder: Path) -> None:
    images = []
    for name, split in SPLIT_OF.items():
        path, _, file = name.rpartition("/")
        row = {"filename": file, "split": split, "sentences": [{"raw": c} for c in captions(name)]}
        images.append(row | ({"filepath": path} if path else {}))
    images[1]["split"] = "restval"
    (folder / "dataset.json").write_text(json.dumps({"images": images, "dataset": "mine"}), encoding="utf-8")


def test_jsonl(source: Path) -> None:
    as_jsonl(source)
    found = Folder().annotations(source)
    order = {"test": 0, "train": 1, "val": 2}
    assert list(found.records) == sorted(expected(), key=lambda r: order[r.split])
    assert found.notes == ()


def test_csv(source: Path) -> None:
    as_csv(source)
    assert list(Folder().annotations(source).records) == expected()


def test_karpathy_json(source: Path) -> None:
    as_json(source)
    found = Folder().annotations(source)
    assert [(r.split, r.captions, r.file) for r in found.records] == [
        (r.split, r.captions, r.file) for r in expected()
    ]
    assert found.records[1].image == "c.jpg"
    assert found.notes == ("dataset.json: 1 restval image counted as train",)


def test_images_may_lie_in_another_place(source: Path) -> None:
    as_jsonl(source)
    (source / "images").rename(source / "photographs")
    assert Folder(images="photographs").annotations(source).records[0].file == "photographs/é f.jpg"
    (source / "photographs").rename(source / "images")
    write_jsonl(source, "val", [{"image": "images/d.jpg", "captions": ["below the folder itself"]}])
    assert Folder().annotations(source).records[-1].file == "images/d.jpg"


def test_val_is_cut_from_train_by_seed(source: Path) -> None:
    rows = []
    for k in range(40):
        (source / "images" / f"{k}.jpg").write_bytes(b"")
        rows.append({"image": f"{k}.jpg", "captions": ["a"]})
    write_jsonl(source, "train", rows)
    write_jsonl(source, "test", [{"image": "a.jpg", "captions": ["a"]}])

    def val(**params: int) -> set[str]:
        records = Folder(**params).annotations(source).records
        assert sum(r.split == "test" for r in records) == 1
        return {r.image for r in records if r.split == "val"}

    assert len(val()) == 4
    assert val() == val(val_seed=0) != val(val_seed=1)
    assert val(val_size=3) < val(val_size=10)
    chosen = val(val_size=10)
    write_jsonl(source, "train", rows[::-1])
    assert val(val_size=10) == chosen, "depends on the order of the file"
    assert Folder().annotations(source).notes == (
        "val had no images: 4 of 40 train images cut for it, seed 0",
    )
    for size in (0, 40, 41):
        with pytest.raises(DataError, match="cannot be cut from 40 train images"):
            Folder(val_size=size).annotations(source)


def problems_of(folder: Path, **params: Any) -> tuple[str, ...]:
    with pytest.raises(DataError) as caught:
        Folder(**params).annotations(folder)
    return caught.value.problems


def test_all_faults_of_jsonl_at_once(source: Path) -> None:
    as_jsonl(source)
    rows: list[Any] = [
        {"image": "gone.jpg", "captions": ["a"]},
        {"image": "a.jpg", "captions": ["a"]},
        {"image": "d.jpg", "captions": ["a"]},
        {"image": "../../x.jpg", "captions": ["a"]},
        {"image": "/etc/passwd", "captions": ["a"]},
        {"image": "b/c.jpg", "captions": "one text"},
        {"image": 5, "captions": ["a"]},
        {"image": "x" * 300, "captions": ["a"]},
        {"image": "none.jpg", "captions": []},
        {"image": "blank.jpg", "captions": ["a", " "]},
        ["a list"],
    ]
    write_jsonl(source, "train", [{"image": "a.jpg", "captions": ["a"]}, *rows])
    with (source / "train.jsonl").open("a", encoding="utf-8") as stream:
        stream.write('{"image": "cut\n\n' + "[" * 100_000 + "\n")
    (source / "trian.jsonl").write_text("", encoding="utf-8")
    (source / "test.jsonl").write_bytes(b'{"image": "\xe9.jpg", "captions": ["a"]}\n')
    found = problems_of(source)
    for expected in (
        "train.jsonl:2: image 'gone.jpg': no such file as images/gone.jpg",
        "train.jsonl:3: image 'a.jpg' stands in split 'train' twice (first: train.jsonl:1)",
        "val.jsonl:1: image 'd.jpg' stands in split 'train' and in split 'val' (first: train.jsonl:4)",
        "train.jsonl:5: image '../../x.jpg': path '../../x.jpg' leaves the folder",
        "train.jsonl:6: image '/etc/passwd': path '/etc/passwd' leaves the folder",
        "train.jsonl:7: not {",
        "train.jsonl:8: not {",
        f"train.jsonl:9: image '{'x' * 300}': no such file",
        "train.jsonl:10: image 'none.jpg': has no caption",
        "train.jsonl:11: caption 'blank.jpg#1' is empty",
        "train.jsonl:12: not {",
        "train.jsonl:13: not JSON",
        "train.jsonl:15: JSON nested too deeply",
        "trian.jsonl: 'trian' is no split; did you mean 'train'?",
        "test.jsonl:1: not UTF-8 (byte 0xe9)",
    ):
        assert sum(problem.startswith(expected) for problem in found) == 1, expected


def test_all_faults_of_csv_at_once(source: Path) -> None:
    (source / "all.csv").write_text(
        "image,caption,split,photographer\n"
        "a.jpg,one,train,X\n"
        '"b/c.jpg","two\nlines",tarin,X\n'
        "d.jpg,,test,X\n"
        "é f.jpg,four\n"
        "a.jpg,five,test,X\n",
        encoding="utf-8",
    )
    assert sorted(problems_of(source)) == [
        "all.csv:4: image 'b/c.jpg': unknown split 'tarin'; did you mean 'train'?",
        "all.csv:5: caption 'd.jpg#0' is empty",
        "all.csv:6: 2 columns, the header has 4",
        "all.csv:7: image 'a.jpg' stands in split 'train' and in split 'test' (first: all.csv:2)",
    ]
    (source / "all.csv").write_text("file,caption\na.jpg,one\n", encoding="utf-8")
    assert problems_of(source) == ("all.csv:1: no column 'image', 'split' (found: file, caption)",)
    (source / "all.csv").write_text('image,caption,split\na.jpg,"one,train\n', encoding="utf-8")
    assert "all.csv:2: unexpected end of data" in problems_of(source)
    (source / "all.csv").write_bytes(b"image,caption,split\na.jpg,caf\xe9,train\n")
    assert problems_of(source) == ("all.csv:2: not UTF-8 (byte 0xe9)",)


def test_a_caption_is_quoted_as_ids_are(source: Path) -> None:
    (source / "images" / "it's.jpg").write_bytes(b"")
    (source / "all.csv").write_text("image,caption,split\na.jpg,one,test\nit's.jpg,,train\n")
    assert problems_of(source) == ('all.csv:3: caption "it\'s.jpg#0" is empty',)


def test_other_columns_are_noted(source: Path) -> None:
    rows = "".join(f"{name},one,{split},X\n" for name, split in SPLIT_OF.items())
    (source / "all.csv").write_text(f"image,caption,split,photographer\n{rows}", encoding="utf-8")
    assert Folder().annotations(source).notes == ("all.csv: columns left out: photographer",)


def test_all_faults_of_json_at_once(source: Path) -> None:
    images: list[Any] = [
        {"filename": "a.jpg", "split": "train", "sentences": [{"raw": "a"}]},
        {"filename": "d.jpg", "split": "dev", "sentences": [{"raw": "a"}]},
        {"filename": "e.jpg", "split": "test", "sentences": [{"tokens": ["a"]}]},
        {"filename": "é f.jpg", "split": "test", "sentences": [{"raw": ""}]},
        {"filename": "../a.jpg", "split": "test", "sentences": [{"raw": "a"}]},
        "text",
    ]
    (source / "dataset.json").write_text(json.dumps({"images": images}), encoding="utf-8")
    found = sorted(problems_of(source))
    assert [problem.partition(":")[2].split(":")[0].strip() for problem in found] == [
        "images[1]",
        "images[2]",
        "images[3]",
        "images[4]",
        "images[5]",
    ]
    assert "unknown split 'dev'" in found[0]
    (source / "dataset.json").write_text('{"image": []}', encoding="utf-8")
    assert 'no list "images"' in problems_of(source)[0]
    (source / "dataset.json").write_text("", encoding="utf-8")
    assert 'no list "images"' in problems_of(source)[0]


def test_several_annotation_files(source: Path) -> None:
    as_csv(source)
    as_json(source)
    assert problems_of(source) == (
        "several annotation files, name one with the parameter 'annotations': all.csv, dataset.json",
    )
    assert list(Folder(annotations="all.csv").annotations(source).records) == expected()
    assert problems_of(source, annotations="al.csv") == (
        "al.csv: no such file in the folder; did you mean 'all.csv'?",
    )
    assert "no such file in the folder" in problems_of(source, annotations="../all.csv")[0]


def test_nothing_there(source: Path) -> None:
    assert problems_of(source) == ("no annotations: neither <split>.jsonl, nor a csv, nor a json",)
    write_jsonl(source, "train", [])
    assert problems_of(source) == ("the annotation files are empty",)
    write_jsonl(source, "train", [{"image": "a.jpg", "captions": ["a"]}])
    assert problems_of(source) == ("no image is in split 'test'",)
