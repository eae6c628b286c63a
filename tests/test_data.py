"""Preparing, verifying, opening: all problems at once, nothing half-written, nothing changed is used."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from harness.catalog import Catalog, Entry
from harness.data import open_dataset, prepare, prepared_parts, protocol_of, status, verify
from harness.data import prepared as preparing
from harness.errors import DataError, InputError, StoreError
from harness.plan import Part
from harness.specs import DatasetSpec
from PIL import Image

COMPONENTS = '''
import json
from harness.api import Annotations, Record

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
NAMES = ("listed", "raising", "wrong", "drawn")


def catalog_of(revision: int = 1) -> Catalog:
    entries = {}
    for name in NAMES:
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


def test_unknown_split_and_limit_are_named(source: Path, root: Path, catalog: Catalog) -> None:
    prepare("mine", "listed", {}, source, root, catalog)
    dataset = open_dataset(part(), root, catalog)
    with pytest.raises(DataError, match="did you mean 'train'"):
        dataset.split("trian")
    with pytest.raises(DataError, match="limit 0"):
        dataset.split("train", 0)


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


def test_parameters_and_revision_prepare_again(source: Path, root: Path, catalog: Catalog) -> None:
    prepare("mine", "listed", {}, source, root, catalog)
    for params, other in (({"first": 5}, catalog), ({"first": 5}, catalog_of(revision=2))):
        asked = part(params=params, revision=other.find("dataset", "listed").spec.revision)
        with pytest.raises(DataError, match="harness data prepare mine --from DIR"):
            open_dataset(asked, root, other)
        assert protocol_of(asked, root, other.find("dataset", "listed").spec) is None
        assert not prepare("mine", "listed", params, source, root, other).unchanged
        open_dataset(asked, root, other)


def test_all_problems_at_once(source: Path, root: Path, catalog: Catalog, tmp_path: Path) -> None:
    images = source / "images"
    outside = tmp_path / "outside.png"
    Image.new("RGB", (4, 4)).save(outside)
    (images / "text.jpg").write_text("no image")
    (images / "empty.jpg").write_bytes(b"")
    Image.new("RGB", (50, 50)).save(images / "cut.jpg")
    (images / "cut.jpg").write_bytes((images / "cut.jpg").read_bytes()[:-30])
    (images / "link.png").symlink_to(outside)
    (images / "loop.png").symlink_to(images / "loop.png")
    bad = {
        "text.jpg": {"file": "images/text.jpg"},
        "empty.jpg": {"file": "images/empty.jpg"},
        "cut.jpg": {"file": "images/cut.jpg"},
        "link.png": {"file": "images/link.png"},
        "loop.png": {"file": "images/loop.png"},
        "gone.png": {"file": "images/gone.png"},
        "climb.png": {"file": "images/../../outside.png"},
        "absolute.png": {"file": str(outside)},
        "nul.png": {"file": "images/\0.png"},
        "nowhere": {"file": ""},
        "trains.png": {"split": "trian"},
        "silent.png": {"captions": []},
        "blank.png": {"captions": ["fine", "  \t"]},
        "half.png": {"captions": ["a \ud800 b"]},
        "line\nbreak": {},
    }
    good = {"split": "train", "captions": ["a"], "file": "images/0.png"}
    rows = [*rows_of(source), *({"image": image, **good, **change} for image, change in bad.items())]
    rows += [{"image": "0.png", **good, "split": "test"}, {"image": "4.png", **good, "split": "test"}]
    write(source, rows)
    with pytest.raises(DataError) as caught:
        prepare("mine", "listed", {}, source, root, catalog)
    problems = caught.value.problems
    for expected in (
        "images/text.jpg: not an image of a known format",
        "images/empty.jpg: empty file",
        "images/cut.jpg: truncated",
        "images/link.png: path 'images/link.png' is a link out of the source folder",
        "images/loop.png: ",
        "images/gone.png: no such file",
        "path 'images/../../outside.png' leaves the source folder",
        f"path {str(outside)!r} leaves the source folder",
        "holds NUL",
        "image 'nowhere': the path of its file is empty",
        "image 'trains.png': unknown split 'trian'; did you mean 'train'?",
        "image 'silent.png': has no caption",
        "caption 'blank.png#1': empty",
        "caption 'half.png#0': holds half a surrogate pair",
        "image 'line\\nbreak': an id is one or more printable characters",
        "image '0.png': stands in 'train' and 'test'",
        "image '4.png': stands twice in 'test'",
    ):
        assert sum(expected in problem for problem in problems) == 1, expected
    assert len(problems) == 17
    assert "17 problems" in caught.value.message
    assert not (root / "mine").exists()
    assert protocol_of(part(), root, catalog.find("dataset", "listed").spec) is None


def test_bomb_is_refused_by_name(
    source: Path, root: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Image, "MAX_IMAGE_PIXELS", 60
    )  # for Pillow a bomb already, for its error still too small
    with pytest.raises(DataError, match=r"images/3\.png: refused before decoding"):
        prepare("mine", "listed", {}, source, root, catalog)


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


def test_failed_prepare_keeps_what_was_there(source: Path, root: Path, catalog: Catalog) -> None:
    prepare("mine", "listed", {}, source, root, catalog)
    before = snapshot(root / "mine")
    (source / "images" / "0.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"images/0\.png"):
        prepare("mine", "listed", {}, source, root, catalog)
    assert snapshot(root / "mine") == before
    assert [path.name for path in root.iterdir() if "~new~" in path.name] == []


@pytest.mark.parametrize(
    ("call", "at"), [("fsync", 1), ("fsync", 2), ("fsync", 3), ("fsync", 4), ("rename", 1), ("rename", 2)]
)
def test_killed_at_any_write_leaves_the_old_or_the_new(
    call: str, at: int, source: Path, root: Path, catalog: Catalog, tmp_path: Path
) -> None:
    """Where a process dies at its n-th fsync or rename, the dataset opens and the next prepare ends well."""
    old = prepare("mine", "listed", {}, source, root, catalog)
    code = f"""
