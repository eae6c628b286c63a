"""Flickr30k and MSCOCO: the forms that they come in, their splits, ids and counts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from harness.api import Annotations, DataError, ParameterError, Record
from harness_datasets.flickr30k import Flickr30k
from harness_datasets.mscoco import Mscoco

SHARED = next(
    (p / "shared" / "data" for p in Path(__file__).resolve().parents if (p / "shared" / "data").is_dir()),
    None,
)
real = pytest.mark.skipif(SHARED is None, reason="the folder of real data is absent")


def images(folder: Path, names: Sequence[str]) -> Path:
    """Put an empty file under each name: what annotations name is looked for, not decoded."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def by_split(annotations: Annotations) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {"train": [], "val": [], "test": []}
    for record in annotations.records:
        found[record.split].append(record)
    return found


# --- Flickr30k ---------------------------------------------------------------------------------------------------


def tokens(folder: Path, names: Sequence[str], file: str = "results_20130124.token") -> Path:
    path = folder / file
    path.write_text("".join(f"{name}#{k}\tcaption {k} of {name}\n" for name in names for k in range(5)))
    return path


NAMES = [f"{1000 + n}.jpg" for n in range(8)]


def flickr_lists(folder: Path) -> None:
    for split, names in (("train", NAMES[:5]), ("val", NAMES[5:6]), ("test", NAMES[6:])):
        (folder / f"flickr30k_{split}.txt").write_text("\n".join(names))


def test_token_file_and_lists(tmp_path: Path) -> None:
    images(tmp_path / "flickr30k-images", [*NAMES, "9999.jpg"])
    tokens(tmp_path, NAMES)
    flickr_lists(tmp_path)
    found = Flickr30k(strict=False).annotations(tmp_path)
    split = by_split(found)
    assert [record.image for record in split["test"]] == NAMES[6:]
    assert split["val"][0].captions == tuple(f"caption {k} of {NAMES[5]}" for k in range(5))
    assert split["val"][0].file == f"flickr30k-images/{NAMES[5]}"
    notes = "\n".join(found.notes)
    assert "1 image file without captions left out: flickr30k-images/9999.jpg" in notes
    assert "train 5, not 29,000" in notes
    assert "results_20130124.token: captions, sha256" in notes


def test_the_table_form_gives_the_same(tmp_path: Path) -> None:
    images(tmp_path / "images", NAMES)
    flickr_lists(tmp_path)
    rows = [f"{name}| {k}| caption {k} of {name}" for name in NAMES for k in range(5)]
    (tmp_path / "results.csv").write_text("image_name| comment_number| comment\n" + "\n".join(rows))
    table = Flickr30k(strict=False).annotations(tmp_path).records
    (tmp_path / "results.csv").unlink()
    tokens(tmp_path, NAMES)
    assert Flickr30k(strict=False).annotations(tmp_path).records == table


def karpathy(path: Path, rows: Sequence[tuple[str, str]], **more: object) -> Path:
    whole = {
        "dataset": "any",
        "images": [
            {
                "filename": name,
                "split": split,
                "sentences": [{"raw": f" {k} of {name} "} for k in range(5)],
                **more,
            }
            for name, split in rows
        ],
    }
    path.write_text(json.dumps(whole))
    return path


def test_karpathy_json_from_another_folder(tmp_path: Path) -> None:
    source = images(tmp_path / "pictures", NAMES)
    (tmp_path / "texts").mkdir()
    splits = ["train"] * 5 + ["val", "test", "test"]
    file = karpathy(tmp_path / "texts" / "dataset_flickr30k.json", list(zip(NAMES, splits, strict=True)))
    found = by_split(Flickr30k(strict=False).annotations(source, files=[file]))
    assert {split: len(records) for split, records in found.items()} == {"train": 5, "val": 1, "test": 2}
    assert found["test"][1].captions[4] == f"4 of {NAMES[7]}"


