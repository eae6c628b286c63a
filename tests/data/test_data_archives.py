"""Images from archives: unpacked once, resumed, and hostile ones refused."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from harness.catalog import Catalog
from harness.data import open_dataset, prepare
from harness.data.archives import unpack
from harness.errors import DataError
from harness.plan import Part


def picture(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (shade, 255 - shade, 0)).save(buffer, "PNG")
    return buffer.getvalue()


PICTURES = {f"images/{n}.png": picture(10 * n) for n in range(6)}


def silent(done: int, total: int, note: str) -> None:
    """Tell nobody."""


def make_tar(path: Path, files: dict[str, bytes], mode: str = "w", *extra: tarfile.TarInfo) -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in extra:
            archive.addfile(info)
    return path


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


MAKERS: dict[str, Callable[[Path, dict[str, bytes]], Path]] = {
    "a.tar": make_tar,
    "a.tar.gz": lambda path, files: make_tar(path, files, "w:gz"),
    "a.tgz": lambda path, files: make_tar(path, files, "w:gz"),
    "a.tar.xz": lambda path, files: make_tar(path, files, "w:xz"),
    "A.ZIP": make_zip,
}


@pytest.mark.parametrize("name", MAKERS)
def test_every_form_gives_the_same_files(tmp_path: Path, name: str) -> None:
    archive = MAKERS[name](tmp_path / name, PICTURES | {"readme.txt": b"hello", "images/._1.png": b"mac"})
    notes = unpack(archive, tmp_path / "out", silent)
    found = {
        p.relative_to(tmp_path / "out").as_posix(): p.read_bytes() for p in (tmp_path / "out").rglob("*.*")
    }
    assert found == PICTURES
    assert notes == [f"{name}: 2 members that are no images left out"]


def test_what_is_there_is_passed_over_and_what_is_half_is_not(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a.tar", PICTURES)
    unpack(archive, tmp_path / "out", silent)
    kept, half = (tmp_path / "out" / "images" / name for name in ("1.png", "2.png"))
    stamp = kept.stat().st_mtime_ns
    half.write_bytes(PICTURES["images/2.png"][:20])
    unpack(archive, tmp_path / "out", silent)
    assert kept.stat().st_mtime_ns == stamp
    assert half.read_bytes() == PICTURES["images/2.png"]


@pytest.mark.parametrize("maker", [make_tar, make_zip])
@pytest.mark.parametrize(
    "name", ["../evil.png", "/tmp/evil.png", "a/../../evil.png", "..\\evil.png", "c:/evil.png"]
)
def test_names_that_leave_the_folder_are_refused(
    tmp_path: Path, maker: Callable[[Path, dict[str, bytes]], Path], name: str
) -> None:
    suffix = "tar" if maker is make_tar else "zip"
    archive = maker(tmp_path / f"a.{suffix}", {name: picture(1)})
    with pytest.raises(DataError, match="would be written outside"):
        unpack(archive, tmp_path / "out" / "deep", silent)
    assert not list(tmp_path.rglob("*evil*"))


def test_links_and_devices_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(picture(3))
    extra = []
    for name, kind in (("l.png", tarfile.SYMTYPE), ("h.png", tarfile.LNKTYPE), ("d.png", tarfile.CHRTYPE)):
        info = tarfile.TarInfo(f"images/{name}")
        info.type, info.linkname = kind, "../../secret.png"
        extra.append(info)
    fifo = tarfile.TarInfo("images/f.png")
    fifo.type = tarfile.FIFOTYPE
    archive = make_tar(tmp_path / "a.tar", PICTURES, "w", *extra, fifo)
    notes = unpack(archive, tmp_path / "out", silent)
    assert notes == ["a.tar: 4 members that are no images left out"]
    assert {path.name for path in (tmp_path / "out" / "images").iterdir()} == {f"{n}.png" for n in range(6)}


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside.png"
    outside.write_bytes(b"mine")
    folder = tmp_path / "out" / "images"
    folder.mkdir(parents=True)
    (folder / "1.png").symlink_to(outside)
    unpack(make_tar(tmp_path / "a.tar", PICTURES), tmp_path / "out", silent)
    assert outside.read_bytes() == b"mine"
    assert (folder / "1.png").read_bytes() == PICTURES["images/1.png"]


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = make_zip(tmp_path / "bomb.zip", {"a.png": bytes(2**20)})
    assert bomb.stat().st_size < 2**12
    monkeypatch.setattr("harness.data.archives.MAX_BYTES", 2**16)
    with pytest.raises(DataError, match=r"'a\.png' is refused"):
        unpack(bomb, tmp_path / "out", silent)
    monkeypatch.undo()
    monkeypatch.setattr("harness.data.archives.MAX_TOTAL", 3 * len(PICTURES["images/1.png"]))
    with pytest.raises(DataError, match="is refused"):
        unpack(make_tar(tmp_path / "many.tar", PICTURES), tmp_path / "many", silent)
    monkeypatch.undo()
    monkeypatch.setattr("harness.data.archives.MAX_MEMBERS", 3)
    with pytest.raises(DataError, match="is refused"):
        unpack(make_tar(tmp_path / "more.tar", PICTURES), tmp_path / "more", silent)


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.zip", "a.tgz"])
@pytest.mark.parametrize("damage", ["cut", "text", "empty"])
def test_a_damaged_archive_is_named(tmp_path: Path, name: str, damage: str) -> None:
    archive = (make_zip if name.endswith("zip") else MAKERS[name])(tmp_path / name, PICTURES)
    data = archive.read_bytes()
    # Of a bare tar, a cut between two members cannot be seen: missing images tell of it later.
    archive.write_bytes(
        {
            "cut": data[: 4 * 1024 + 522 if name == "a.tar" else len(data) // 2],
            "text": b"not an archive" * 100,
            "empty": b"",
        }[damage]
    )
    with pytest.raises(DataError, match=name):
        unpack(archive, tmp_path / "out", silent)


def karpathy(path: Path) -> Path:
    splits = ["train"] * 4 + ["val", "test"]
    rows = [
        {"filename": f"{n}.png", "split": split, "sentences": [{"raw": f"picture {n}"}]}
        for n, split in enumerate(splits)
    ]
    path.write_text(json.dumps({"images": rows}))
    return path


def test_a_dataset_from_an_archive_can_be_opened(tmp_path: Path) -> None:
    catalog = Catalog.load()
    archive, file = (
        make_tar(tmp_path / "pictures.tar.gz", PICTURES, "w:gz"),
        karpathy(tmp_path / "dataset.json"),
    )
    params = {"strict": False}
    root = tmp_path / "data"
    manifest = prepare("photos", "flickr30k", params, archive, root, catalog, files=[file])
    assert manifest.counts["train"] == {"images": 4, "captions": 4}
    again = prepare("photos", "flickr30k", params, archive, root, catalog, files=[file])
    assert again.unchanged
    part = Part(name="photos", use="flickr30k", revision=manifest.revision, params=params, title="photos")
    dataset = open_dataset(part, root, catalog)
    (record,) = dataset.split("test").records
    assert dataset.pixels(record)[0, 0].tolist() == [50, 205, 0]


def test_a_component_that_takes_no_files_says_so(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    file = karpathy(tmp_path / "dataset.json")
    with pytest.raises(DataError, match="'folder' takes no annotation files"):
        prepare("photos", "folder", {}, tmp_path / "images", tmp_path / "data", Catalog.load(), files=[file])
    with pytest.raises(DataError, match=r"no such annotation file: .*gone\.json"):
        prepare(
            "photos",
            "flickr30k",
            {},
            tmp_path / "images",
            tmp_path / "data",
            Catalog.load(),
            files=[tmp_path / "gone.json"],
        )


def test_a_killed_unpacking_goes_on(tmp_path: Path) -> None:
    big = {f"images/{n}.png": bytes([n]) * 2_000_000 for n in range(60)}
    archive = make_tar(tmp_path / "a.tar", big)
    script = (
        "import sys; from pathlib import Path; from harness.data.archives import unpack\n"
        "unpack(Path(sys.argv[1]), Path(sys.argv[2]), lambda *told: None)"
    )
    out = tmp_path / "out"
    process = subprocess.Popen([sys.executable, "-c", script, str(archive), str(out)])
    deadline = time.monotonic() + 60
    while not list(out.rglob("*.png")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    whole = list(out.rglob("[0-9]*.png"))
    assert whole
    assert all(path.stat().st_size == 2_000_000 for path in whole)
    unpack(archive, out, silent)
    assert {f"images/{path.name}": path.read_bytes() for path in out.rglob("[0-9]*.png")} == big
