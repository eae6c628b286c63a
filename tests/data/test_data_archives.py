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
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from harness.catalog import Catalog
from harness.data import DatasetStatus, open_dataset, prepare, prepare_again, status, verify
from harness.data.archives import unpack
from harness.data.manifest import Manifest, read_manifest
from harness.data.status import settings_of
from harness.errors import DataError
from harness.plan import Part
from harness.registry import Registry, find_registry


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
    notes = unpack([archive], tmp_path / "out", silent)
    found = {
        p.relative_to(tmp_path / "out").as_posix(): p.read_bytes() for p in (tmp_path / "out").rglob("*.*")
    }
    assert found == PICTURES
    assert notes == [f"{name}: 2 members left out, links or no images"]


def test_what_is_there_is_passed_over_and_what_is_half_is_not(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a.tar", PICTURES)
    unpack([archive], tmp_path / "out", silent)
    kept, half, other = (tmp_path / "out" / "images" / name for name in ("1.png", "2.png", "3.png"))
    stamp = kept.stat().st_mtime_ns
    half.write_bytes(PICTURES["images/2.png"][:20])
    other.write_bytes(bytes(len(PICTURES["images/3.png"])))
    unpack([archive], tmp_path / "out", silent)
    assert kept.stat().st_mtime_ns == stamp
    assert other.read_bytes() == PICTURES["images/3.png"], "its size alone does not tell"
    assert half.read_bytes() == PICTURES["images/2.png"]


@pytest.mark.parametrize("maker", [make_tar, make_zip])
@pytest.mark.parametrize(
    "name", ["../evil.png", "/tmp/evil.png", "a/../../evil.png", "..\\evil.png", "c:/evil.png", "."]
)
def test_names_that_leave_the_folder_are_refused(
    tmp_path: Path, maker: Callable[[Path, dict[str, bytes]], Path], name: str
) -> None:
    suffix = "tar" if maker is make_tar else "zip"
    archive = maker(tmp_path / f"a.{suffix}", PICTURES | {name: picture(1)})
    with pytest.raises(DataError, match="would be written outside"):
        unpack([archive], tmp_path / "out" / "deep", silent)
    assert not list(tmp_path.rglob("*.png")), "refused whole"


def bomb(path: Path, size: int, kind: bytes = tarfile.REGTYPE) -> Path:
    """Write images and then a member of zeros, as a compressed stream that claims more than it holds."""
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, data in PICTURES.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        info = tarfile.TarInfo("notes.bin")
        info.size, info.type = size, kind
        assert archive.fileobj is not None
        archive.fileobj.write(info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(32):
            archive.fileobj.write(bytes(2**20))
    return path


@pytest.mark.parametrize(
    ("size", "kind", "told"),
    [
        (2**50, tarfile.REGTYPE, r"'notes\.bin' is refused: the archive unpacks to more than .* 64 GiB"),
        (2**50, b"Z", r"'notes\.bin' is refused"),
        (2**30, tarfile.GNUTYPE_LONGNAME, "a header of 1,073,741,824 bytes"),
        (2**30, tarfile.XHDTYPE, "a header of 1,073,741,824 bytes"),
    ],
)
def test_what_is_no_image_is_not_decompressed_without_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, kind: bytes, told: str
) -> None:
    archive = bomb(tmp_path / "a.tar.gz", size, kind)
    seen = []
    whole = os.read

    def watched(handle: int, size: int) -> bytes:
        seen.append(len(data := whole(handle, size)))
        return data

    monkeypatch.setattr("tarfile.os.read", watched)
    with pytest.raises(DataError, match=told):
        unpack([archive], tmp_path / "out", silent)
    assert 0 < sum(seen) < archive.stat().st_size / 2
    assert not (tmp_path / "out").exists()


def test_members_that_are_no_images_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = make_tar(tmp_path / "a.tar", PICTURES | {f"{n}.txt": bytes(1000) for n in range(4)})
    size = sum(map(len, PICTURES.values()))
    monkeypatch.setattr("harness.data.archives.MAX_TOTAL", size + 4000)
    unpack([archive], tmp_path / "out", silent)
    monkeypatch.setattr("harness.data.archives.MAX_TOTAL", size + 3999)
    with pytest.raises(DataError, match=r"'3\.txt' is refused"):
        unpack([archive], tmp_path / "out", silent)
    folders = [tarfile.TarInfo(f"f{n}") for n in range(4)]
    for folder in folders:
        folder.type = tarfile.DIRTYPE
    make_tar(archive, PICTURES, "w", *folders)
    monkeypatch.setattr("harness.data.archives.MAX_MEMBERS", 10)
    assert unpack([archive], tmp_path / "out", silent) == []
    monkeypatch.setattr("harness.data.archives.MAX_MEMBERS", 9)
    with pytest.raises(DataError, match="'f3' is refused"):
        unpack([archive], tmp_path / "out", silent)


@pytest.mark.parametrize("suffix", ["tar", "zip"])
@pytest.mark.parametrize("again", ["images/1.png", "./images//1.png"])
def test_a_name_that_stands_twice_is_refused(tmp_path: Path, suffix: str, again: str) -> None:
    path = tmp_path / f"a.{suffix}"
    if suffix == "zip":
        make_zip(path, PICTURES)
        with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
            warnings.simplefilter("ignore", UserWarning)  # zipfile's own, of a doubled name
            archive.writestr(again, picture(99))
    else:
        make_tar(path, PICTURES)
        with tarfile.open(path, "a") as more:
            info = tarfile.TarInfo(again)
            info.size = len(picture(99))
            more.addfile(info, io.BytesIO(picture(99)))
    with pytest.raises(DataError, match=r"'images/1\.png' is there twice") as error:
        unpack([path], tmp_path / "out", silent)
    assert str(path) in str(error.value)
    assert "Unpack it yourself" in error.value.hint
    assert not (tmp_path / "out").exists()


LONG_PATH = "/".join(["d" * 200] * 24) + "/x.png"


@pytest.mark.parametrize("maker", [make_tar, make_zip])
@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["n" * 300 + ".png"], "304 bytes in one part of its path"),
        (["d" * 256 + "/x.png"], "256 bytes in one part of its path"),
        (["\u00e9" * 126 + ".png"], "256 bytes in one part of its path"),
        (["n" * 300 + ".txt"], "304 bytes in one part of its path"),
        ([LONG_PATH], "cannot be a file here: File name too long"),
        (["x.png", "x.png/y.png"], "cannot be a file here: 'x.png' is in its way"),
        (["x.png/y.png", "x.png"], "cannot be a file here: 'x.png/y.png' is in its way"),
        (["x.png", "X.PNG"], "'x.png' and 'X.PNG' differ in case"),
        (["a/x.png", "A/x.png"], "'a/x.png' and 'A/x.png' differ in case"),
        (["caf\u00e9.png", "cafe\u0301.png"], "differ in case or accents' spelling alone"),
    ],
)
def test_names_that_cannot_be_files_are_refused_whole(
    tmp_path: Path, maker: Callable[[Path, dict[str, bytes]], Path], names: list[str], told: str
) -> None:
    suffix = "tar" if maker is make_tar else "zip"
    archive = maker(tmp_path / f"a.{suffix}", PICTURES | dict.fromkeys(names, picture(1)))
    with pytest.raises(DataError) as caught:
        unpack([archive], tmp_path / "out", silent)
    assert told in caught.value.message
    assert str(archive) in caught.value.message
    assert caught.value.hint
    assert not (tmp_path / "out").exists()