import os, pathlib, sys
sys.path.insert(0, {str(tmp_path / "code")!r})
from harness.catalog import Catalog, Entry
from harness.data import prepare
from harness.specs import DatasetSpec
calls = 0
owner = os if {call!r} == "fsync" else pathlib.Path
real = getattr(owner, {call!r})
def dying(*given):
    global calls
    calls += 1
    if calls == {at}:
        os._exit(9)
    return real(*given)
setattr(owner, {call!r}, dying)
spec = DatasetSpec(name="listed", target="harness_test_components:Listed", summary="")
entry = Entry(spec=spec, plugin="test", distribution="test", version="1")
prepare("mine", "listed", {{"first": 5}}, pathlib.Path({str(source)!r}), pathlib.Path({str(root)!r}),
        Catalog(components={{("dataset", "listed"): entry}}))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 9, ended.stderr
    found = [
        p
        for p in ({}, {"first": 5})
        if protocol_of(part(params=p), root, catalog.find("dataset", "listed").spec)
    ]
    assert len(found) == 1, "neither or both can be opened"
    assert len(open_dataset(part(params=found[0]), root, catalog).records) == (6 if found[0] == {} else 5)
    assert list(prepared_parts(root)) == ["mine"]
    again = prepare("mine", "listed", {}, source, root, catalog)
    assert again.protocol == old.protocol
    assert sorted(path.name for path in root.iterdir()) == [".mine~lock", "mine"]


def test_unwritable_root_is_named(source: Path, tmp_path: Path, catalog: Catalog) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot write .*file"):
        prepare("mine", "listed", {}, source, tmp_path / "file" / "data", catalog)


