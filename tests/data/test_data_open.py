"""Opening and verifying: nothing that has changed is used, and the message says what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.catalog import Catalog
from harness.data import open_dataset, prepare, prepare_again, prepared_parts, protocol_of, status, verify
from harness.data.manifest import SCHEMA
from harness.errors import DataError
from harness.plan import Part
from harness.specs import DatasetSpec


def part(**changes: Any) -> Part:
    return Part(**{"name": "mine", "use": "listed", "revision": 1, "params": {}, "title": "Mine"} | changes)


def test_unknown_split_and_limit_are_named(source: Path, root: Path, catalog: Catalog) -> None:
    prepare("mine", "listed", {}, source, root, catalog)
    dataset = open_dataset(part(), root, catalog)
    with pytest.raises(DataError, match="did you mean 'train'"):
        dataset.split("trian")
    with pytest.raises(DataError, match="limit 0"):
        dataset.split("train", 0)


def test_other_parameters_than_those_of_the_entry_are_told_with_what_to_write(
    source: Path, root: Path, catalog: Catalog
) -> None:
    prepare("mine", "listed", {}, source, root, catalog)
    with pytest.raises(DataError) as caught:
        open_dataset(part(params={"strict": False, "captions": "all"}), root, catalog)
    assert caught.value.message == (
        "dataset 'mine' cannot be used: it was prepared with no parameters, and its entry in the registry has "
        'captions: "all", strict: false'
    )
    assert "into that entry" in caught.value.hint
    assert "--as NAME" in caught.value.hint
    with pytest.raises(DataError) as caught:
        open_dataset(part(revision=2, params={"strict": False}), root, catalog)
    assert caught.value.hint == "harness data prepare mine --from DIR"


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
        json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"schema": SCHEMA + 1}), encoding="utf-8"
    )
    with pytest.raises(DataError, match=f"has schema {SCHEMA + 1}, this harness reads up to {SCHEMA}"):
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


def test_verify_finds_one_flipped_bit_in_any_file(source: Path, root: Path, catalog: Catalog) -> None:
    prepare("mine", "listed", {}, source, root, catalog)
    assert verify("mine", root) == []
    files = [*(source / "images").iterdir(), *(root / "mine").iterdir()]
    assert len(files) == 8
    for path in files:
        data = path.read_bytes()
        for at in range(0, len(data), max(1, len(data) // 20)):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            problems = verify("mine", root)
            assert len(problems) == 1, path
            assert path.name in problems[0]
        path.write_bytes(data)
    (source / "images" / "2.png").unlink()
    assert [p for p in verify("mine", root) if "2.png: no such file" in p]
    with pytest.raises(DataError, match="did you mean 'mine'"):
        verify("mien", root)


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
    assert "Write the parameters that it was prepared with into that entry" in found["old"].detail
    assert found["lost"].command == "harness data prepare lost --from DIR"
    assert "no plugin declares dataset 'nobody'" in found["strange"].detail
    assert sorted(prepared_parts(root)) == ["extra", "lost", "old", "ready", "torn"]
    again = "harness data prepare listed"
    # Of a name of the registry, its own; of another one, the component that read it, as far as that can be told.
    assert found["torn"].command == prepare_again(root, "torn") == f"{again} --from '{source}' --as torn"
    assert prepare_again(root, "lost") == f"{again} --from DIR --as lost"
    for name in ("extra", "ready"):
        (root / name / "manifest.json").write_bytes(b"{}\n")
    found = {item.name: item for item in status(root, registry, catalog)}
    assert found["extra"].command == "harness data prepare COMPONENT --from DIR --as extra"
    assert found["ready"].command == "harness data prepare ready --from DIR"


def test_why_a_dataset_has_no_passport(source: Path, root: Path, catalog: Catalog) -> None:
    """Not prepared, prepared otherwise and damaged are three things, and each is said."""
    spec = catalog.find("dataset", "listed").spec
    assert isinstance(spec, DatasetSpec)
    with pytest.raises(DataError, match="'mine' is not prepared in"):
        protocol_of(part(), root, spec)
    prepare("mine", "listed", {}, source, root, catalog)
    with pytest.raises(DataError, match="by revision 1 of 'listed', now 2"):
        protocol_of(part(revision=2), root, spec)
    manifest = root / "mine" / "manifest.json"
    manifest.write_text(
        manifest.read_text(encoding="utf-8").replace('"listed"', '"lister"'), encoding="utf-8"
    )
    with pytest.raises(DataError, match=r"manifest\.json") as caught:
        protocol_of(part(), root, spec)
    assert caught.value.hint == "harness data prepare mine --from DIR"
    assert prepared_parts(root) == {}
    with pytest.raises(DataError, match=r"manifest\.json") as caught:
        prepared_parts(root, asked=["mine"])
    assert caught.value.hint.endswith("--as mine")


def test_no_heavy_import() -> None:
    heavy = ("torch", "pandas", "numpy", "PIL")
    code = f"import sys, harness.data; print([m for m in {heavy} if m in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
