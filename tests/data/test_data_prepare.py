"""Preparing: what is read, noted and hashed, and when there is nothing to do."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.catalog import Catalog
from harness.data import open_dataset, prepare, protocol_of
from harness.errors import DataError
from harness.plan import Part


def write(folder: Path, rows: list[dict[str, Any]]) -> None:
    (folder / "records.json").write_text(json.dumps(rows), encoding="utf-8")


def rows_of(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((folder / "records.json").read_text(encoding="utf-8"))
    return rows


def part(**changes: Any) -> Part:
    return Part(**{"name": "mine", "use": "listed", "revision": 1, "params": {}, "title": "Mine"} | changes)


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


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


def change_caption(source: Path) -> None:
    rows = rows_of(source)
    rows[0]["captions"][0] = "another"
    write(source, rows)


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