def test_full_disk_is_named_and_nothing_is_lost(
    source: Path, root: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare("mine", "listed", {}, source, root, catalog)
    before = snapshot(root / "mine")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    change_caption(source)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device"):
        prepare("mine", "listed", {}, source, root, catalog)
    assert snapshot(root / "mine") == before
    assert sorted(path.name for path in root.iterdir()) == [".mine~lock", "mine"]


def test_foreign_folder_is_never_replaced(source: Path, tmp_path: Path, catalog: Catalog) -> None:
    """The data root may hold the user's own folder under that name, even the source itself."""
    inside = source.rename(tmp_path / "mine")
    before = sorted(path.name for path in inside.rglob("*"))
    with pytest.raises(DataError, match="it is left alone"):
        prepare("mine", "listed", {}, inside, tmp_path, catalog)
    assert sorted(path.name for path in inside.rglob("*")) == before


def test_second_process_is_told(source: Path, root: Path, catalog: Catalog) -> None:
    import filelock

    root.mkdir()
    with filelock.FileLock(root / ".mine~lock"), pytest.raises(DataError, match="another process"):
        prepare("mine", "listed", {}, source, root, catalog)
    prepare("mine", "listed", {}, source, root, catalog)


@pytest.mark.parametrize("name", ["../x", "", "a/b", "A", "x" * 65, "a\0b", ".hidden", "a~b"])
def test_name_stays_inside_the_root(name: str, source: Path, root: Path, catalog: Catalog) -> None:
    with pytest.raises(DataError, match="dataset name"):
        prepare(name, "listed", {}, source, root, catalog)
    with pytest.raises(DataError, match="dataset name"):
        verify(name, root)
    assert not root.exists()


def test_source_and_component_are_checked(source: Path, root: Path, catalog: Catalog) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        prepare("mine", "listed", {}, source / "nowhere", root, catalog)
    with pytest.raises(DataError, match="needs no preparation"):
        prepare("mine", "drawn", {}, source, root, catalog)
    with pytest.raises(InputError, match="did you mean 'listed'"):
        prepare("mine", "liste", {}, source, root, catalog)
    with pytest.raises(DataError, match=r"'raising' failed while reading .*KeyError"):
        prepare("mine", "raising", {}, source, root, catalog)
    with pytest.raises(DataError, match="'wrong' returned list"):
        prepare("mine", "wrong", {}, source, root, catalog)


def test_verify_finds_one_flipped_bit_in_any_file(source: Path, root: Path, catalog: Catalog) -> None:
    prepare("mine", "listed", {}, source, root, catalog)
    assert verify("mine", root) == []
    files = [*(source / "images").iterdir(), *(root / "mine").iterdir()]
    assert len(files) == 8
    for path in files:
        data = path.read_bytes()
        for at in (len(data) // 3, len(data) // 2):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            problems = verify("mine", root)
            assert len(problems) == 1, path
            assert path.name in problems[0]
        path.write_bytes(data)
    (source / "images" / "2.png").unlink()
    assert [p for p in verify("mine", root) if "2.png: no such file" in p]
    with pytest.raises(DataError, match="did you mean 'mine'"):
        verify("mien", root)


def test_changed_image_is_never_used(source: Path, root: Path, catalog: Catalog) -> None:
    """Same size, same time: only the hash tells."""
    prepare("mine", "listed", {}, source, root, catalog)
    dataset = open_dataset(part(), root, catalog)
    record = dataset.split("train").records[0]
    path = source / "images" / "0.png"
    time = path.stat().st_mtime_ns
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(path, ns=(time, time))
    with pytest.raises(DataError, match=r"0\.png: the file is not the one that was prepared\n.*verify mine"):
        dataset.pixels(record)
    path.unlink()
    with pytest.raises(DataError, match=r"0\.png: no such file"):
        dataset.pixels(record)


def test_damaged_records_are_refused_and_prepared_again(source: Path, root: Path, catalog: Catalog) -> None:
    first = prepare("mine", "listed", {}, source, root, catalog)
    path = root / "mine" / "records.jsonl"
    path.write_bytes(path.read_bytes().replace(b"caption 0 a", b"caption 0 b"))
    with pytest.raises(DataError, match=r"records\.jsonl is damaged"):
        open_dataset(part(), root, catalog)
    again = prepare("mine", "listed", {}, source, root, catalog)
    assert (again.unchanged, again.protocol) == (False, first.protocol)


def test_newer_schema_is_refused(source: Path, root: Path, catalog: Catalog) -> None:
    prepare("mine", "listed", {}, source, root, catalog)
    path = root / "mine" / "manifest.json"
    path.write_text(
        json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"schema": 2}), encoding="utf-8"
    )
    with pytest.raises(DataError, match="has schema 2, this harness reads up to 1"):
        open_dataset(part(), root, catalog)


