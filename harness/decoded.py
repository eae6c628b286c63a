"""A cache of decoded images at a stored size, addressed by what determines them and mapped into memory.

Whoever trains from pixels reads every image once an epoch; from here that costs a copy in place of a decoding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data import OpenDataset
from harness.durable import Waiting, durable, hold
from harness.errors import StoreError, TrainingError
from harness.parallel import cores
from harness.protocols import Record

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.protocols.datasets import Pixels

    Bytes = npt.NDArray[np.uint8]
    Ints = npt.NDArray[np.int64]

REVISION = 1
"""Rises when stored pixels or the format of a shard change; part of every address."""
SHARD = 512  # images between two durable writes: what a kill can cost
Progress = Callable[[int, int], None]


def stored_size(encoder: object) -> int | None:
    """Return the `stored_size` that an image encoder asks for, in pixels, or ``None``.

    Raises:
        TrainingError: if it is not a whole number of at least 1.
    """
    size: Any = getattr(encoder, "stored_size", None)
    if size is None:
        return None
    if type(size) is not int or size < 1:
        raise TrainingError(
            f"{type(encoder).__name__}.stored_size is {size!r}, not a number of pixels, or None to decode every time"
        )
    return size


def shrunk(pixels: Pixels, size: int) -> Pixels:
    """Scale an image down so that its shorter side is `size` pixels; one that is no larger stays as it is.

    The filter is Pillow's bicubic, as wide as the scale asks for, so that nothing aliases.

    Args:
        pixels: (height, width, 3) uint8.
    """
    import numpy as np
    from PIL import Image

    height, width = pixels.shape[:2]
    shorter = min(height, width)
    if shorter <= size:
        return pixels
    new = max(round(width * size / shorter), size), max(round(height * size / shorter), size)
    return np.array(Image.fromarray(pixels).resize(new, Image.Resampling.BICUBIC))


def decoded_key(contents: Sequence[str], size: int) -> str:
    """Return the address of a list of images at one stored size: a hash of all that determines their pixels."""
    import PIL

    digest = hashlib.sha256()
    for field in (f"decoded {REVISION}, pillow {PIL.__version__}, {SHARD} a shard", str(size), *contents):
        digest.update(field.encode() + b"\0")
    return digest.hexdigest()[:32]


class DecodedImages:
    """Decoded images in mapped files, which processes share; it can be pickled and read after a fork.

    Args:
        paths: shards in order, each but the last of as many images.

    Raises:
        StoreError: if one of them is gone or is no shard.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        import numpy as np

        self.paths = tuple(paths)
        self._shards: list[tuple[Bytes, Ints, Ints]] = []
        for path in self.paths:
            found = _open(path)
            if found is None:
                raise StoreError(
                    f"decoded images {path} are gone or damaged", hint="Run the same command again."
                )
            pixels, shapes, _ = found
            self._shards.append((pixels, shapes, np.concatenate([[0], np.cumsum(3 * shapes.prod(1))])))

    def __reduce__(self) -> tuple[type[DecodedImages], tuple[tuple[Path, ...]]]:
        return DecodedImages, (self.paths,)

    def __len__(self) -> int:
        return sum(len(shapes) for _, shapes, _ in self._shards)

    def pixels(self, index: int) -> Pixels:
        """Return image `index`, (height, width, 3) uint8 RGB: a copy of it, and of no more.

        Raises:
            IndexError: if there is none.
        """
        import numpy as np

        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        shard, row = divmod(index, len(self._shards[0][1]))
        pixels, shapes, offsets = self._shards[shard]
        return np.array(pixels[offsets[row] : offsets[row + 1]]).reshape(*shapes[row], 3)


def load_decoded(
    home: Path, dataset: OpenDataset, records: Sequence[Record], *, size: int, progress: Progress
) -> DecodedImages:
    """Return the images of `records` at a stored size; decodes only the shards that are missing, on all cores.

    Every shard is compared with its checksum first; one that is not what was written is made anew.

    Args:
        size: shorter side in pixels; images are never enlarged.
        progress: called with images done and images in all, between two durable writes.

    Raises:
        DataError: if an image cannot be read.
        StoreError: if the cache cannot be written.
    """
    folder = home / "decoded" / decoded_key([dataset.content(record) for record in records], size)
    starts = range(0, len(records), SHARD)
    paths = [_shard(folder, start) for start in starts]
    counts = [min(SHARD, len(records) - start) for start in starts]

    def decode(record: Record) -> Pixels:
        return shrunk(dataset.pixels(record), size)

    # One process decodes, the others wait for it and then read.
    with hold(home, f"decoded-{folder.name}", Waiting.by(progress, len(records))):
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".*.tmp"):  # by a process that was killed: this one holds the lock
            left.unlink()
        pool = ThreadPoolExecutor(max_workers=cores())
        try:
            whole = pool.map(intact, paths, counts)  # hashing, decoding and scaling let go of the interpreter
            for start, path, count in zip(starts, paths, counts, strict=True):
                if not next(whole):
                    _write(path, list(pool.map(decode, records[start : start + count])))
                progress(start + count, len(records))
        finally:
            pool.shutdown(cancel_futures=True)
        return DecodedImages(paths)


def missing_decoded(home: Path, address: str, count: int) -> int:
    """Return how many of `count` images are not decoded under an address; nothing is read or written."""
    folder = home / "decoded" / address
    return sum(
        min(SHARD, count - start) for start in range(0, count, SHARD) if not _shard(folder, start).is_file()
    )


def _shard(folder: Path, start: int) -> Path:
    return folder / f"{start:08d}.safetensors"


def _open(path: Path) -> tuple[Bytes, Ints, str] | None:
    """Map a shard: its pixels, one image after the other; (images, 2) heights and widths; what it should hash to."""
    import numpy as np
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            shapes = file.get_tensor("shapes")
            (length,) = file.get_slice("pixels").get_shape()
            sha256 = (file.metadata() or {}).get("sha256", "")
        # The format puts wide numbers first and leaves no gaps: the pixels end the file.
        offset = path.stat().st_size - length
        pixels = np.memmap(path, dtype=np.uint8, mode="r", offset=offset, shape=(length,))
    except (OSError, ValueError, SafetensorError):
        return None
    fits = shapes.ndim == 2 and shapes.shape[1] == 2 and 3 * int(shapes.prod(1).sum()) == length
    return (pixels, shapes, sha256) if fits else None


def intact(path: Path, count: int | None = None) -> bool:
    """Tell whether a stored shard, of `count` images if that is known, is what was written."""
    found = _open(path)
    if found is None or count not in (None, len(found[1])):
        return False
    return _sha256(found[0], found[1]) == found[2]


def _write(path: Path, images: Sequence[Pixels]) -> None:
    import numpy as np
    from safetensors.numpy import save

    pixels = np.concatenate([image.reshape(-1) for image in images])
    shapes = np.array([image.shape[:2] for image in images], dtype=np.int64)
    with durable(path) as file:
        file.write(save({"pixels": pixels, "shapes": shapes}, metadata={"sha256": _sha256(pixels, shapes)}))


def _sha256(pixels: Bytes, shapes: Ints) -> str:
    digest = hashlib.sha256(pixels.data)
    digest.update(shapes.tobytes())
    return digest.hexdigest()