def test_the_2017_split_is_by_photograph(tmp_path: Path) -> None:
    images(tmp_path / "images", NAMES)
    tokens(tmp_path, NAMES)
    (tmp_path / "Flickr_8k.testImages.txt").write_text("1003_a1b2.jpg\n4711_c3.jpg\n")
    (tmp_path / "Flickr_8k.devImages.txt").write_text("1000_ff.jpg\n")
    found = Flickr30k(split="flickr8k-names", strict=False).annotations(tmp_path)
    split = by_split(found)
    assert [r.image for r in split["test"]] == ["1003.jpg"]
    assert [r.image for r in split["val"]] == ["1000.jpg"]
    assert len(split["train"]) == 6
    assert "Flickr_8k.testImages.txt: 1 of 2 photographs are in Flickr30k, its test" in found.notes


def test_without_its_lists_the_2017_split_says_what_it_needs(tmp_path: Path) -> None:
    images(tmp_path / "images", NAMES)
    tokens(tmp_path, NAMES)
    with pytest.raises(DataError) as caught:
        Flickr30k(split="flickr8k-names").annotations(tmp_path)
    assert any("Flickr_8k.testImages.txt" in problem for problem in caught.value.problems)


def test_all_missing_images_are_one_problem(tmp_path: Path) -> None:
    images(tmp_path / "images", NAMES[:1])
    tokens(tmp_path, NAMES)
    flickr_lists(tmp_path)
    with pytest.raises(DataError) as caught:
        Flickr30k(strict=False).annotations(tmp_path)
    (problem,) = caught.value.problems
    assert problem.startswith("7 images of 8 have no file: 100")
    assert problem.count(".jpg") == 5
    assert problem.endswith(", ...")
    # Train, val and test in the order in which the lists were found.
    assert sorted(caught.value.lists["missing-images"]) == NAMES[1:]


def test_all_names_of_what_is_over_are_kept(tmp_path: Path) -> None:
    over = [f"{9000 + n}.jpg" for n in range(7)]
    images(tmp_path / "images", [*NAMES, *over])
    tokens(tmp_path, [*NAMES, "8000.jpg"])
    flickr_lists(tmp_path)
    found = Flickr30k(strict=False).annotations(tmp_path)
    assert found.lists == {
        "surplus-images": tuple(f"images/{name}" for name in over),
        "in-no-split": ("8000.jpg",),
    }
    (note,) = [note for note in found.notes if "without captions" in note]
    assert note.startswith("7 image files without captions left out: images/9000.jpg, ")
    assert note.count(".jpg") == 5


def test_other_counts_are_a_problem_unless_told(tmp_path: Path) -> None:
    images(tmp_path / "images", NAMES)
    tokens(tmp_path, NAMES)
    flickr_lists(tmp_path)
    with pytest.raises(DataError) as caught:
        Flickr30k().annotations(tmp_path)
    assert "test 2, not 1,000" in caught.value.problems[0]


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda d: (d / "results_20130124.token").unlink(), "no captions"),
        (lambda d: (d / "flickr30k_val.txt").unlink(), "no list of val"),
        (lambda d: (d / "flickr30k_val.txt").write_text(NAMES[0]), "stands in split"),
        (lambda d: (d / "flickr30k_val.txt").write_text("77.jpg"), "have no caption: 77.jpg"),
        (
            lambda d: (d / "more.token").write_text("1000.jpg#0\tother words"),
            "1 image with other captions than in a file before: 1000.jpg",
        ),
        (
            lambda d: (d / "results_20130124.token").write_text("1000.jpg#0\ta\n1000.jpg#0\tb"),
            "results_20130124.token:2: caption '1000.jpg#0' stands twice",
        ),
        (lambda d: (d / "results_20130124.token").write_text("1000.jpg#0\ta\nno tab"), "token:2"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, break_it: object, message: str) -> None:
    images(tmp_path / "images", NAMES)
    tokens(tmp_path, NAMES)
    flickr_lists(tmp_path)
    break_it(tmp_path)  # type: ignore[operator]
    with pytest.raises(DataError) as caught:
        Flickr30k(strict=False).annotations(tmp_path)
    assert any(message in problem for problem in caught.value.problems)


