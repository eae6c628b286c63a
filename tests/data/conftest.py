"""Components that say what a test tells them to, and a folder of six photographs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from harness.catalog import Catalog, Entry
from harness.plan import Part
from harness.specs import DatasetSpec

COMPONENTS = '''
import json
from harness.api import Annotations, DataError, Record

class Listed:
    """Returns the rows of records.json as they stand, checked by nobody."""

    def __init__(self, *, first: int | None = None) -> None:
        self.first = first

    def annotations(self, source):
        rows = json.loads((source / "records.json").read_text(encoding="utf-8"))
        return Annotations(records=tuple(
            Record(image=r["image"], split=r["split"], captions=tuple(r["captions"]), file=r["file"],
                   tags=r.get("tags", {}))
            for r in rows[: self.first]
        ), notes=("listed",))

class Raising:
    def annotations(self, source):
        raise KeyError("sentences")

class Halting(Listed):
    """Says in its message alone what is wrong, and hands over what it could read."""

    def annotations(self, source):
        raise DataError(f"{source}/records.json: line 7 is cut", records=super().annotations(source).records)

class Wrong:
    def annotations(self, source):
        return ["a.jpg"]

class Drawn:
    def __init__(self, *, channels: int = 3) -> None:
        self.channels = channels

    def annotations(self, source):
        return Annotations(records=tuple(
            Record(image=f"{s}{k}", split=s, captions=(f"{s} {k}",))
            for s in ("train", "val", "test") for k in range(3)
        ))

    def pixels(self, record):
        import numpy as np
        return np.full((4, 5, self.channels), int(record.image[-1]), np.uint8)
'''


def write(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Write what the component `listed` reads."""
    (folder / "records.json").write_text(json.dumps(rows), encoding="utf-8")


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """Return what `write` wrote."""
    rows: list[dict[str, Any]] = json.loads((folder / "records.json").read_text(encoding="utf-8"))
    return rows


def change_caption(source: Path) -> None:
    """Write another first caption."""
    rows = rows_of(source)
    rows[0]["captions"][0] = "another"
    write(source, rows)


def part(**changes: Any) -> Part:
    """Return what asks for the dataset `mine` of the component `listed`."""
    return Part(**{"name": "mine", "use": "listed", "revision": 1, "params": {}, "title": "Mine"} | changes)


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return bytes and times of all files, by name."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def catalog_of(revision: int = 1) -> Catalog:
    entries = {}
    for name in ("listed", "raising", "halting", "wrong", "drawn"):
        spec = DatasetSpec(
            name=name,
            target=f"harness_test_components:{name.capitalize()}",
            summary=name,
            revision=revision,
            embedded=name == "drawn",
        )
        entries["dataset", name] = Entry(spec=spec, plugin="test", distribution="test", version="1")
    return Catalog(components=entries)


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """Return a catalog whose components lie in a module of their own, as a plugin's do."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "harness_test_components.py").write_text(COMPONENTS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path / "code")
    monkeypatch.delitem(sys.modules, "harness_test_components", raising=False)
    return catalog_of()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data root ü"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Write six images, two a split, each of its own colour and with two captions."""
    folder = tmp_path / "my photographs é"
    (folder / "images").mkdir(parents=True)
    rows = []
    for position, split in enumerate(("train", "train", "val", "val", "test", "test")):
        name = f"{position}.png"
        Image.new("RGB", (8 + position, 6), (position * 40, 10, 20)).save(folder / "images" / name)
        captions = [f"caption {position} a", f"légende {position} b"]
        rows.append({"image": name, "split": split, "captions": captions, "file": f"images/{name}"})
    write(folder, rows)
    return folder