def test_names_may_be_as_long_as_a_file_system_has_them(tmp_path: Path) -> None:
    names = ["n" * 251 + ".png", "d" * 255 + "/x.png", "images/\U0001f600.png", "images/9 9.png"]
    archive = make_tar(tmp_path / "a.tar", dict.fromkeys(names, picture(1)))
    unpack([archive], tmp_path / "out", silent)
    found = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert found == set(names)


def test_archives_whose_names_are_in_each_others_way_are_refused(tmp_path: Path) -> None:
    one = make_tar(tmp_path / "a.tar", {"x.png": picture(1)})
    two = make_tar(tmp_path / "b.tar", {"x.png/y.png": picture(2)})
    with pytest.raises(DataError, match=r"b\.tar: member 'x\.png/y\.png' cannot be a file here"):
        unpack([one, two], tmp_path / "out", silent)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("shade", [1, 200], ids=["of the same size", "of another size"])
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("x.png", r"b\.zip: member 'x\.png' stands in .*a\.tar, too"),
        ("X.png", r"b\.zip: members 'x\.png' of .*a\.tar and 'X\.png' differ in case"),
        ("x.png/y.png", r"b\.zip: .* 'x\.png' of .*a\.tar is in its way"),
    ],
)
def test_archives_that_hold_one_path_are_refused_and_both_named(
    tmp_path: Path, shade: int, name: str, told: str
) -> None:
    one = make_tar(tmp_path / "a.tar", {"x.png": picture(1)})
    two = make_zip(tmp_path / "b.zip", {name: picture(shade) + b"more" * (shade > 1)})
    with pytest.raises(DataError, match=told):
        unpack([one, two], tmp_path / "out", silent)
    assert not (tmp_path / "out").exists()


