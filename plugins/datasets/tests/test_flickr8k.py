"""Flickr8k: the real files where they are at hand, small ones in the authors' layout for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.api import DataError
from harness_datasets.flickr8k import LISTS, TOKENS, Flickr8k

REAL = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "flickr8k"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="Flickr8k is not at hand")


@needs_real
def test_real_annotations() -> None:
    found = Flickr8k().annotations(REAL)
    by_split = {split: [r for r in found.records if r.split == split] for split in LISTS}
    assert {split: len(records) for split, records in by_split.items()} == {
        "train": 6000,
        "val": 1000,
        "test": 1000,
    }
    assert {len(record.captions) for record in found.records} == {5}
    assert len({record.image for record in found.records}) == 8000
    for split, name in LISTS.items():
        listed = (REAL / "splits" / name).read_text().split()
        assert [record.image for record in by_split[split]] == listed
    assert found.notes == (
        "Flickr8k.token.txt: sha256 9b8608b02da90405, a known copy with four lines of 2258277193 renamed",
        "Flickr_8k.trainImages.txt: sha256 e330ddd5156a4c2d, as published",
        "Flickr_8k.devImages.txt: sha256 18ba829f47f6df1c, as published",
        "Flickr_8k.testImages.txt: sha256 c0924146c131458c, as published",
        "Flickr8k.token.txt: 5 lines of images that do not exist left out: "
        "2258277193_586949ec62.jpg.1, 2258277193_586949ec62.jpg",
        "91 captioned images in no split left out",
    )


@needs_real
def test_real_captions_keep_their_numbers() -> None:
    """The human judgments of the dataset name captions as <image>#<number>."""
    lines = dict(line.split("\t") for line in (REAL / TOKENS).read_text(encoding="utf-8").splitlines())
    records = Flickr8k().annotations(REAL).records
    for record in records[::50]:
        for position, caption in enumerate(record.captions):
            assert caption == lines[f"{record.image}#{position}"].strip()


@needs_real
def test_real_images_are_where_the_records_say() -> None:
    from PIL import Image

    for record in Flickr8k().annotations(REAL).records[::1000]:
        with Image.open(REAL / record.file) as image:
            image.load()
            assert image.size == (224, 224)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Write five images in the authors' layout: two in train, one each in val and test, one in none."""
    texts, images = tmp_path / "Flickr8k_text", tmp_path / "Flicker8k_Dataset"
    texts.mkdir()
    images.mkdir()
    names = ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"]
    lines = [f"{name}#{k}\t{name} {k} ." for name in names for k in range(5)]
    lines += [f"ghost.jpg.1#{k}\tA ghost ." for k in range(5)]
    (texts / TOKENS).write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name in names:
        (images / name).write_bytes(b"only its name is looked at")
    for split, listed in (("train", "a.jpg\nb.jpg\n"), ("val", "c.jpg\r\n"), ("test", "d.jpg\n\n")):
        (texts / LISTS[split]).write_bytes(listed.encode())
    return tmp_path


def append(path: Path, data: bytes) -> None:
    path.write_bytes(path.read_bytes() + data)


def test_authors_layout(small: Path) -> None:
    found = Flickr8k(strict=False).annotations(small)
    assert [(r.image, r.split, r.file) for r in found.records] == [
        ("a.jpg", "train", "Flicker8k_Dataset/a.jpg"),
        ("b.jpg", "train", "Flicker8k_Dataset/b.jpg"),
        ("c.jpg", "val", "Flicker8k_Dataset/c.jpg"),
        ("d.jpg", "test", "Flicker8k_Dataset/d.jpg"),
    ]
    assert found.records[0].captions == tuple(f"a.jpg {k} ." for k in range(5))
    assert "5 lines of images that do not exist left out: ghost.jpg.1" in " ".join(found.notes)
    assert "1 captioned image in no split left out" in found.notes


def test_counts_are_strict_by_default(small: Path) -> None:
    with pytest.raises(DataError) as caught:
        Flickr8k().annotations(small)
    assert [problem.partition(" names ")[2] for problem in caught.value.problems] == [
        "2 images, not 6,000",
        "1 image, not 1,000",
        "1 image, not 1,000",
    ]


def test_all_faults_of_the_lines_at_once(small: Path) -> None:
    texts = small / "Flickr8k_text"
    append(texts / TOKENS, b"a.jpg#0\tagain .\nno tab\nf.jpg#0\t \n")
    append(texts / LISTS["train"], b"a.jpg\n")
    (texts / LISTS["val"]).write_bytes(b"c.jpg\n\xe9.jpg\n")
    with pytest.raises(DataError) as caught:
        Flickr8k(strict=False).annotations(small)
    assert caught.value.problems == (
        "Flickr8k.token.txt:31: caption 'a.jpg#0' stands twice",
        "Flickr8k.token.txt:32: not '<image>#<number><tab><caption>'",
        "Flickr8k.token.txt:33: caption 'f.jpg#0' is empty",
        "Flickr_8k.trainImages.txt:3: a.jpg stands twice, first on line 1",
        "Flickr_8k.devImages.txt:2: not UTF-8 (byte 0xe9)",
    )


def test_all_faults_between_the_files_at_once(small: Path) -> None:
    texts = small / "Flickr8k_text"
    append(texts / LISTS["train"], b"d.jpg\nnew.jpg\n../x.jpg\n")
    append(texts / TOKENS, b"g.jpg#0\tA .\ng.jpg#2\tB .\n")
    append(texts / LISTS["test"], b"g.jpg\n")
    (small / "Flicker8k_Dataset" / "b.jpg").unlink()
    with pytest.raises(DataError) as caught:
        Flickr8k(strict=False).annotations(small)
    assert sorted(caught.value.problems) == sorted(
        [
            "4 images of 7 have no file in Flicker8k_Dataset/: b.jpg, new.jpg, ../x.jpg, g.jpg",
            "2 images of 7 have no caption in Flickr8k.token.txt: new.jpg, ../x.jpg",
            "d.jpg: stands in Flickr_8k.trainImages.txt and in Flickr_8k.testImages.txt",
            "g.jpg: its captions are numbered 0, 2",
        ]
    )


def test_many_missing_images_are_one_problem_with_all_names_in_a_list(small: Path) -> None:
    names = [f"{n}.jpg" for n in range(8)]
    append(small / "Flickr8k_text" / LISTS["train"], "".join(f"{name}\n" for name in names).encode())
    lines = "".join(f"{name}#{k}\tA dog .\n" for name in names for k in range(5))
    append(small / "Flickr8k_text" / TOKENS, lines.encode())
    with pytest.raises(DataError) as caught:
        Flickr8k(strict=False).annotations(small)
    assert caught.value.problems == (
        "8 images of 12 have no file in Flicker8k_Dataset/: 0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg, ...",
    )
    assert caught.value.lists["missing-images"] == tuple(names)
    assert caught.value.lists["in-no-split"] == ("e.jpg",)


def test_what_is_missing_is_listed_whole(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        Flickr8k().annotations(tmp_path)
    assert len(caught.value.problems) == 5
    for name in (TOKENS, *LISTS.values(), "images/"):
        assert any(name in problem for problem in caught.value.problems)