@real
def test_the_real_captions_of_flickr30k(tmp_path: Path) -> None:
    assert SHARED is not None
    files = sorted((SHARED / "flickr30k_text").glob("*.jsonl"))
    names = [
        json.loads(line)["image"] for file in files for line in file.read_text(encoding="utf-8").splitlines()
    ]
    source = images(tmp_path / "images", names)
    split = by_split(Flickr30k().annotations(source, files=files))
    assert {name: len(records) for name, records in split.items()} == {
        "train": 29000,
        "val": 1014,
        "test": 1000,
    }
    assert sum(len(record.captions) for record in split["train"]) == 145_000
    lists = [SHARED / "flickr8k" / "splits" / f"Flickr_8k.{part}Images.txt" for part in ("test", "dev")]
    found = Flickr30k(split="flickr8k-names", strict=False).annotations(source, files=[*files, *lists])
    # Of Flickr8k's 1,000 test images, 871 are in Karpathy's train, 28 in val and 30 in test.
    assert Counter(record.split for record in found.records)["test"] == 871 + 28 + 30


# --- MSCOCO ------------------------------------------------------------------------------------------------------

FILES = [f"COCO_val2014_{n:012d}.jpg" for n in (9, 30, 34, 77)]
SPLITS = ["train", "restval", "val", "test"]


def coco_json(folder: Path, captions: Sequence[Sequence[str]]) -> Path:
    rows, sentence = [], 100
    for name, split, texts in zip(FILES, SPLITS, captions, strict=True):
        ids = list(range(sentence, sentence + len(texts)))
        sentence += len(texts)
        rows.append(
            {
                "filename": name,
                "filepath": "val2014",
                "split": split,
                "cocoid": int(name[-16:-4]),
                "sentids": ids,
                "sentences": [{"raw": text, "sentid": key} for text, key in zip(texts, ids, strict=True)],
            }
        )
    path = folder / "dataset_coco.json"
    path.write_text(json.dumps({"dataset": "coco", "images": rows}))
    return path


def six(n: int) -> list[str]:
    return [f"caption {k} of {n}" for k in range(6)]


def test_karpathy_json_of_coco(tmp_path: Path) -> None:
    images(tmp_path / "val2014", FILES)
    coco_json(tmp_path, [six(n) for n in range(4)])
    found = Mscoco(strict=False).annotations(tmp_path)
    split = by_split(found)
    assert [record.image for record in split["train"]] == FILES[:2]
    (test,) = split["test"]
    assert test.tags == {"coco_id": "77", "caption_ids": "118,119,120,121,122"}
    assert test.captions == tuple(six(3)[:5])
    assert test.file == f"val2014/{FILES[3]}"
    assert "captions left out by 'first-five': train 2, val 1, test 1" in found.notes
    everything = by_split(Mscoco(captions="all", strict=False).annotations(tmp_path))
    assert everything["test"][0].captions == tuple(six(3))
    assert everything["test"][0].tags["caption_ids"] == "118,119,120,121,122,123"


def official(folder: Path, names: Sequence[str]) -> dict[int, list[int]]:
    owners: dict[int, list[int]] = {}
    rows = []
    for place, name in enumerate(names):
        key = int(name[-16:-4])
        owners[key] = [1000 + 10 * place + k for k in range(6)]
        rows += [{"id": c, "image_id": key, "caption": f"{c}\n"} for c in reversed(owners[key])]
    whole = {"images": [{"id": int(n[-16:-4]), "file_name": n} for n in names], "annotations": rows}
    (folder / "captions_val2014.json").write_text(json.dumps(whole))
    return owners


