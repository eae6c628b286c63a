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

SHA256: dict[str, dict[str, str]] = {
    # As TensorFlow Datasets recorded the authors' downloads.
    "caption_datasets.zip": {"4cfd70132527b80933105e5829dc9034eaab9573482e2e680abbab6130244817": ""},
    "annotations_trainval2014.zip": {"031296bbc80c45a1d1f76bf9a90ead27e94e99ec629208449507a4917a3bf009": ""},
    "annotations_trainval2017.zip": {"113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268": ""},
    # Of caption_datasets.zip, unpacked; that of Flickr30k stands in one public record, beside the checksum of the zip.
    "dataset_coco.json": {"2fd999220673258012acfb411a4e7e66af7d488050b2519b0badcc49b7600b8d": ""},
    "dataset_flickr30k.json": {"db779ee2c5df40c25ff0eebeca464f6124b620cc4a9398650aea71fd1b53d4af": ""},
    # Equal in several independent copies.
    "captions_train2014.json": {"dd8c9636dc11740f956e36728866ea0c4ebe4988dcbdc5e712b7c2267f152d12": ""},
    "captions_train2017.json": {"4b62086319480e0739ef390d04084515defb9c213ff13605a036061e33314317": ""},
    "captions_val2017.json": {
        "afe3b30e403dd7f228e2373023abbd60042a6e10ec6874d3652df034d289ebb9": "",
        # github.com/ruizewang/evaluate, 1152656d: else the published one to the byte.
        "1018a8760deaf1fc71be2f1b8da1a1348b9c35994af4322ca2fd795a78abb79c": "with the key 'type', for coco-caption",
    },
    # Of the package eccv-caption, and of github.com/naver-ai/eccv-caption, b51f56cf.
    "coco_test_ids.npy": {"edf99145aaed260188fd9384c1329ed287fca0e9b92e4e59de46660667932a15": ""},
    # Of the Flickr8k_text folder, as in github.com/prakhar-dhakar/Image-Captioning, 5ab31421.
    "Flickr_8k.trainImages.txt": {"e330ddd5156a4c2d2e2b67bc587e70e588f2d132bd8a10dc54dcb71e58115d8e": ""},
    "Flickr_8k.devImages.txt": {"18ba829f47f6df1cb830bf7f0506e2ddf333818925299babbd1bbcaf50fdc504": ""},
    "Flickr_8k.testImages.txt": {"c0924146c131458ceba45da59670fe9520eadce1e5cafffa16a817672a9b1f17": ""},
    "Flickr8k.token.txt": {
        # That copy with its five lines of the image that does not exist named alike, as in other copies of that size.
        "1e1f3a371ba1a1bf742e6930521c037e046b2bf3fcc2390ba8405e0301ed7689": "",
        "9b8608b02da9040581f1e3d4c8738db1fb6f63314342100432adc3962f77d71a": "with four lines of 2258277193 renamed",
    },
}
"""By name the sha256 of a published file, and of copies that are known, with what is other in them."""
MAX_BYTES = 2 * 2**30
"""Bytes that an annotation file in a zip may unpack to: five times the largest."""


def checksum(path: Path) -> str:
    """Return the sha256 of a file, and where it is known whether it is the published one."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    told = f"sha256 {found[:16]}"
    known = SHA256.get(path.name)
    if known is None:
        return told
    other = known.get(found)
    if other is None:
        return f"{told}, the published one has {next(iter(known))[:16]}"
    return f"{told}, a known copy {other}" if other else f"{told}, as published"


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
