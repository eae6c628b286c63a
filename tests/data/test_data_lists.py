"""Names in full, in files beside the prepared dataset."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from harness.catalog import Catalog
from harness.data import prepare
from harness.data.lists import SHOWN, keep
from harness.data.manifest import read_manifest
from harness.errors import DataError
from tests.data.conftest import rows_of, write

NAMES = [f"{n}.jpg" for n in range(30)]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Write 30 images as Flickr30k, with a list a split."""
    folder = tmp_path / "photos"
    (folder / "images").mkdir(parents=True)
    for name in NAMES:
        Image.new("RGB", (4, 4)).save(folder / "images" / name)
    (folder / "a.token").write_text("".join(f"{name}#0\ta dog\n" for name in NAMES))
    for split, names in (("train", NAMES[:28]), ("val", NAMES[28:29]), ("test", NAMES[29:])):
        (folder / f"{split}.txt").write_text("\n".join(names))
    return folder


def again(photos: Path, root: Path) -> Any:
    return prepare("photos", "flickr30k", {"strict": False}, photos, root, Catalog.load())


def test_missing_images_are_listed_whole_in_a_file_that_the_message_names(photos: Path, root: Path) -> None:
    for name in NAMES[:10]:
        (photos / "images" / name).unlink()
    with pytest.raises(DataError) as caught:
        again(photos, root)
    file = root / "photos~missing-images.txt"
    assert f"all 10 missing images: {file}" in str(caught.value)
    assert str(caught.value).count(".jpg") == 5
    assert sorted(file.read_text().splitlines(), key=NAMES.index) == NAMES[:10]


def test_surplus_images_are_listed_whole_beside_the_dataset_until_they_are_gone(
    photos: Path, root: Path
) -> None:
    over = [f"{n}.png" for n in range(100, 108)]
    for name in over:
        Image.new("RGB", (4, 4)).save(photos / "images" / name)
    file = root / "photos~surplus-images.txt"
    for unchanged in (False, True):
        made = again(photos, root)
        assert (made.unchanged, [str(each) for each in made.lists]) == (
            unchanged,
            [f"all 8 surplus images: {file}"],
        )
        assert file.read_text().splitlines() == [f"images/{name}" for name in over]
        file.unlink()  # and the next one writes it again
    assert "8 image files without captions left out: images/100.png, " in " ".join(made.notes)
    assert read_manifest(root / "photos").notes == made.notes
    again(photos, root)
    for name in over:
        (photos / "images" / name).unlink()
    assert again(photos, root).lists == ()
    assert not file.exists()


def test_of_many_problems_the_first_are_told_and_all_are_kept(
    source: Path, root: Path, catalog: Catalog
) -> None:
    rows = rows_of(source)
    write(
        source, rows + [{**rows[0], "image": f"gone {n}", "file": f"images/gone{n}.png"} for n in range(40)]
    )
    with pytest.raises(DataError) as caught:
        prepare("mine", "listed", {}, source, root, catalog)
    error, file = caught.value, root / "mine~problems.txt"
    assert len(error.problems) == 40
    assert file.read_text(encoding="utf-8").splitlines() == list(error.problems)
    assert "has 40 problems:" in str(error)
    assert str(error).count("no such file") == SHOWN
    assert str(error).endswith(f"- and 20 more\n  all 40 problems: {file}")
    shutil.rmtree(source / "images")
    with pytest.raises(DataError, match="46 problems"):
        prepare("mine", "listed", {}, source, root, catalog)
    assert len(file.read_text().splitlines()) == 46


def test_a_list_stays_beside_the_dataset_a_name_a_line(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    files = keep(root, "mine", {"../../Way out": ["a\nb", "\x1b[31m", "é", "\ud800"], "": ["c"]})
    assert [file.path.name for file in files] == ["mine~-way-out.txt", "mine~list.txt"]
    assert sorted(root.iterdir()) == sorted(file.path for file in files)
    first = files[0].path.read_text(encoding="utf-8")
    assert first.splitlines() == ["a\\u000ab", "\\u001b[31m", "é", "\\ud800"]