def test_a_damaged_bz2_is_named(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a.tar.bz2", PICTURES, "w:bz2")
    data = bytearray(archive.read_bytes())
    data[20:60] = bytes(40)
    archive.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.tar\.bz2 is damaged"):
        unpack([archive], tmp_path / "out", silent)
    assert not (tmp_path / "out").exists()


def test_a_name_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        archive.addfile(tarfile.TarInfo("caf\xe9.png"))
    with pytest.raises(DataError, match="is not UTF-8"):
        unpack([tmp_path / "a.tar"], tmp_path / "out", silent)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_STORED])
def test_damage_within_a_member_is_named(tmp_path: Path, method: int) -> None:
    noise = bytes((7 * n * n) % 251 for n in range(4000))
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("a.png", noise)
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[60:90] = b"\xff" * 30
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(DataError, match=r"a\.zip is damaged"):
        unpack([tmp_path / "a.zip"], tmp_path / "out", silent)


def test_a_locked_zip_is_named(tmp_path: Path) -> None:
    data = bytearray(make_zip(tmp_path / "a.zip", {"a.png": picture(1)}).read_bytes())
    data[6] |= 1  # in the member's header, and in the list of members: encrypted
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(DataError, match="encrypted"):
        unpack([tmp_path / "a.zip"], tmp_path / "out", silent)


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
    notes = unpack([archive], tmp_path / "out", silent)
    assert notes == ["a.tar: 4 members left out, links or no images"]
    assert {path.name for path in (tmp_path / "out" / "images").iterdir()} == {f"{n}.png" for n in range(6)}


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside.png"
    outside.write_bytes(b"mine")
    folder = tmp_path / "out" / "images"
    folder.mkdir(parents=True)
    (folder / "1.png").symlink_to(outside)
    unpack([make_tar(tmp_path / "a.tar", PICTURES)], tmp_path / "out", silent)
    assert outside.read_bytes() == b"mine"
    assert (folder / "1.png").read_bytes() == PICTURES["images/1.png"]


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = make_zip(tmp_path / "bomb.zip", {"a.png": bytes(2**20)})
    assert bomb.stat().st_size < 2**12
    monkeypatch.setattr("harness.data.archives.MAX_BYTES", 2**16)
    with pytest.raises(DataError, match=r"'a\.png' is refused"):
        unpack([bomb], tmp_path / "out", silent)
    monkeypatch.undo()
    monkeypatch.setattr("harness.data.archives.MAX_TOTAL", 3 * len(PICTURES["images/1.png"]))
    with pytest.raises(DataError, match="is refused"):
        unpack([make_tar(tmp_path / "many.tar", PICTURES)], tmp_path / "many", silent)
    monkeypatch.undo()
    monkeypatch.setattr("harness.data.archives.MAX_MEMBERS", 3)
    with pytest.raises(DataError, match="is refused"):
        unpack([make_tar(tmp_path / "more.tar", PICTURES)], tmp_path / "more", silent)


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
        unpack([archive], tmp_path / "out", silent)


