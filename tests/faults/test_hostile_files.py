"""Files that run code where they are trusted run none here, whatever reads them; bombs stay small."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import marshal
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from gensim.models import KeyedVectors
from safetensors.numpy import save

from harness import checkpoint, decoded, derived, features
from harness.data.archives import unpack
from harness.data.images import ImageError, inspect
from harness.errors import HarnessError
from harness.evaluate import read_ranking
from harness.execute.foreign import read_foreign
from harness.leaks import looks
from harness.protocols import Record, Split
from harness.queries import read_queries
from harness.registry import Registry
from harness_datasets.folder import Folder
from harness_dualpath.backbone import create
from harness_dualpath.vectors import read_vectors
from harness_dualpath.weights import load_path


class Canary:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def _buffer(write: Callable[[Any], object]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def _object(canary: Canary) -> Any:
    array = np.empty(1, dtype=object)
    array[0] = canary
    return array


def _keyed(canary: Canary, path: Path) -> bytes:
    table = KeyedVectors(2)
    table.add_vectors(["dog", "cat"], np.eye(2, dtype=np.float32))
    table.extra = canary
    table.save(str(path))
    return path.read_bytes()


def _zip(members: dict[str, bytes]) -> bytes:
    def write(buffer: Any) -> None:
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)

    return _buffer(write)


def _extension(canary: Canary) -> bytes:
    """A parquet file whose column says that its type is to be unpickled, as older versions of pyarrow did."""
    metadata = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(canary),
    }
    field = pa.field("side", pa.string(), metadata=metadata)
    table = pa.Table.from_arrays([pa.array(["i2t"])], schema=pa.schema([field]))
    return _buffer(lambda buffer: pq.write_table(table, buffer))


def _tensors(canary: Canary) -> bytes:
    return save({"value": np.ones(1)}, metadata={"key": pickle.dumps(canary, 0).decode(), "sha256": "0" * 64})


def payloads(canary: Canary, scratch: Path) -> dict[str, bytes]:
    """Return files that run code where they are trusted, or try to."""
    plain = pickle.dumps(canary)
    code = marshal.dumps(compile(f"import os; os.mkdir({str(canary.path)!r})", "x", "exec"))
    return {
        **{f"pickle {protocol}": pickle.dumps(canary, protocol) for protocol in range(6)},
        "pickle in a list": pickle.dumps({"state_dict": {"weight": [1.0, canary]}}),
        "gzip": gzip.compress(plain),
        "bzip2": bz2.compress(plain),
        "xz": lzma.compress(plain),
        "joblib": _buffer(lambda buffer: joblib.dump(canary, buffer)),
        "joblib zlib": _buffer(lambda buffer: joblib.dump([canary], buffer, compress=("zlib", 3))),
        "torch": _buffer(lambda buffer: torch.save(canary, buffer)),
        "torch state": _buffer(lambda buffer: torch.save({"state": {}, "model": {"x": canary}}, buffer)),
        "torch legacy": _buffer(
            lambda buffer: torch.save(canary, buffer, _use_new_zipfile_serialization=False)
        ),
        "numpy": _buffer(lambda buffer: np.save(buffer, _object(canary))),
        "numpy zip": _buffer(lambda buffer: np.savez(buffer, owner=_object(canary), image=_object(canary))),
        "pickle in a zip": _zip({"owner.npy": plain, "image.npy": plain, "archive/data.pkl": plain}),
        "pandas": _buffer(lambda buffer: pd.Series([canary]).to_pickle(buffer)),
        "gensim": _keyed(canary, scratch / "table.kv"),
        "zip application": _zip({"__main__.py": f"import os; os.mkdir({str(canary.path)!r})".encode()}),
        "bytecode": struct.pack("<IIII", 3495, 0, 0, 0) + code,
        "parquet": _extension(canary),
        "safetensors": _tensors(canary),
        "yaml": yaml.dump({"version": canary}).encode(),
        "json": json.dumps({"py/reduce": [{"py/function": "os.mkdir"}, [str(canary.path)]]}).encode(),
    }


TRUSTING: dict[str, Callable[[bytes], Any]] = {
    **{f"pickle {protocol}": pickle.loads for protocol in range(6)},
    "gzip": lambda data: pickle.loads(gzip.decompress(data)),
    "joblib": lambda data: joblib.load(io.BytesIO(data)),
    "joblib zlib": lambda data: joblib.load(io.BytesIO(data)),
    "torch": lambda data: torch.load(io.BytesIO(data), weights_only=False),
    "torch legacy": lambda data: torch.load(io.BytesIO(data), weights_only=False),
    "numpy": lambda data: np.load(io.BytesIO(data), allow_pickle=True),
    "pandas": lambda data: pd.read_pickle(io.BytesIO(data)),
    "yaml": lambda data: yaml.unsafe_load(data),
}

SPLIT = Split("test", (Record(image="a", split="test", captions=("a",)),))


def _annotations(path: Path) -> None:
    Folder().annotations(path.parent)


def _refuses(intact: Callable[[Path], bool]) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        if not intact(path):
            raise HarnessError("not what was written")

    return read


READERS: dict[str, Callable[[Path], Any]] = {
    **{
        f"vectors{end}": lambda path: read_vectors(str(path))
        for end in (".kv", ".bin", ".txt", ".pkl", ".gz")
    },
    **{
        f"weights{end}": lambda path: load_path(create("test_resnet", None), path)
        for end in (".pt", ".pth", ".safetensors")
    },
    **{f"foreign{end}": read_foreign for end in (".npz", ".safetensors", ".parquet", ".pkl")},
    "checkpoint.pt": checkpoint.read,
    "queries.npz": read_queries,
    "embeddings.safetensors": lambda path: read_ranking(path, path, SPLIT),
    "features.safetensors": _refuses(features.intact),
    "decoded.safetensors": _refuses(decoded.intact),
    "derived.safetensors": _refuses(derived.intact),
    "looks.npz": _refuses(looks.intact),
    "registry.yaml": Registry.load,
    "dataset.json": _annotations,
    "train.jsonl": _annotations,
    "train.csv": _annotations,
    "image.jpg": inspect,
    **{
        f"images{end}": lambda path: unpack([path], path.parent / "out", lambda *_: None)
        for end in (".zip", ".tar", ".tar.gz", ".tar.xz")
    },
}


@pytest.mark.fault(7)
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_nothing_that_is_read_is_unpickled(tmp_path: Path, faults: Any) -> None:
    canary = Canary(tmp_path / "canary")
    files = payloads(canary, tmp_path)
    assert len(files) >= 20
    for kind, trust in TRUSTING.items():
        trust(files[kind])
        assert canary.path.exists(), f"{kind} is harmless: this proves nothing"
        canary.path.rmdir()
    for number, (kind, content) in enumerate(files.items()):
        for name, read in READERS.items():
            path = tmp_path / f"{number}-{name}" / name
            path.parent.mkdir()
            path.write_bytes(content)
            # Refused as wrong input, or by the library, whose words the caller passes on as a failed run's cause.
            with pytest.raises(Exception) as caught:  # noqa: PT011
                read(path)
            known = isinstance(caught.value, (HarnessError, ImageError))
            assert known or name == "embeddings.safetensors", (kind, name, caught.value)
            assert not canary.path.exists(), (kind, name)
            faults.one()


def png(width: int, height: int) -> bytes:
    """A black picture of one bit a pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer, rows = zlib.compressobj(9), bytes((width + 7) // 8 + 1)
    data = b"".join(packer.compress(rows) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


BOUNDED = """
import resource
from pathlib import Path
from harness.data.images import MAX_BYTES, ImageError, inspect
from harness.data.archives import unpack
from harness.errors import DataError
{prepare}
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, used + 2**26))
try:
    {call}
except (ImageError, DataError) as error:
    print("refused:", error)
"""
IMAGE = "from PIL import Image; Image.init()"


@pytest.mark.fault(9)
def test_900_megapixels_in_a_hundred_kilobytes_are_refused_in_little_memory(
    victims: Any, tmp_path: Path
) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(30_000, 30_000))
    assert path.stat().st_size < 150_000
    victim = victims.start(
        folder=tmp_path, before=BOUNDED.format(prepare=IMAGE, call=f"inspect(Path({str(path)!r}))")
    )
    assert victim.wait() == 0, victim.said
    assert "refused: refused before decoding: " in victim.said
    assert "900000000 pixels" in victim.said


@pytest.mark.fault(27)
@pytest.mark.parametrize("name", ["bomb.zip", "lying.zip", "bomb.tar.gz", "bomb.tar.xz"])
def test_an_archive_that_expands_a_thousandfold_is_refused_in_little_memory(
    victims: Any, tmp_path: Path, name: str
) -> None:
    import tarfile

    size = 300 * 2**20
    path = tmp_path / name
    if name.endswith(".zip"):
        with (
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            archive.open("a.png", "w") as file,
        ):
            for _ in range(300):
                file.write(bytes(2**20))
        if name == "lying.zip":  # it says that it is small
            data = bytearray(path.read_bytes())
            at = data.index(b"PK\x01\x02") + 24
            data[at : at + 4] = struct.pack("<I", 1000)
            path.write_bytes(data)
    else:
        info = tarfile.TarInfo("a.png")
        info.size = size
        with tarfile.open(
            path,
            f"w:{name.rpartition('.')[2]}",
            **({"compresslevel": 1} if name.endswith("gz") else {"preset": 0}),
        ) as tar:
            tar.addfile(info, _Zeros(size))
    assert path.stat().st_size < size / 200
    out = tmp_path / "out"
    call = f"unpack([Path({str(path)!r})], Path({str(out)!r}), lambda *_: None)"
    victim = victims.start(folder=tmp_path, before=BOUNDED.format(prepare="", call=call))
    assert victim.wait() == 0, victim.said
    assert "refused: " in victim.said
    assert not out.exists()


class _Zeros(io.RawIOBase):
    def __init__(self, left: int) -> None:
        self.left = left

    def read(self, size: int = -1) -> bytes:
        size = min(size, self.left)
        self.left -= size
        return bytes(size)


@pytest.mark.fault(8)
def test_odd_images_are_rejected_with_their_names_and_count(tmp_path: Path) -> None:
    """One prepare of many: what is odd becomes RGB upright and is told, what is damaged is listed whole."""
    from PIL import Image

    from harness.catalog import Catalog
    from harness.data import open_dataset, prepare
    from harness.errors import DataError
    from harness.plan import Part

    folder = tmp_path / "images"
    folder.mkdir()
    picture = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    good: dict[str, Callable[[Path], object]] = {
        "plain.png": picture.save,
        "grey.png": picture.convert("L").save,
        "cmyk.jpg": picture.convert("CMYK").save,
        "deep.png": Image.fromarray(np.arange(16, dtype=np.uint16).reshape(4, 4) * 4000).save,
        "turned.jpg": lambda path: picture.save(
            path, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
        ),
        "moving.gif": lambda path: picture.save(path, save_all=True, append_images=[picture.rotate(90)]),
    }
    jpeg = _buffer(lambda buffer: Image.effect_noise((64, 64), 90).convert("RGB").save(buffer, "JPEG"))
    bad = {
        "cut.jpg": jpeg[:-40],
        "empty.jpg": b"",
        "text.jpg": b"no picture at all",
        "hole.jpg": jpeg[: len(jpeg) // 2] + b"\xff\x11" * 20 + jpeg[len(jpeg) // 2 + 40 :],
    }
    for name, write in good.items():
        write(folder / name)
    for name, content in bad.items():
        (folder / name).write_bytes(content)

    def annotate(names: list[str]) -> None:
        splits = ["test", "val", *["train"] * len(names)]
        rows = [
            {"filename": name, "split": split, "sentences": [{"raw": name}]}
            for name, split in zip(names, splits, strict=False)
        ]
        (folder / "dataset.json").write_text(json.dumps({"images": rows}))

    catalog, root = Catalog.load(), tmp_path / "data"
    annotate([*good, *bad])
    with pytest.raises(DataError) as caught:
        prepare("odd", "folder", {}, folder, root, catalog)
    assert sorted(problem.partition(":")[0] for problem in caught.value.problems) == sorted(bad)
    annotate([*good])
    manifest = prepare("odd", "folder", {}, folder, root, catalog)
    assert manifest.counts["train"]["images"] == len(good) - 2
    (told,) = [note for note in manifest.notes if "upright RGB" in note]
    assert all(
        word in told for word in ("1 greyscale", "1 CMYK", "1 16-bit", "1 turned upright", "several frames")
    )
    dataset = open_dataset(
        Part(name="odd", use="folder", revision=manifest.revision, params={}, title="odd"), root, catalog
    )
    assert {dataset.pixels(record).shape for record in dataset.records} == {(4, 4, 3)}
