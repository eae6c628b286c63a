"""Preparing: what is read, noted and hashed, and when there is nothing to do."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.catalog import Catalog
from harness.data import open_dataset, prepare, protocol_of
from harness.data.images import Inspection
from harness.data.images import inspect as inspect_image
from harness.errors import DataError
from harness.plan import Part
from tests.data.conftest import change_caption, part, rows_of, snapshot, write


def test_prepare_counts_and_opens(source: Path, root: Path, catalog: Catalog) -> None:
    told: list[tuple[int, int, str]] = []
    manifest = prepare("mine", "listed", {}, source, root, catalog, lambda *step: told.append(step))
    assert manifest.counts == {split: {"images": 2, "captions": 4} for split in ("train", "val", "test")}
    assert manifest.notes == ("listed",)
    assert Path(manifest.source) == source
    assert told[0] == (0, 0, "reading annotations")
    assert told[-1] == (6, 6, "decoding images")
    assert sorted(path.name for path in (root / "mine").iterdir()) == ["manifest.json", "records.jsonl"]

    dataset = open_dataset(part(), root, catalog)
    assert (
        dataset.passport
        == manifest.protocol
        == protocol_of(part(), root, catalog.find("dataset", "listed").spec)
    )
    test = dataset.split("test")
    assert test.image_ids == ("4.png", "5.png")
    assert test.captions == ("caption 4 a", "légende 4 b", "caption 5 a", "légende 5 b")
    assert dataset.split("test", 1).image_ids == ("4.png",)
    assert dataset.split("test", 9).image_ids == test.image_ids
    pixels = dataset.pixels(test.records[1])
    assert pixels.shape == (6, 13, 3)
    assert (pixels == np.array([200, 10, 20])).all()
    contents = [dataset.content(record) for record in dataset.records]
    assert len(set(contents)) == 6
    again = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(again.pixels(test.records[1]), pixels)


def test_second_prepare_writes_nothing(source: Path, root: Path, catalog: Catalog) -> None:
    first = prepare("mine", "listed", {}, source, root, catalog)
    before = snapshot(root / "mine")
    told: list[str] = []
    second = prepare("mine", "listed", {}, source, root, catalog, lambda done, total, note: told.append(note))
    assert (first.unchanged, second.unchanged) == (False, True)
    assert second == first
    assert told[-1] == "already prepared, nothing to do"
    assert "decoding images" not in told
    assert snapshot(root / "mine") == before


def touch_image(source: Path) -> None:
    Image.new("RGB", (9, 6), (1, 2, 3)).save(source / "images" / "1.png")


def change_tag(source: Path) -> None:
    rows = rows_of(source)
    rows[0]["tags"] = {"twin": "1.png"}
    write(source, rows)


def change_order(source: Path) -> None:
    rows = rows_of(source)
    write(source, [rows[1], rows[0], *rows[2:]])


def change_split(source: Path) -> None:
    rows = rows_of(source)
    rows[0]["split"] = "val"
    write(source, rows)


@pytest.mark.parametrize("change", [touch_image, change_caption, change_tag, change_order, change_split])
def test_what_changes_the_data_changes_the_protocol(
    change: Callable[[Path], None], source: Path, root: Path, catalog: Catalog
) -> None:
    first = prepare("mine", "listed", {}, source, root, catalog)
    change(source)
    second = prepare("mine", "listed", {}, source, root, catalog)
    assert not second.unchanged
    assert second.protocol != first.protocol


def test_where_it_lies_does_not_change_the_protocol(source: Path, root: Path, catalog: Catalog) -> None:
    first = prepare("mine", "listed", {}, source, root, catalog)
    moved = source.rename(source.with_name("elsewhere"))
    for path in (moved / "images").iterdir():
        os.utime(path, (1, 1))
    second = prepare("mine", "listed", {}, moved, root, catalog)
    assert (second.unchanged, second.protocol) == (False, first.protocol)


def test_parameters_prepare_again(source: Path, root: Path, catalog: Catalog) -> None:
    prepare("mine", "listed", {}, source, root, catalog)
    asked = part(params={"first": 5})
    refused(asked, root, catalog)
    assert not prepare("mine", "listed", {"first": 5}, source, root, catalog).unchanged
    open_dataset(asked, root, catalog)


def test_revision_prepares_again(source: Path, root: Path, catalog: Catalog) -> None:
    prepare("mine", "listed", {}, source, root, catalog)
    entry = catalog.components["dataset", "listed"]
    risen = replace(entry, spec=replace(entry.spec, revision=2))
    catalog = replace(catalog, components={("dataset", "listed"): risen})
    asked = part(revision=2)
    refused(asked, root, catalog)
    assert not prepare("mine", "listed", {}, source, root, catalog).unchanged
    open_dataset(asked, root, catalog)


def refused(asked: Part, root: Path, catalog: Catalog) -> None:
    with pytest.raises(DataError, match="harness data prepare mine --from DIR"):
        open_dataset(asked, root, catalog)
    with pytest.raises(DataError, match="was prepared"):
        protocol_of(asked, root, catalog.find("dataset", "listed").spec)


def test_equal_images_under_other_ids_are_noted(source: Path, root: Path, catalog: Catalog) -> None:
    images = source / "images"
    (images / "4.png").write_bytes((images / "0.png").read_bytes())
    (images / "3.png").write_bytes((images / "2.png").read_bytes())
    notes = prepare("mine", "listed", {}, source, root, catalog).notes
    assert notes[1:] == (
        "1 image file under several ids in more than one split: train:0.png = test:4.png",
        "1 image file under several ids more than once in a split: val:2.png = val:3.png",
    )


def test_what_was_decided_is_noted(source: Path, root: Path, catalog: Catalog) -> None:
    Image.new("L", (8, 8)).save(source / "images" / "0.png")
    rows = rows_of(source)
    rows[1]["captions"].append("third")
    write(source, [row for row in rows if row["split"] != "val"])
    notes = prepare("mine", "listed", {}, source, root, catalog).notes
    assert notes == (
        "listed",
        "split 'val' has no images",
        "captions an image vary from 2 to 3",
        "decoded to upright RGB: 1 greyscale",
    )
    with pytest.raises(DataError, match="no images in split 'val'"):
        open_dataset(part(), root, catalog).split("val")


KILLED = """
import os, signal, sys
from pathlib import Path
from harness.catalog import Catalog
from harness.data import prepare