def test_half_a_header_is_no_end(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a.tar", PICTURES)
    archive.write_bytes(archive.read_bytes()[: 2 * 1024 + 100])
    with pytest.raises(DataError, match=r"a\.tar is damaged .*: it ends early"):
        unpack([archive], tmp_path / "out", silent)
    assert not (tmp_path / "out").exists()


def test_links_in_an_archive_are_told_where_images_are_missing(tmp_path: Path) -> None:
    link = tarfile.TarInfo("images/5.png")
    link.type, link.linkname = tarfile.LNKTYPE, "images/4.png"
    five = dict(list(PICTURES.items())[:5])
    archive = make_tar(tmp_path / "a.tar", five, "w", link)
    file = karpathy(tmp_path / "dataset.json")
    with pytest.raises(DataError) as caught:
        prepare("p", "flickr30k", {"strict": False}, archive, tmp_path / "data", Catalog.load(), files=[file])
    assert str(caught.value).startswith(f"Flickr30k in {archive} has 1 problem:\n")
    assert "1 image of 6 has no file: 5.png" in str(caught.value)
    assert str(caught.value).endswith("\n  a.tar: 1 member left out, links or no images")


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


def shades(root: Path, name: str = "photos") -> list[int]:
    """Return the red of each image of a prepared dataset."""
    status = {entry.name: entry for entry in status_of(root)}[name]
    part = Part(name=name, use=status.use, revision=1, params={"strict": False}, title=name)
    dataset = open_dataset(part, root, Catalog.load())
    return [int(dataset.pixels(record)[0, 0, 0]) for record in dataset.records]


def status_of(root: Path) -> tuple[DatasetStatus, ...]:
    return status(root, Registry.load(find_registry(Path(__file__).parent)), Catalog.load())


def test_a_changed_archive_is_unpacked_anew_and_a_bad_one_spoils_nothing(tmp_path: Path) -> None:
    catalog, root, archive = Catalog.load(), tmp_path / "data", tmp_path / "a.tar"
    file = karpathy(tmp_path / "dataset.json")

    def again() -> None:
        prepare("photos", "flickr30k", {"strict": False}, archive, root, catalog, files=[file])

    make_tar(archive, PICTURES)
    again()
    assert shades(root) == [0, 10, 20, 30, 40, 50]
    for bad in (b"cut short", b""):
        archive.write_bytes(bad)
        with pytest.raises(DataError, match=r"a\.tar is damaged"):
            again()
        assert shades(root) == [0, 10, 20, 30, 40, 50]
    # The same names and sizes, other pictures.
    other = {name: picture(10 * n + 5) for n, name in enumerate(PICTURES)}
    assert [*map(len, other.values())] == [*map(len, PICTURES.values())]
    make_tar(archive, other)
    again()
    assert shades(root) == [5, 15, 25, 35, 45, 55]
    assert len(list((root / "photos~images").iterdir())) == 1, "what was unpacked before is cleared"
    # From a folder that has nothing to do with the archive, nothing unpacked is kept.
    (tmp_path / "folder" / "images").mkdir(parents=True)
    for name, data in PICTURES.items():
        (tmp_path / "folder" / name).write_bytes(data)
    prepare("photos", "flickr30k", {"strict": False}, tmp_path / "folder", root, catalog, files=[file])
    assert shades(root) == [0, 10, 20, 30, 40, 50]
    assert not (root / "photos~images").exists()


@pytest.mark.parametrize("moved", [False, True], ids=["time as it was", "time moved"])
def test_a_damaged_unpacked_image_is_mended_from_its_archive(tmp_path: Path, moved: bool) -> None:
    catalog, root = Catalog.load(), tmp_path / "data"
    file, archive = karpathy(tmp_path / "dataset.json"), make_tar(tmp_path / "i.tar", PICTURES)

    def again(place: Path) -> Manifest:
        return prepare("photos", "flickr30k", {"strict": False}, place, root, catalog, files=[file])

    made = again(archive)
    image = Path(made.source) / "images" / "3.png"
    before, stamp = image.read_bytes(), image.stat()
    # A picture of other colours and the same size: it decodes.
    other = picture(35)
    assert len(other) == len(before)
    image.write_bytes(other)
    if not moved:
        os.utime(image, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert verify("photos", root)
    assert f" --images {archive} " in prepare_again(root, "photos")
    mended = again(archive)
    assert (image.read_bytes(), mended.protocol) == (before, made.protocol)
    assert verify("photos", root) == []
    assert again(archive).unchanged
    # The same archive in another place: the command names that one.
    (tmp_path / "there").mkdir()
    elsewhere = archive.rename(tmp_path / "there" / "i.tar")
    assert again(elsewhere).unchanged
    assert f" --images {elsewhere} " in prepare_again(root, "photos")
    assert read_manifest(root / "photos").archives == (str(elsewhere),)


def test_of_an_older_manifest_the_unpacked_copy_is_not_named(tmp_path: Path) -> None:
    root, file = tmp_path / "data", karpathy(tmp_path / "dataset.json")
    archive = make_tar(tmp_path / "i.tar", PICTURES)
    prepare("photos", "flickr30k", {"strict": False}, archive, root, Catalog.load(), files=[file])
    older = replace(read_manifest(root / "photos"), archives=())
    (root / "photos" / "manifest.json").write_text(older.to_json())
    assert json.loads(older.to_json())["schema"] == 2
    assert " --images ARCHIVE " in prepare_again(root, "photos")


def test_an_archive_that_cannot_be_read_is_not_told_as_a_disk_that_cannot_be_written(tmp_path: Path) -> None:
    catalog, root, archive = Catalog.load(), tmp_path / "data", tmp_path / "a.tar"
    file = karpathy(tmp_path / "dataset.json")
    archive.symlink_to("/proc/self/mem")  # opens, and gives an error when it is read
    with pytest.raises(DataError, match=rf"^cannot read {archive}: Input/output error"):
        prepare("photos", "flickr30k", {"strict": False}, archive, root, catalog, files=[file])


def test_a_disk_that_fills_while_unpacking_is_named_with_the_file(tmp_path: Path) -> None:
    big = {"images/1.png": picture(1), "images/2.png": bytes(50_000)}
    script = (
        "import resource, sys; from pathlib import Path; from harness.data.archives import unpack\n"
        "from harness.errors import StoreError\n"
        "if len(sys.argv) > 3: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try: unpack([Path(sys.argv[1])], Path(sys.argv[2]), lambda *told: None)\n"
        "except StoreError as error: print(error.message)"
    )
    call = [sys.executable, "-c", script, str(make_tar(tmp_path / "a.tar", big)), str(tmp_path / "out")]
    said = subprocess.run([*call, "limited"], capture_output=True, text=True, check=True).stdout
    assert said == f"cannot write {tmp_path / 'out' / 'images' / '2.png'}: File too large\n"
    assert [path.name for path in (tmp_path / "out" / "images").iterdir()] == ["1.png"], (
        "no half file is left"
    )
    subprocess.run(call, check=True)
    assert (tmp_path / "out" / "images" / "2.png").stat().st_size == 50_000


def test_an_archive_that_went_bad_takes_no_image_of_the_prepared_dataset(tmp_path: Path) -> None:
    catalog, root, archive = Catalog.load(), tmp_path / "data", tmp_path / "a.tar"
    file = karpathy(tmp_path / "dataset.json")
    make_tar(archive, PICTURES)
    prepare("photos", "flickr30k", {"strict": False}, archive, root, catalog, files=[file])
    stamp, size = archive.stat(), archive.stat().st_size
    archive.write_bytes(b"\xff" * size)
    os.utime(archive, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    with pytest.raises(DataError, match=r"a\.tar is damaged"):
        prepare("photos", "flickr30k", {"strict": False}, archive, root, catalog, files=[file])
    assert verify("photos", root) == []


def test_images_may_come_in_several_archives(tmp_path: Path) -> None:
    catalog, root = Catalog.load(), tmp_path / "data"
    halves = [dict(list(PICTURES.items())[:3]), dict(list(PICTURES.items())[3:])]
    archives = [make_zip(tmp_path / "a.zip", halves[0]), make_tar(tmp_path / "b.tar", halves[1])]
    file = karpathy(tmp_path / "dataset.json")
    params = {"strict": False}
    prepare("photos", "flickr30k", params, archives[0], root, catalog, files=[file], archives=archives[1:])
    assert shades(root) == [0, 10, 20, 30, 40, 50]
    again = prepare(
        "photos", "flickr30k", params, archives[0], root, catalog, files=[file], archives=archives[1:]
    )
    assert again.unchanged
    with pytest.raises(DataError, match="of several places of images each is an archive"):
        prepare("photos", "flickr30k", params, tmp_path, root, catalog, files=[file], archives=archives)
    with pytest.raises(DataError, match="3 images of 6 have no file"):
        prepare("photos", "flickr30k", params, archives[0], root, catalog, files=[file])
    assert shades(root) == [0, 10, 20, 30, 40, 50]


def test_status_remembers_where_annotations_lay(tmp_path: Path) -> None:
    catalog, root = Catalog.load(), tmp_path / "data"
    file = karpathy(tmp_path / "my splits.json")
    archive = make_tar(tmp_path / "a.tar", PICTURES)
    made = prepare("photos", "flickr30k", {"strict": False}, archive, root, catalog, files=[file])
    assert made.annotations == (str(file),)
    assert read_manifest(root / "photos") == made
    again = {entry.name: entry for entry in status_of(root)}["photos"]
    assert (again.state, again.command) == ("prepared", "")
    for path in Path(made.source).rglob("*.png"):
        path.unlink()
    Path(made.source, "images").rmdir()
    Path(made.source).rmdir()
    gone = {entry.name: entry for entry in status_of(root)}["photos"]
    rest = f"--annotations '{file}' --set strict=false --as photos"
    assert gone.command == f"harness data prepare flickr30k --images {archive} {rest}"
    assert gone.params == {"strict": False}
    away = archive.rename(tmp_path / "b.tar")
    assert prepare_again(root, "photos") == f"harness data prepare flickr30k --images ARCHIVE {rest}"
    away.rename(archive)
    plain = json.loads((prepared_folder(tmp_path, catalog) / "manifest.json").read_text(encoding="utf-8"))
    assert plain["schema"] == 1
    assert "annotations" not in plain


def test_paths_are_told_without_detours_and_parameters_as_they_were_set(tmp_path: Path) -> None:
    catalog, root = Catalog.load(), tmp_path / "data"
    unpack([make_tar(tmp_path / "a.tar", PICTURES)], tmp_path / "all", silent)
    karpathy(tmp_path / "all" / "dataset.json")
    (tmp_path / "elsewhere").mkdir()
    detour = tmp_path / "elsewhere" / ".." / "all"
    params = {"strict": False, "split": "karpathy"}
    prepare("photos", "flickr30k", params, detour, root, catalog)
    assert prepare("photos", "flickr30k", params, tmp_path / "all", root, catalog).unchanged
    entry = {entry.name: entry for entry in status_of(root)}["photos"]
    assert (entry.source, entry.params) == (str(tmp_path / "all"), params)
    (tmp_path / "all").rename(tmp_path / "gone")
    entry = {entry.name: entry for entry in status_of(root)}["photos"]
    expected = "harness data prepare flickr30k --from DIR --set split=karpathy --set strict=false --as photos"
    assert entry.command == expected


@pytest.mark.parametrize(
    ("value", "setting"),
    [
        ("all", "p=all"),
        ("true", 'p="true"'),
        ("1e3", 'p="1e3"'),
        (None, "p=null"),
        (0.5, "p=0.5"),
        ((1,), "p=[1]"),
    ],
)
def test_settings_are_read_as_they_are_written(value: object, setting: str) -> None:
    from harness.registry import read_value

    assert settings_of({"p": value}) == [setting]
    assert read_value(setting.partition("=")[2], "") == value


def prepared_folder(tmp_path: Path, catalog: Catalog) -> Path:
    """Prepare a dataset whose annotations lie with its images, as every harness before could."""
    folder = tmp_path / "all"
    unpack([tmp_path / "a.tar"], folder, silent)
    karpathy(folder / "dataset.json")
    prepare("plain", "folder", {}, folder, tmp_path / "data", catalog)
    return tmp_path / "data" / "plain"


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
        "unpack([Path(sys.argv[1])], Path(sys.argv[2]), lambda *told: None)"
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
    unpack([archive], out, silent)
    assert {f"images/{path.name}": path.read_bytes() for path in out.rglob("[0-9]*.png")} == big
