"""Folders as people have them: files of several datasets side by side, zips, and what is wrong in published files."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.api import Annotations, DataError
from harness_datasets import published
from harness_datasets.flickr30k import Flickr30k
from harness_datasets.mscoco import Mscoco

SHARED = next(
    (p / "shared" / "data" for p in Path(__file__).resolve().parents if (p / "shared" / "data").is_dir()),
    None,
)
real = pytest.mark.skipif(SHARED is None, reason="the folder of real data is absent")
PHOTOS = [f"{1000 + n}.jpg" for n in range(9)]
COCO = [f"COCO_val2014_{n:012d}.jpg" for n in (9, 30, 34, 77)]


def images(folder: Path, names: Sequence[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def karpathy(dataset: str, rows: Sequence[tuple[str, str]]) -> str:
    sentences = [
        [{"raw": f"{k} of {name}", "sentid": 10 * at + k} for k in range(5)]
        for at, (name, _) in enumerate(rows)
    ]
    listed = [
        {"filename": name, "split": split, "sentences": told}
        | ({"cocoid": int(name[-16:-4])} if "coco" in dataset else {})
        for (name, split), told in zip(rows, sentences, strict=True)
    ]
    return json.dumps({"dataset": dataset, "images": listed})


def tokens(names: Sequence[str]) -> str:
    return "".join(f"{name}#{k}\t{k} of {name}\n" for name in names for k in range(5))


def splits(found: Annotations) -> dict[str, list[str]]:
    return {split: [r.image for r in found.records if r.split == split] for split in ("train", "val", "test")}


@pytest.fixture
def everything(tmp_path: Path) -> Path:
    """Write one folder with Flickr30k's files, Flickr8k's texts and Karpathy's three json files, as unpacked."""
    images(tmp_path / "flickr30k-images", PHOTOS)
    write(tmp_path / "results_20130124.token", tokens(PHOTOS))
    write(tmp_path / "results.csv", tokens(PHOTOS).replace("#", "| ").replace("\t", "| "))
    write(tmp_path / "readme.txt", "Please cite us.\n")
    rows = list(zip(PHOTOS[:7], ["train"] * 4 + ["val", "test", "test"], strict=True))  # two are in no split
    folder = tmp_path / "caption_datasets"
    write(folder / "dataset_flickr30k.json", karpathy("flickr30k", rows))
    write(folder / "dataset_coco.json", karpathy("coco", [(COCO[0], "test")]))
    write(folder / "dataset_flickr8k.json", karpathy("flickr8k", [("1_a.jpg", "test")]))
    texts = tmp_path / "Flickr8k_text"
    write(texts / "Flickr8k.token.txt", tokens(["1003_a1.jpg", "4711_c3.jpg"]))
    write(texts / "Flickr8k.lemma.token.txt", tokens(["1003_a1.jpg", "4711_c3.jpg"]).replace("of", "be"))
    write(texts / "ExpertAnnotations.txt", "1003_a1.jpg\t4711_c3.jpg#2\t1\t1\t1\n")
    write(texts / "Flickr_8k.trainImages.txt", "1001_77.jpg\n")
    write(texts / "Flickr_8k.devImages.txt", "1000_ff.jpg\n")
    write(texts / "Flickr_8k.testImages.txt", "1008_a1b2.jpg\n1003_a1.jpg\n4711_c3.jpg\n")
    # Flickr30k Entities brings lists of another split under plain names.
    for split, names in (("train", PHOTOS[2:]), ("val", PHOTOS[:1]), ("test", PHOTOS[1:2])):
        write(tmp_path / "entities" / f"{split}.txt", "\n".join(name[:-4] for name in names))
    return tmp_path


