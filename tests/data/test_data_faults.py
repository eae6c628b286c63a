"""Faults while preparing: all named at once, and what was there before is there after."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from harness.catalog import Catalog
from harness.data import journal, open_dataset, prepare, prepared_parts, protocol_of, verify
from harness.errors import DataError, InputError, StoreError
from tests.data.conftest import change_caption, part, rows_of, snapshot, write


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
    with pytest.raises(DataError, match="is not prepared in"):
        protocol_of(part(), root, catalog.find("dataset", "listed").spec)


def test_bomb_is_refused_by_name(
    source: Path, root: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Image, "MAX_IMAGE_PIXELS", 60
    )  # for Pillow a bomb already, for its error still too small
    with pytest.raises(DataError, match=r"images/3\.png: refused before decoding"):
        prepare("mine", "listed", {}, source, root, catalog)


def test_failed_prepare_keeps_what_was_there(source: Path, root: Path, catalog: Catalog) -> None:
    prepare("mine", "listed", {}, source, root, catalog)
    before = snapshot(root / "mine")
    (source / "images" / "0.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"images/0\.png"):
        prepare("mine", "listed", {}, source, root, catalog)
    assert snapshot(root / "mine") == before
    assert [path.name for path in root.iterdir() if "~new~" in path.name] == []


@pytest.mark.parametrize(
    ("call", "at"), [*(("fsync", at) for at in range(1, 7)), ("rename", 1), ("rename", 2)]
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
    found: list[dict[str, int]] = []
    for p in ({}, {"first": 5}):
        with contextlib.suppress(DataError):
            protocol_of(part(params=p), root, catalog.find("dataset", "listed").spec)
            found.append(p)
    assert len(found) == 1, "neither or both can be opened"
    assert len(open_dataset(part(params=found[0]), root, catalog).records) == (6 if found[0] == {} else 5)
    assert list(prepared_parts(root)) == ["mine"]
    image = source / "images" / "0.png"
    good = image.read_bytes()
    image.write_bytes(b"broken")
    with pytest.raises(DataError):
        prepare("mine", "listed", {"first": 4}, source, root, catalog)
    open_dataset(part(params=found[0]), root, catalog)
    image.write_bytes(good)
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
    with pytest.raises(
        StoreError, match=r"mine~new~.*records\.jsonl: No space left on device; it needs more than"
    ):
        prepare("mine", "listed", {}, source, root, catalog)
    assert snapshot(root / "mine") == before
    assert sorted(path.name for path in root.iterdir()) == [".mine~lock", ".mine~seen.jsonl", "mine"]


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
    with pytest.raises(DataError, match="neither a folder nor an archive"):
        prepare("mine", "listed", {}, source / "nowhere", root, catalog)
    with pytest.raises(DataError, match="needs no preparation"):
        prepare("mine", "drawn", {}, source, root, catalog)
    with pytest.raises(InputError, match="did you mean 'listed'"):
        prepare("mine", "liste", {}, source, root, catalog)
    with pytest.raises(DataError, match=r"'raising' failed while reading .*KeyError"):
        prepare("mine", "raising", {}, source, root, catalog)
    with pytest.raises(DataError, match="'wrong' returned list"):
        prepare("mine", "wrong", {}, source, root, catalog)


def test_a_message_of_a_component_without_a_list_stands_in_the_list(
    source: Path, root: Path, catalog: Catalog
) -> None:
    with pytest.raises(DataError, match=r"^[^\n]*line 7 is cut$"):
        prepare("mine", "halting", {}, source, root, catalog)
    (source / "images" / "3.png").write_bytes(b"")
    with pytest.raises(DataError, match="has 2 problems") as caught:
        prepare("mine", "halting", {}, source, root, catalog)
    assert caught.value.problems == (
        f"{source}/records.json: line 7 is cut",
        "images/3.png: empty file",
    )


def test_interrupt_stops_at_once(
    source: Path, root: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Path] = []
    real = journal.inspect

    def counted(path: Path) -> Any:
        looked.append(path)
        return real(path)

    def interrupt(done: int, total: int, note: str) -> None:
        if done == 1:
            raise KeyboardInterrupt

    rows = rows_of(source)
    write(source, [{**rows[0], "image": f"{k}"} for k in range(3000)])
    monkeypatch.setattr(journal, "inspect", counted)
    with pytest.raises(KeyboardInterrupt):
        prepare("mine", "listed", {}, source, root, catalog, interrupt)
    assert len(looked) < 3000
    assert sorted(path.name for path in root.iterdir()) == [".mine~lock", ".mine~seen.jsonl"]
