"""What an image looks like, in a few hundred bytes: hashes that survive small changes, and 32 x 32 grey pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data import OpenDataset
from harness.durable import durable
from harness.parallel import each
from harness.protocols import Record
from harness.queries import UNREADABLE

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.protocols.datasets import Pixels

    Hashes = npt.NDArray[np.uint64]

FOLDER = "looks"
"""Its name in the store."""
SIDE = 32
"""Width and height of the grey image."""
LIBRARIES = ("imagehash", "numpy", "pillow", "scipy")
"""Their versions are part of the cache's key: another resize may flip a bit."""
_VERSION = 1
_SHARD = 1024
"""Images between two writes: at most so many are looked at again after a kill."""
_DIGEST = 32
_SHAPES: dict[str, tuple[tuple[int, ...], str]] = {
    "content": ((_DIGEST,), "uint8"),
    "pixels": ((_DIGEST,), "uint8"),
    "phash": ((2,), "uint64"),
    "dhash": ((2,), "uint64"),
    "grey": ((SIDE, SIDE), "uint8"),
}

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False, kw_only=True)
class Looks:
    """The looks of `n` images.

    Attributes:
        content: (n, 32) uint8: sha256 of the image file, or of what determines a generated image.
        pixels: (n, 32) uint8: sha256 of shape and RGB pixels.
        phash: (n, 2) uint64: the 64-bit perceptual hash (signs of the low frequencies of a cosine transform) of the
            image and of its mirror image.
        dhash: (n, 2) uint64: the 64-bit difference hash (which of two neighbours is brighter) of both.
        grey: (n, 32, 32) uint8: the image, scaled without regard to its aspect.
    """

    content: npt.NDArray[np.uint8]
    pixels: npt.NDArray[np.uint8]
    phash: Hashes
    dhash: Hashes
    grey: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.content)

    def take(self, rows: Sequence[int]) -> Looks:
        """Return some of them, in the order of `rows`."""
        import numpy as np

        at = np.asarray(rows, dtype=np.int64)
        return Looks(**{field.name: getattr(self, field.name)[at] for field in fields(self)})


def look(pixels: Pixels) -> dict[str, Any]:
    """Describe one image, (height, width, 3) uint8 RGB: the rows of `Looks` but for its content."""
    import imagehash
    import numpy as np
    from PIL import Image, ImageOps

    image = Image.fromarray(pixels)
    both = (image, ImageOps.mirror(image))
    digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest()
    grey = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    return {
        "pixels": np.frombuffer(digest, dtype=np.uint8),
        "phash": np.array([_number(imagehash.phash(view)) for view in both], dtype=np.uint64),
        "dhash": np.array([_number(imagehash.dhash(view)) for view in both], dtype=np.uint64),
        "grey": np.asarray(grey),
    }


def looks_of(
    dataset: OpenDataset, records: Sequence[Record], home: Path, progress: Progress | None = None
) -> Looks:
    """Return the looks of some images of a dataset, in order; what was looked at before is read from the store.

    Args:
        home: the store; its folder ``looks`` is written as the work goes on, so that a killed one is resumed.
        progress: called with images done, images in all, and what is being done.

    Raises:
        DataError: if an image cannot be read, or is not the one that was prepared.
        StoreError: if the store cannot be written.
    """
    folder = home / FOLDER / _key()
    wanted = [_digest(dataset.content(record)) for record in records]
    known = _read(folder, set(wanted))
    missing: dict[bytes, Record] = {}
    for digest, record in zip(wanted, records, strict=True):
        if digest not in known:
            missing.setdefault(digest, record)
    tell = progress or _silent
    done, fresh = len(records) - len(missing), dict[bytes, dict[str, Any]]()

    def look_at(item: tuple[bytes, Record]) -> tuple[bytes, dict[str, Any]]:
        digest, record = item
        return digest, look(dataset.pixels(record))

    try:
        for digest, row in each(look_at, missing.items()):
            known[digest] = fresh[digest] = row
            done += 1
            tell(done, len(records), f"looking at images of {dataset.name}")
            if len(fresh) == _SHARD:
                _write(folder, fresh)
                fresh = {}
    finally:
        if fresh:
            _write(folder, fresh)
    return _stack([known[digest] | {"content": digest} for digest in wanted])


def _number(hashed: Any) -> int:
    return int(str(hashed), 16)


def _digest(content: str) -> bytes:
    return hashlib.sha256(content.encode()).digest()


@cache
def _key() -> str:
    from importlib.metadata import version

    parts = [_VERSION, SIDE, *(version(name) for name in LIBRARIES)]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _stack(rows: Sequence[dict[str, Any]]) -> Looks:
    import numpy as np

    columns: dict[str, Any] = {}
    for name, (shape, dtype) in _SHAPES.items():
        cells = [np.frombuffer(row[name], dtype=np.uint8) if name == "content" else row[name] for row in rows]
        columns[name] = np.array(cells, dtype=dtype).reshape(len(rows), *shape)
    return Looks(**columns)


def _write(folder: Path, rows: dict[bytes, dict[str, Any]]) -> None:
    """Write a shard; it is named by what it holds, so that two processes do not meet in one file."""
    import numpy as np

    looks = _stack([row | {"content": digest} for digest, row in rows.items()])
    name = hashlib.sha256(looks.content.tobytes()).hexdigest()[:16]
    with durable(folder / f"{name}.npz") as file:
        np.savez(file, **{field.name: getattr(looks, field.name) for field in fields(looks)})


def intact(path: Path) -> bool:
    """Tell whether a shard is what was written: a zip has a checksum of each array."""
    return _columns(path) is not None


def _columns(path: Path) -> dict[str, Any] | None:
    """Return the arrays of a shard, or ``None`` if they are damaged or do not fit one another."""
    import numpy as np

    try:
        # numpy leaves a file open that it opens itself and cannot read.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            columns: dict[str, Any] = {name: file[name] for name in _SHAPES}
    except UNREADABLE:
        return None
    n = len(columns["content"])
    fits = all(columns[k].shape == (n, *s) and columns[k].dtype == d for k, (s, d) in _SHAPES.items())
    return columns if fits else None


def _read(folder: Path, wanted: set[bytes]) -> dict[bytes, dict[str, Any]]:
    """Read the rows of `wanted` that the shards hold; a damaged shard counts for nothing and its images are redone."""
    found: dict[bytes, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.npz")):
        columns = _columns(path)
        if columns is None:
            continue
        for row, content in enumerate(columns["content"]):
            digest = content.tobytes()
            if digest in wanted:
                found[digest] = {name: columns[name][row] for name in _SHAPES if name != "content"}
    return found


def _silent(done: int, total: int, note: str) -> None:
    """Tell nobody."""