def test_both_splits_of_flickr30k_from_one_folder(everything: Path) -> None:
    found = Flickr30k(strict=False).annotations(everything)
    assert splits(found) == {"train": PHOTOS[:4], "val": PHOTOS[4:5], "test": PHOTOS[5:7]}
    assert {len(record.captions) for record in found.records} == {5}
    assert "2 captioned images in no split left out" in found.notes
    assert "splits are as with the captions; left out: train.txt, val.txt, test.txt" in [
        note.replace("test.txt, train.txt, val.txt", "train.txt, val.txt, test.txt") for note in found.notes
    ]
    assert not any("Flickr8k" in note or "coco" in note for note in found.notes)

    by_names = splits(Flickr30k(split="flickr8k-names", strict=False).annotations(everything))
    assert by_names["test"] == ["1003.jpg", "1008.jpg"]
    assert by_names["val"] == ["1000.jpg"]
    assert sorted(image for names in by_names.values() for image in names) == PHOTOS


def test_the_2017_split_does_not_depend_on_the_file_of_the_captions(everything: Path) -> None:
    read = Flickr30k(split="flickr8k-names", strict=False)
    from_all = read.annotations(everything).records
    (everything / "caption_datasets" / "dataset_flickr30k.json").unlink()
    write(everything / "results_20130124.token", tokens(PHOTOS[::-1]))
    assert read.annotations(everything).records == from_all


def test_named_lists_overrule_a_json(everything: Path) -> None:
    files = [everything / "caption_datasets" / "dataset_flickr30k.json"]
    lists = [everything / "entities" / f"{split}.txt" for split in ("train", "val", "test")]
    found = Flickr30k(strict=False).annotations(
        everything / "flickr30k-images", files=[*files, *lists, everything / "results_20130124.token"]
    )
    assert splits(found) == {"train": PHOTOS[2:], "val": PHOTOS[:1], "test": PHOTOS[1:2]}


def test_a_folder_of_annotations_may_be_named(everything: Path) -> None:
    found = Flickr30k(strict=False).annotations(
        everything / "flickr30k-images", files=[everything / "caption_datasets"]
    )
    assert len(found.records) == 7


def test_the_published_table_lacks_a_bar(tmp_path: Path) -> None:
    source = images(tmp_path / "images", ["2199200615.jpg"])
    rows = [f"2199200615.jpg| {k}|  {k} of it ." for k in range(4)]
    text = "\n".join(
        ["image_name| comment_number| comment", *rows, "2199200615.jpg| 4   A dog runs across the grass ."]
    )
    lists = [
        write(tmp_path / f"{split}.txt", "2199200615.jpg" if split == "test" else f"{split}.jpg")
        for split in ("train", "val", "test")
    ]
    with pytest.raises(DataError) as caught:  # of the other lists; the table is read
        Flickr30k(strict=False).annotations(source, files=[write(tmp_path / "results.csv", text), *lists])
    assert caught.value.problems == ("2 images in lists have no caption: train.jpg, val.jpg",)
    write(tmp_path / "train.jsonl", json.dumps({"image": "train.jpg", "captions": ["a"]}))
    images(source, ["train.jpg"])
    write(tmp_path / "train.txt", "train.jpg")
    write(tmp_path / "val.jsonl", json.dumps({"image": "val.jpg", "captions": ["a"]}))
    images(source, ["val.jpg"])
    more = [tmp_path / "train.jsonl", tmp_path / "val.jsonl"]
    found = Flickr30k(strict=False).annotations(source, files=[tmp_path / "results.csv", *lists, *more])
    (test,) = [record for record in found.records if record.split == "test"]
    assert test.captions[4] == "A dog runs across the grass ."
    assert "results.csv:6: no bar between number and caption; read as if there were one" in found.notes


def test_files_that_are_named_and_not_understood_are_problems(everything: Path) -> None:
    photos, folder = everything / "flickr30k-images", everything / "caption_datasets"
    with pytest.raises(DataError) as caught:
        Flickr30k(strict=False).annotations(
            photos, files=[folder / "dataset_coco.json", everything / "readme.txt"]
        )
    assert caught.value.problems[:2] == (
        "dataset_coco.json: holds the splits of coco, not of flickr30k",
        "readme.txt: not an annotation file that is known; left out",
    )


def test_a_link_to_the_images_is_told(everything: Path, tmp_path: Path) -> None:
    (everything / "flickr30k-images").rename(everything / "elsewhere")
    source = tmp_path / "links"
    source.mkdir()
    (source / "flickr30k-images").symlink_to(everything / "elsewhere")
    file = everything / "caption_datasets" / "dataset_flickr30k.json"
    with pytest.raises(DataError) as caught:
        Flickr30k(strict=False).annotations(source, files=[file])
    assert (
        "7 images of 7 have no file (not followed: link flickr30k-images): 1000.jpg"
        in caught.value.problems[0]
    )


