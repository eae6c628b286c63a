"""Images that came from elsewhere: decoded to RGB upright under limits, or refused with the reason."""

from __future__ import annotations

import errno
import hashlib
import io
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

    from harness.protocols.datasets import Pixels

MAX_PIXELS = 80_000_000
MAX_BYTES = 256 * 2**20
# Raster formats only: Pillow's EPS reader starts Ghostscript, and its flaws are mostly in the rare readers.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")

# In a JPEG's scan 0xFF is followed by 0x00 (a literal 0xFF), by a restart marker, or by the next segment's.
_IN_SCAN = {0x00, *range(0xD0, 0xD8)}
_AFTER_SCAN = {0xC4, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)}

_MODES = {
    "1": "black and white",
    "L": "greyscale",
    "P": "palette",
    "RGBA": "transparent, put on white",
    "LA": "transparent, put on white",
    "PA": "transparent, put on white",
    "I": "16-bit",
    "I;16": "16-bit",
    "I;16B": "16-bit",
}


class ImageError(ValueError):
    """Say in a few words why a file cannot be used as an image."""


class AbsentError(ImageError):
    """Say that there is no file, or none in the dataset's folder: what can be told without opening it."""


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What one decoding of an image file told.

    Args:
        sha256: hex digest of the file.
        size: bytes of the file.
        mtime_ns: when the file was last written, in nanoseconds.
        width: pixels, upright.
        height: pixels, upright.
        remarks: what was decided to reach 8-bit RGB upright, such as ``CMYK`` or ``turned upright``.
    """

    sha256: str
    size: int
    mtime_ns: int
    width: int
    height: int
    remarks: tuple[str, ...] = ()


def inspect(path: Path, *, max_pixels: int = MAX_PIXELS) -> Inspection:
    """Decode an image once and describe it.

    Raises:
        ImageError: if the file is missing, not an image, damaged, or too large to decode.
    """
    data = read(path)
    pixels, remarks = _decode(data, max_pixels, inspected=False)
    return Inspection(
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        mtime_ns=path.stat().st_mtime_ns,
        width=int(pixels.shape[1]),
        height=int(pixels.shape[0]),
        remarks=remarks,
    )


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS, inspected: bool = False) -> Pixels:
    """Decode a file's bytes to (height, width, 3) uint8 RGB, turned upright by EXIF.

    Transparent pixels stand on white, 16-bit grey keeps its upper byte, of several frames the first is taken.

    Args:
        inspected: the hash says that `inspect` has seen these bytes, so damage needs no second look.

    Raises:
        ImageError: if the bytes are not an image, are damaged, or exceed `max_pixels`.
    """
    return _decode(data, max_pixels, inspected)[0]


def read(path: Path) -> bytes:
    """Read a regular file of at most `MAX_BYTES`.

    Raises:
        ImageError: if there is no such file, or it is a folder, a pipe, too large or unreadable.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise AbsentError("not a regular file")
        if status.st_size > MAX_BYTES:
            raise ImageError(f"{status.st_size:,} bytes, more than {MAX_BYTES:,}")
        if status.st_size == 0:
            raise ImageError("empty file")
        return path.read_bytes()
    except FileNotFoundError:
        raise AbsentError("no such file") from None
    except (OSError, ValueError) as error:
        if isinstance(error, ImageError):
            raise
        nowhere = getattr(error, "errno", None) in (errno.ENAMETOOLONG, errno.ENOTDIR)
        raise (AbsentError if nowhere else ImageError)(
            getattr(error, "strerror", None) or str(error)
        ) from error


def _decode(data: bytes, max_pixels: int, inspected: bool) -> tuple[Pixels, tuple[str, ...]]:
    import struct

    import numpy as np
    from PIL import Image, ImageOps, UnidentifiedImageError

    Image.init()  # registers WEBP and TIFF, once; MPO comes with JPEG
    bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise ImageError(_bomb(f"{width} x {height} pixels", max_pixels))
            if not inspected:
                _check_damage(data, image.format)
            remarks = [] if image.mode == "RGB" else [_MODES.get(image.mode, image.mode)]
            if getattr(image, "is_animated", False) and image.format != "MPO":
                remarks.append("several frames, first one taken")
                image.seek(0)
            image.load()
            upright: Image.Image = image
            if image.getexif().get(0x0112, 1) not in (0, 1):
                upright = ImageOps.exif_transpose(image)
                remarks.append("turned upright")
            pixels = np.ascontiguousarray(_to_rgb(upright))
    except ImageError:
        raise
    except bombs as error:
        raise ImageError(_bomb(str(error), max_pixels)) from error
    except UnidentifiedImageError:
        raise ImageError("not an image of a known format") from None
    except (OSError, ValueError, SyntaxError, KeyError, IndexError, TypeError, EOFError, OverflowError,
            MemoryError, struct.error) as error:  # fmt: skip
        # What Pillow's readers raise on hostile bytes.
        raise ImageError(f"cannot be decoded ({str(error) or type(error).__name__})") from error
    return pixels, tuple(remarks)


def _bomb(what: str, max_pixels: int) -> str:
    return f"refused before decoding: {what}, more than the {max_pixels:,} allowed"


def _to_rgb(image: Image) -> Pixels:
    import numpy as np
    from PIL import Image as Pillow

    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM", None)):
        grey = np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise ImageError(f"32-bit pixels (mode {image.mode}) have no fixed range")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        over = image.convert("RGBA")
        image = Pillow.alpha_composite(Pillow.new("RGBA", over.size, "white"), over)
    # Of an image that is RGB already, converting makes a copy.
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"), dtype=np.uint8)


def _check_damage(data: bytes, kind: str | None) -> None:
    from PIL import Image

    if kind in ("JPEG", "MPO"):
        _check_jpeg(data)
    elif kind == "PNG":
        # Its checksums, which load() skips; an image that was verified cannot be loaded.
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            image.verify()


def _check_jpeg(data: bytes) -> None:
    """Walk the segments: libjpeg fills a hole with grey or noise and counts a warning that Pillow drops.

    A hole of zeros, or one too short to hold a marker, cannot be told from a picture.
    """
    at = 2
    while True:
        while data[at : at + 2] == b"\xff\xff":  # padding
            at += 1
        if len(data) < at + 2:
            raise ImageError("truncated: no end marker")
        if data[at] != 0xFF:
            raise ImageError(f"damaged: no marker at byte {at:,}")
        marker = data[at + 1]
        if marker == 0xD9:
            return
        at += 2
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        if length < 2:
            raise ImageError(f"damaged: segment of {length} bytes at byte {at:,}")
        at += length
        if marker == 0xDA:
            at = data.find(b"\xff", at)
            while 0 <= at < len(data) - 1 and data[at + 1] in _IN_SCAN:
                at = data.find(b"\xff", at + 2)
            if not 0 <= at < len(data) - 1:
                raise ImageError("truncated: no end marker")
            if data[at + 1] != 0xFF and data[at + 1] not in _AFTER_SCAN:
                raise ImageError(f"damaged: stray marker in the picture at byte {at:,}")