@pytest.mark.parametrize("form", ["ids", "names", "npy", "captions"])
def test_official_captions_with_lists(tmp_path: Path, form: str) -> None:
    # The files of 2017 have other names for the same images.
    images(tmp_path / "val2017", [name[-16:] for name in FILES])
    owners = official(tmp_path, FILES)
    for split, names in (
        ("train", FILES[:1]),
        ("restval", FILES[1:2]),
        ("dev", FILES[2:3]),
        ("test", FILES[3:]),
    ):
        keys = [int(name[-16:-4]) for name in names]
        if form == "npy":
            np.save(tmp_path / f"coco_{split}_ids.npy", np.array(keys))
        elif form == "captions":
            np.save(
                tmp_path / f"coco_{split}_ids.npy", np.array([c for key in keys for c in owners[key][1:]])
            )
        else:
            lines = names if form == "names" else list(map(str, keys))
            (tmp_path / f"coco_{split}.txt").write_text("\n".join(lines))
    split = by_split(Mscoco(strict=False).annotations(tmp_path))
    assert sorted(record.image for record in split["train"]) == FILES[:2]
    (test,) = split["test"]
    assert test.file == f"val2017/{FILES[3][-16:]}"
    chosen = owners[77][1:] if form == "captions" else owners[77][:5]
    assert test.captions == tuple(map(str, chosen))
    assert test.tags == {"coco_id": "77", "caption_ids": ",".join(map(str, chosen))}


def test_official_captions_without_a_list_say_so(tmp_path: Path) -> None:
    images(tmp_path, FILES)
    official(tmp_path, FILES)
    with pytest.raises(DataError) as caught:
        Mscoco(strict=False).annotations(tmp_path)
    assert (
        "no list of ids of train, val, test: official captions have no Karpathy split"
        in caught.value.problems
    )


def test_an_array_with_code_in_it_is_refused(tmp_path: Path) -> None:
    images(tmp_path, FILES)
    official(tmp_path, FILES)
    np.save(tmp_path / "coco_test_ids.npy", np.array([print], dtype=object))
    with pytest.raises(DataError) as caught:
        Mscoco(strict=False).annotations(tmp_path)
    assert any("coco_test_ids.npy: not an array of ids" in problem for problem in caught.value.problems)


@pytest.mark.parametrize("build", [lambda: Flickr30k(split="mine"), lambda: Mscoco(captions="mine")])  # type: ignore[arg-type]
def test_unknown_parameters_are_named(build: object) -> None:
    with pytest.raises(ParameterError, match="'mine'"):
        build()  # type: ignore[operator]


@real
def test_the_real_test_set_of_coco(tmp_path: Path) -> None:
    assert SHARED is not None
    lines = (SHARED / "coco_text" / "coco_karpathy_test5k.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    whole = [
        {
            "filename": row["image"],
            "split": "test",
            "cocoid": row["image_id"],
            "sentences": [
                {"raw": text, "sentid": key}
                for text, key in zip(row["captions"], row["caption_ids"], strict=True)
            ],
        }
        for row in rows
    ]
    file = tmp_path / "dataset_coco.json"
    file.write_text(json.dumps({"images": whole}))
    source = images(tmp_path / "images", [row["image"] for row in rows])
    records = Mscoco(strict=False).annotations(source, files=[file]).records
    assert len(records) == 5000
    ids = np.load(SHARED / "coco_text" / "coco_test_ids.npy")
    assert [int(key) for record in records for key in record.tags["caption_ids"].split(",")] == ids.tolist()
    assert [int(record.tags["coco_id"]) for record in records] == [row["image_id"] for row in rows]


@real
def test_the_real_captions_of_val2017(tmp_path: Path) -> None:
    assert SHARED is not None
    file = SHARED / "coco_text" / "captions_val2017.json"
    whole = json.loads(file.read_text(encoding="utf-8"))
    ids = [row["id"] for row in whole["images"]]
    lists = []
    for split, part in (("train", ids[:4000]), ("val", ids[4000:4500]), ("test", ids[4500:])):
        lists.append(tmp_path / f"{split}.txt")
        lists[-1].write_text("\n".join(map(str, part)))
    source = images(tmp_path / "val2017", [row["file_name"] for row in whole["images"]])
    everything = Mscoco(captions="all", strict=False).annotations(source, files=[file, *lists]).records
    assert sum(len(record.captions) for record in everything) == 25_014
    five = Mscoco(strict=False).annotations(source, files=[file, *lists]).records
    assert sum(len(record.captions) for record in five) == 25_000