# --- MSCOCO ------------------------------------------------------------------------------------------------------


def official(names: Sequence[str], *, year: int) -> str:
    rows = [
        {"id": 10 * int(name[-16:-4]) + k, "image_id": int(name[-16:-4]), "caption": f"{k} of {name[-16:]}"}
        for name in names
        for k in range(6)
    ]
    files = [{"id": int(name[-16:-4]), "file_name": name if year == 2014 else name[-16:]} for name in names]
    return json.dumps({"images": files, "annotations": rows})


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Write MSCOCO as unpacked: images of both years, and annotations among which most are no captions."""
    images(tmp_path / "val2014", COCO)
    images(tmp_path / "train2017", [name[-16:] for name in COCO[:3]])
    images(tmp_path / "val2017", [name[-16:] for name in COCO[3:]])
    folder = tmp_path / "annotations"
    write(folder / "captions_train2017.json", official(COCO[:3], year=2017))
    write(folder / "captions_val2014.json", official(COCO, year=2014))
    write(folder / "captions_val2017.json", official(COCO[3:], year=2017))
    for name in ("instances_val2014", "person_keypoints_train2014", "image_info_test2014"):
        write(folder / f"{name}.json", "{ this takes long to read and is not read")
    write(tmp_path / "coco_dev_ids.txt", "34\n")
    write(tmp_path / "coco_test_ids.txt", "77\n9\n")
    return tmp_path


def test_official_captions_of_both_years_are_the_same_captions(coco: Path) -> None:
    found = Mscoco(captions="all", strict=False).annotations(coco)
    assert splits(found) == {"train": [COCO[1]], "val": [COCO[2]], "test": [COCO[3], COCO[0]]}
    assert {len(record.captions) for record in found.records} == {6}
    assert [record.file for record in found.records][-1] == f"val2014/{COCO[0]}"
    assert "no list of train: it is the 1 image that val and test leave" in found.notes
    assert found.records[-1].tags == {"coco_id": "9", "caption_ids": "90,91,92,93,94,95"}


def test_images_of_either_year_will_do(coco: Path) -> None:
    for name in COCO:
        (coco / "val2014" / name).unlink()
    found = Mscoco(strict=False).annotations(coco)
    assert [record.file for record in found.records][-2:] == [
        f"val2017/{COCO[3][-16:]}",
        f"train2017/{COCO[0][-16:]}",
    ]
    assert found.records[-1].image == COCO[0]


def test_official_captions_and_karpathy_json_give_the_same_records(coco: Path, tmp_path: Path) -> None:
    expected = Mscoco(strict=False).annotations(coco).records
    rows = []
    for split, name in (("test", COCO[3]), ("restval", COCO[1]), ("test", COCO[0]), ("val", COCO[2])):
        key = int(name[-16:-4])
        sentences = [{"raw": f"{k} of {name[-16:]}", "sentid": 10 * key + k} for k in range(6)]
        rows.append({"filename": name, "split": split, "cocoid": key, "sentences": sentences})
    file = write(
        tmp_path / "elsewhere" / "dataset_coco.json", json.dumps({"dataset": "coco", "images": rows})
    )
    assert Mscoco(strict=False).annotations(coco, files=[file]).records == expected


def test_a_caption_of_two_images_is_a_problem(coco: Path) -> None:
    whole = json.loads(official(COCO[:1], year=2014))
    whole["annotations"][0]["image_id"] = 30
    write(coco / "annotations" / "captions_val2014_b.json", json.dumps(whole))
    with pytest.raises(DataError) as caught:
        Mscoco(strict=False).annotations(coco)
    assert "captions_val2014_b.json: caption 90 is of image 30 and of 9" in caught.value.problems


def test_equal_captions_count_once_as_in_m_beir(tmp_path: Path) -> None:
    images(tmp_path, COCO)
    told = [
        ["a cat"] * 5,
        ["A cat.", "x"],
        ["a dog", "A dog.", '"a dog"'],
        ["a dog", "a dog !", "A  dog", "A Dog"],
    ]
    rows = [
        {"filename": name, "split": split, "sentences": [{"raw": text} for text in texts]}
        for name, split, texts in zip(COCO, ["train", "val", "test", "test"], told, strict=True)
    ]
    write(tmp_path / "dataset_coco.json", json.dumps({"images": rows}))
    found = Mscoco(captions="deduplicated", strict=False).annotations(tmp_path)
    assert [list(record.captions) for record in found.records] == [
        ["a cat"] * 5,
        ["A cat.", "x"],
        ["a dog"],
        ["a dog !", "A  dog", "A Dog"],
    ]
    assert any(
        note == "MSCOCO, captions=deduplicated: captions of test 4, not 24,809" for note in found.notes
    )


def test_an_image_that_loses_every_caption_is_a_problem(tmp_path: Path) -> None:
    images(tmp_path, COCO)
    rows = [{"filename": name, "split": "test", "sentences": [{"raw": "a dog"}]} for name in COCO]
    write(tmp_path / "dataset_coco.json", json.dumps({"images": rows}))
    with pytest.raises(DataError) as caught:
        Mscoco(captions="deduplicated", strict=False).annotations(tmp_path)
    assert caught.value.problems == ("3 images without caption: 30, 34, 77",)


@real
def test_where_24809_comes_from(tmp_path: Path) -> None:
    """M-BEIR counts 24,809 queries with 1.00725543 right images each, 24,989 pairs: those of the first five captions.

    The copy at hand sets spaces before marks, and not everywhere: three texts fall together with others, or apart.
    """
    assert SHARED is not None
    lines = (SHARED / "coco_text" / "coco_karpathy_test5k.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    source = images(tmp_path / "images", [row["image"] for row in rows])

    def read(variant: str, tight: bool) -> Annotations:
        whole = [
            {
                "filename": row["image"],
                "split": "test",
                "sentences": [{"raw": t.replace(" .", ".") if tight else t} for t in row["captions"]],
            }
            for row in rows
        ]
        file = write(tmp_path / "dataset_coco.json", json.dumps({"images": whole}))
        return Mscoco(captions=variant, strict=False).annotations(source, files=[file])  # type: ignore[arg-type]

    def count(found: Annotations) -> int:
        return sum(len(record.captions) for record in found.records)

    assert count(read("first-five", False)) == 25_000
    loose = read("deduplicated", False)
    assert count(loose) == 24_820
    assert any("gives 24,820, or 24,806 without the space before full stops" in note for note in loose.notes)
    assert not any("M-BEIR" in note for note in read("first-five", False).notes)
    tight = read("deduplicated", True)
    assert count(tight) == 24_806
    assert "MSCOCO, captions=deduplicated: captions of test 24,806, not 24,809" in tight.notes
    assert {record.image for record in tight.records} == {row["image"] for row in rows}
    pairs = set()
    for row in rows:
        for text in row["captions"]:
            plain = text.replace(" .", ".").strip().strip('"')
            plain = plain[0].upper() + plain[1:]
            pairs.add((row["image"], plain if plain[-1] in ".?!" else f"{plain}."))
    assert len(pairs) == round(24_809 * 1.0072554314966342)
    assert max(Counter(text for _, text in pairs).values()) == 8


def test_counts_of_captions_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images(tmp_path, COCO)
    write(
        tmp_path / "dataset_coco.json",
        karpathy("coco", list(zip(COCO, ["train", "restval", "val", "test"], strict=True))),
    )
    monkeypatch.setattr("harness_datasets.mscoco.KARPATHY", {"train": 2, "val": 1, "test": 1})
    with pytest.raises(DataError) as caught:
        Mscoco().annotations(tmp_path)
    assert caught.value.problems == (
        "MSCOCO, captions=first-five: captions of train 10, not 566,435; val 5, not 25,000; test 5, not 25,000",
    )
    monkeypatch.setitem(published_counts(), "first-five", {"train": 10, "val": 5, "test": 5})
    assert len(Mscoco().annotations(tmp_path).records) == 4


def published_counts() -> dict[str, dict[str, int]]:
    from harness_datasets.mscoco import CAPTIONS

    return CAPTIONS


# --- Zips and checksums --------------------------------------------------------------------------------------------


def test_annotations_are_read_from_the_published_zip(everything: Path, coco: Path) -> None:
    archive = everything / "caption_datasets.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in (everything / "caption_datasets").iterdir():
            file.write(path, path.name)
            path.unlink()
        file.writestr("__MACOSX/._dataset_flickr30k.json", b"\0")
    # It is looked for by name, below the folder, and may be named.
    found = Flickr30k(strict=False).annotations(everything)
    assert len(found.records) == 7
    assert any(
        note.startswith("caption_datasets.zip: sha256 ") and "the published one has 4cfd70132527b809" in note
        for note in found.notes
    )
    named = Mscoco(strict=False).annotations(coco, files=[archive])
    assert [record.image for record in named.records] == COCO[:1]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"../../dataset_coco.json": b"{}"}, "dataset_coco.json: not an annotation file that is known"),
        (
            {"a/dataset_coco.json": b"{}", "b/dataset_coco.json": b"{}"},
            "a.zip: holds dataset_coco.json twice",
        ),
        ({"readme.md": b"hello"}, "a.zip: holds no annotation file that is known"),
        ({"dataset_coco.json": b" " * 3000}, "a.zip: dataset_coco.json unpacks to 3,000 bytes"),
        (None, "a.zip: no zip that can be read"),
    ],
)
def test_hostile_zips_of_annotations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, members: dict[str, bytes] | None, message: str
) -> None:
    monkeypatch.setattr(published, "MAX_BYTES", 2000)
    archive = tmp_path / "a.zip"
    archive.write_bytes(b"PK\x03\x04 not a zip")
    if members is not None:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            for name, data in members.items():
                file.writestr(name, data)
    before = sorted(tmp_path.parent.rglob("*.json"))
    with pytest.raises(DataError) as caught:
        Mscoco(strict=False).annotations(images(tmp_path / "images", COCO), files=[archive])
    assert any(problem.startswith(message) for problem in caught.value.problems), caught.value.problems
    assert sorted(tmp_path.parent.rglob("*.json")) == before


def test_checksums_of_published_files_are_compared(tmp_path: Path) -> None:
    other = write(tmp_path / "captions_train2014.json", "{}")
    assert published.checksum(other).endswith(", the published one has dd8c9636dc11740f")
    assert published.checksum(write(tmp_path / "mine.json", "{}")) == "sha256 44136fa355b3678a"


@real
@pytest.mark.parametrize(
    "file",
    [
        *(f"flickr8k/splits/Flickr_8k.{part}Images.txt" for part in ("train", "dev", "test")),
        "coco_text/coco_test_ids.npy",
    ],
)
def test_the_real_lists_are_the_published_ones(file: str) -> None:
    assert SHARED is not None
    assert published.checksum(SHARED / file).endswith(", as published")


@real
def test_known_copies_differ_from_the_published_files_as_is_said(tmp_path: Path) -> None:
    """What is at hand was edited; with that undone, the checksums are those of the published files."""
    assert SHARED is not None
    captions, tokens = (
        SHARED / "coco_text" / "captions_val2017.json",
        SHARED / "flickr8k" / "Flickr8k.token.txt",
    )
    assert published.checksum(captions).endswith(", a known copy with the key 'type', for coco-caption")
    assert published.checksum(tokens).endswith(", a known copy with four lines of 2258277193 renamed")
    whole = captions.read_bytes().replace(b'"type": "captions",', b"", 1).rstrip(b"\n")
    (tmp_path / captions.name).write_bytes(whole)
    lines = tokens.read_bytes().replace(b"2258277193_586949ec62.jpg#", b"2258277193_586949ec62.jpg.1#")
    (tmp_path / tokens.name).write_bytes(lines)
    assert (len(whole), len(lines)) == (3_872_473, 3_395_237)
    for name in (captions.name, tokens.name):
        assert published.checksum(tmp_path / name).endswith(", as published")