def test_missing_says_the_command(root: Path, catalog: Catalog) -> None:
    with pytest.raises(DataError, match=r"is not prepared in .*\nharness data prepare mine --from DIR"):
        open_dataset(part(), root, catalog)


def test_embedded_is_opened_without_preparing(root: Path, catalog: Catalog) -> None:
    spec = catalog.find("dataset", "drawn").spec
    drawn = part(name="drawn", use="drawn")
    dataset = open_dataset(drawn, root, catalog)
    assert dataset.split("val").image_ids == ("val0", "val1", "val2")
    assert (dataset.pixels(dataset.split("val").records[2]) == 2).all()
    assert len({dataset.content(record) for record in dataset.records}) == 9
    changed = [
        part(name="drawn", use="drawn", revision=2),
        part(name="drawn", use="drawn", params={"channels": 3}),
    ]
    protocols = {protocol_of(p, root, spec) for p in (drawn, *changed)}
    passports = {open_dataset(p, root, catalog).passport for p in (drawn, *changed)}
    assert len(protocols) == len(passports) == 3
    renamed = part(name="other", use="drawn", title="Other")
    assert protocol_of(renamed, root, spec) == protocol_of(drawn, root, spec)
    other = open_dataset(part(name="drawn", use="drawn", params={"channels": 4}), root, catalog)
    with pytest.raises(DataError, match=r"'drawn' drew \(4, 5, 4\) of uint8 for 'train0'"):
        other.pixels(other.records[0])


def test_status_tells_every_state(source: Path, root: Path, catalog: Catalog, tmp_path: Path) -> None:
    def entry(name: str, use: str, **params: Any) -> SimpleNamespace:
        return SimpleNamespace(name=name, use=use, params=params, title="", profile=None)

    entries = [
        entry("drawn", "drawn"),
        entry("ready", "listed"),
        entry("away", "listed"),
        entry("old", "listed", first=3),
        entry("torn", "listed"),
        entry("lost", "listed"),
        entry("strange", "nobody"),
    ]
    registry: Any = SimpleNamespace(datasets={e.name: e for e in entries})
    gone = tmp_path / "gone"
    subprocess.run(["cp", "-r", source, gone], check=True)
    for name, place in (
        ("ready", source),
        ("old", source),
        ("torn", source),
        ("lost", gone),
        ("extra", source),
    ):
        prepare(name, "listed", {}, place, root, catalog)
    gone.rename(tmp_path / "moved")
    (root / "torn" / "records.jsonl").write_bytes(b"{}\n")
    (root / "not-prepared").mkdir()

    found = {item.name: item for item in status(root, registry, catalog)}
    assert {name: item.state for name, item in found.items()} == {
        "drawn": "embedded",
        "ready": "prepared",
        "away": "missing",
        "old": "outdated",
        "torn": "damaged",
        "lost": "source gone",
        "strange": "missing",
        "extra": "prepared",
    }
    assert found["ready"].counts["train"] == {"images": 2, "captions": 4}
    assert found["ready"].command == ""
    assert found["away"].command == "harness data prepare away --from DIR"
    assert found["old"].command == f"harness data prepare old --from '{source}'"
    assert found["lost"].command == "harness data prepare lost --from DIR"
    assert "no plugin declares dataset 'nobody'" in found["strange"].detail
    assert sorted(prepared_parts(root)) == ["extra", "lost", "old", "ready", "torn"]


def test_no_heavy_import() -> None:
    heavy = ("torch", "pandas", "numpy", "PIL")
    code = f"import sys, harness.data; print([m for m in {heavy} if m in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_interrupt_stops_at_once(
    source: Path, root: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Path] = []
    real = preparing.inspect

    def counted(path: Path) -> Any:
        looked.append(path)
        return real(path)

    def interrupt(done: int, total: int, note: str) -> None:
        if done == 1:
            raise KeyboardInterrupt

    rows = rows_of(source)
    write(source, [{**rows[0], "image": f"{k}"} for k in range(3000)])
    monkeypatch.setattr(preparing, "inspect", counted)
    with pytest.raises(KeyboardInterrupt):
        prepare("mine", "listed", {}, source, root, catalog, interrupt)
    assert len(looked) < 3000
    assert sorted(path.name for path in root.iterdir()) == [".mine~lock"]
