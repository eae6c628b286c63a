"""Annotation files as they were published: their checksums, and the zips that they come in."""

from __future__ import annotations

import hashlib
import lzma
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from harness_datasets.text import number

SHA256 = {
    # As TensorFlow Datasets recorded the authors' downloads.
    "caption_datasets.zip": "4cfd70132527b80933105e5829dc9034eaab9573482e2e680abbab6130244817",
    "annotations_trainval2014.zip": "031296bbc80c45a1d1f76bf9a90ead27e94e99ec629208449507a4917a3bf009",
    "annotations_trainval2017.zip": "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
    # Equal in several independent copies.
    "captions_train2014.json": "dd8c9636dc11740f956e36728866ea0c4ebe4988dcbdc5e712b7c2267f152d12",
    "captions_train2017.json": "4b62086319480e0739ef390d04084515defb9c213ff13605a036061e33314317",
    # Of the Flickr8k_text folder.
    "Flickr_8k.devImages.txt": "18ba829f47f6df1cb830bf7f0506e2ddf333818925299babbd1bbcaf50fdc504",
    "Flickr_8k.testImages.txt": "c0924146c131458ceba45da59670fe9520eadce1e5cafffa16a817672a9b1f17",
}
"""sha256 of published files by name; Karpathy's json files are known by the zip that holds them."""
MAX_BYTES = 2 * 2**30
"""Bytes that an annotation file in a zip may unpack to: five times the largest."""


def checksum(path: Path) -> str:
    """Return the sha256 of a file, and where it is known whether it is the published one."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    told = f"sha256 {found[:16]}"
    expected = SHA256.get(path.name)
    if expected is None:
        return told
    return f"{told}, as published" if found == expected else f"{told}, the published one has {expected[:16]}"


def unzipped(archive: Path, wanted: Callable[[str], bool], folder: Path, problems: list[str]) -> list[Path]:
    """Write the wanted files of a zip into a folder, each under the last part of its name.

    Args:
        wanted: tells by a name without folders whether to take a file.
        problems: gets what is wrong with the zip.
    """
    written: list[Path] = []
    try:
        with zipfile.ZipFile(archive) as file:
            for info in file.infolist():
                name = PurePosixPath(info.filename).name
                if info.is_dir() or not name or name.startswith(".") or not wanted(name):
                    continue
                if info.file_size > MAX_BYTES:
                    problems.append(f"{archive.name}: {name} unpacks to {number(info.file_size, 'byte')}")
                elif (folder / name).exists():
                    problems.append(f"{archive.name}: holds {name} twice")
                else:
                    # No more than the header promises is read from a member.
                    with file.open(info) as source, (folder / name).open("wb") as target:
                        shutil.copyfileobj(source, target)
                    written.append(folder / name)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, NotImplementedError,
            RuntimeError, OSError) as error:  # fmt: skip
        problems.append(f"{archive.name}: no zip that can be read ({error})")
    if not written and not problems:
        problems.append(f"{archive.name}: holds no annotation file that is known")
    return sorted(written)
