"""Runs appear whole or not at all, and damage is noticed."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from harness.errors import StoreError
from harness.manifest import SCHEMA
from harness.store import Result, Store


def result(fingerprint: str = "f" * 16, **changes: object) -> Result:
    values: dict[str, object] = {
        "fingerprint": fingerprint,
        "spec": {"dim": 2},
        "dataset": "shapes",
        "passport": "p",
        "images": 1,
        "captions": 5,
        "limit": None,
        "figures": {},
        "val_rsum": 1.0,
        "epochs": 1,
        "best_epoch": 1,
        "cost": {},
        "provenance": {},
    }
    return Result(**{**values, **changes})  # type: ignore[arg-type]


def write(folder: Path) -> None:
    (folder / "history.jsonl").write_text("{}\n")


def test_round_trip(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert not store.finished("f" * 16)
    store.publish(result(), write)
    assert store.fingerprints() == ["f" * 16]
    assert store.result("f" * 16) == result(notes=[])
    assert store.damage("f" * 16) == []


def test_a_failing_write_leaves_nothing_and_keeps_the_old(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.publish(result(val_rsum=1.0), write)

    def fail(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="No space left"):
        store.publish(result(val_rsum=2.0), fail)
    assert store.result("f" * 16).val_rsum == 1.0
    assert [p.name for p in store.runs.iterdir()] == ["f" * 16]


def test_one_flipped_bit_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.publish(result(), write)
    path = store.folder("f" * 16) / "history.jsonl"
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    assert store.damage("f" * 16) == [str(path)]
    with pytest.raises(StoreError, match=r"history\.jsonl is missing or damaged"):
        store.checked("f" * 16, "history.jsonl")


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.publish(result(schema=SCHEMA + 1), write)
    with pytest.raises(StoreError, match="newer version"):
        store.result("f" * 16)


def test_update_keeps_the_other_files(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.publish(result(), write)
    store.update(result(figures={"recall": {"values": {"rsum": 1.0}}}))
    assert store.result("f" * 16).figures["recall"]["values"] == {"rsum": 1.0}
    assert (store.folder("f" * 16) / "history.jsonl").read_text() == "{}\n"
    assert store.damage("f" * 16) == []


def test_update_gives_a_damaged_file_no_new_checksum(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.publish(result(), write)
    path = store.folder("f" * 16) / "history.jsonl"
    path.write_text("[]\n")
    (store.folder("f" * 16) / "stray").write_text("of nobody")
    store.update(result(val_rsum=2.0))
    assert store.damage("f" * 16) == [str(path)]
    assert store.result("f" * 16).val_rsum == 2.0
    assert not (store.folder("f" * 16) / "stray").exists()
    store.update(result(val_rsum=3.0), write)
    assert store.damage("f" * 16) == []
    path.unlink()
    with pytest.raises(StoreError, match=r"history\.jsonl is missing"):
        store.update(result(val_rsum=4.0))
    assert store.result("f" * 16).val_rsum == 3.0


@pytest.mark.parametrize("refusal", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
def test_update_copies_where_a_file_can_have_no_second_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    store = Store(tmp_path)
    store.publish(result(), write)

    def link(source: Path, target: Path) -> None:
        raise OSError(refusal, os.strerror(refusal), str(source), None, str(target))

    monkeypatch.setattr(os, "link", link)
    store.update(result(val_rsum=2.0))
    assert store.result("f" * 16).val_rsum == 2.0
    assert store.damage("f" * 16) == []
    # A copy of what was damaged gets no new checksum either.
    path = store.folder("f" * 16) / "history.jsonl"
    path.write_text("[]\n")
    store.update(result(val_rsum=3.0))
    assert store.damage("f" * 16) == [str(path)]


def test_update_tells_any_other_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    store.publish(result(), write)

    def link(source: Path, target: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(StoreError, match=r"cannot write .*Input/output error"):
        store.update(result(val_rsum=2.0))
    assert store.result("f" * 16).val_rsum == 1.0
    assert [path.name for path in store.runs.iterdir()] == ["f" * 16]


def test_update_of_a_run_that_lies_on_another_disk(tmp_path: Path) -> None:
    """Its folder is a link that somebody put there: between two file systems no file has two names."""
    elsewhere = Path("/dev/shm")
    if not os.access(elsewhere, os.W_OK) or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second disk to write to")
    store = Store(tmp_path)
    store.publish(result(), write)
    folder = store.folder("f" * 16)
    with tempfile.TemporaryDirectory(dir=elsewhere) as away:
        shutil.move(folder, away)
        folder.symlink_to(Path(away) / folder.name)
        store.update(result(val_rsum=2.0))
    assert store.result("f" * 16).val_rsum == 2.0
    assert (folder / "history.jsonl").read_text() == "{}\n"
    assert store.damage("f" * 16) == []
    assert [path.name for path in store.runs.iterdir()] == ["f" * 16]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("result.json", lambda raw: {**raw, "schema": "9"}),
        ("result.json", lambda raw: {**raw, "more": 1}),
        ("result.json", lambda raw: [raw]),
        ("manifest.json", lambda raw: {**raw, "files": []}),
        ("manifest.json", lambda raw: {**raw, "files": 3}),
        ("manifest.json", lambda raw: []),
    ],
)
def test_what_others_wrote_into_a_store_is_refused_and_named(
    tmp_path: Path, name: str, change: Callable[[object], object]
) -> None:
    store = Store(tmp_path)
    store.publish(result(), write)
    path = store.folder("f" * 16) / name
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    assert store.damage("f" * 16) != []
    read = store.result if name == "result.json" else partial(store.checked, name="history.jsonl")
    with pytest.raises(StoreError, match=f"{re.escape(name)}|history.*damaged"):
        read("f" * 16)


def test_a_kill_between_the_two_renames_is_mended(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.publish(result(), write)
    folder = store.folder("f" * 16)
    (store.runs / f".{'f' * 16}.half-written").mkdir()
    folder.rename(store.runs / f".{'f' * 16}.abc.old")
    assert not store.finished("f" * 16)
    store.recover("f" * 16)
    assert store.result("f" * 16).val_rsum == 1.0
    assert [path.name for path in store.runs.iterdir()] == ["f" * 16]


def test_damage_can_be_asked_of_some_files(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.publish(result(), write)
    path = store.folder("f" * 16) / "history.jsonl"
    path.unlink()
    assert store.damage("f" * 16, {"result.json"}) == []
    assert store.damage("f" * 16, {"result.json", "history.jsonl"}) == [str(path)]


def test_manifest_covers_every_file(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.publish(result(), write)
    folder = store.folder("f" * 16)
    listed = json.loads((folder / "manifest.json").read_text())["files"]
    assert set(listed) == {p.name for p in folder.iterdir()} - {"manifest.json"}


def test_a_forced_attempt_goes_on_from_a_forced_one_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    checkpoint = store.work("f" * 16) / "checkpoint.pt"

    def interrupted(*, force: bool) -> bool:
        """Begin an attempt, tell whether a checkpoint is there, and leave one."""
        store.begin("f" * 16, force=force)
        found = checkpoint.exists()
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.write_text("x")
        return found

    assert [interrupted(force=force) for force in (False, False, True, True)] == [False, True, False, True]
    store.publish(result(), write)
    assert not interrupted(force=False)
    store.begin("f" * 16, force=False)  # answered from the store: what an attempt left is of no use
    assert not checkpoint.exists()