def killing(done, total, note):
    if note == "decoding images" and done == 3:
        os.kill(os.getpid(), signal.SIGKILL)

prepare("mine", "folder", {}, Path(sys.argv[1]), Path(sys.argv[2]), Catalog.load(), killing)
"""


def test_a_killed_prepare_goes_on(source: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after the third image, the next one decodes the others only, and makes what an undisturbed one makes."""
    (source / "records.json").unlink()
    for split, numbers in (("train", (0, 1, 2, 3)), ("val", (4,)), ("test", (5,))):
        lines = [json.dumps({"image": f"{n}.png", "captions": ["a"]}) for n in numbers]
        (source / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    catalog = Catalog.load()
    expected = prepare("mine", "folder", {}, source, root / "undisturbed", catalog)
    killed = subprocess.run([sys.executable, "-c", KILLED, source, root], check=False)
    assert killed.returncode == -signal.SIGKILL
    (journal,) = root.glob(".mine~seen.jsonl")
    seen = len(journal.read_text(encoding="utf-8").splitlines())
    assert seen >= 3
    with journal.open("a") as file:
        file.write('[["cut off by a full disk')
    decoded = watch(monkeypatch)
    manifest = prepare("mine", "folder", {}, source, root, catalog)
    assert len(decoded) == 6 - seen
    assert (manifest.protocol, manifest.records_sha256) == (expected.protocol, expected.records_sha256)
    assert not journal.exists()


def test_after_problems_only_what_changed_is_decoded(
    source: Path, root: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (source / "images" / "4.png").read_bytes()
    (source / "images" / "4.png").write_bytes(whole[:30])
    with pytest.raises(DataError, match=r"4\.png"):
        prepare("mine", "listed", {}, source, root, catalog)
    (source / "images" / "4.png").write_bytes(whole)
    # Of the same size, and written later.
    os.utime(source / "images" / "1.png", ns=(1, 1))
    decoded = watch(monkeypatch)
    prepare("mine", "listed", {}, source, root, catalog)
    assert sorted(decoded) == ["1.png", "4.png"]


def test_a_journal_of_another_folder_or_version_counts_for_nothing(
    source: Path, root: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source / "images" / "5.png").rename(source / "5.png")
    with pytest.raises(DataError, match=r"5\.png"):
        prepare("mine", "listed", {}, source, root, catalog)
    (journal,) = root.glob(".mine~seen.jsonl")
    lines = journal.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 5
    (source / "5.png").rename(source / "images" / "5.png")
    for place, other in ((1, "0.0"), (2, "/another/folder")):
        changed = [json.loads(line) for line in lines]
        for row in changed:
            row[0][place] = other
        journal.write_text("".join(json.dumps(row) + "\n" for row in changed), encoding="utf-8")
        decoded = watch(monkeypatch)
        prepare("mine", "listed", {}, source, root, catalog)
        assert len(decoded) == 6
        shutil.rmtree(root / "mine")


def watch(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets the name of every image that is decoded."""
    decoded: list[str] = []

    def inspect(path: Path) -> Inspection:
        decoded.append(path.name)
        return inspect_image(path)

    monkeypatch.setattr("harness.data.journal.inspect", inspect)
    return decoded
