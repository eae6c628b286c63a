"""Images that came from elsewhere: decoded to RGB upright or refused with the reason, and nothing else."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.data.images import ImageError, decode, inspect, read


def picture(height: int = 40, width: int = 60) -> np.ndarray:
    """Draw a smooth gradient, red to the right and green downward, which JPEG keeps nearly as it is."""
    across = np.linspace(0, 255, width)[None, :].repeat(height, 0)
    down = np.linspace(0, 255, height)[:, None].repeat(width, 1)
    return np.stack([across, down, np.full((height, width), 64.0)], axis=2).astype(np.uint8)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def jpeg(**options: object) -> bytes:
    return saved(Image.fromarray(picture()), "JPEG", quality=95, **options)


def png_header(width: int, height: int) -> bytes:
    """Write a PNG of a size that it does not hold: what a decoder sees before it takes the memory."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP", "TIFF", "PPM"])
def test_lossless_formats_come_back_as_they_were(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    np.testing.assert_array_equal(decode(saved(Image.fromarray(picture()), kind, **options)), picture())


def test_jpeg_comes_back_nearly_as_it_was() -> None:
    for options in ({}, {"progressive": True}, {"optimize": True}, {"restart_marker_blocks": 2}):
        assert np.abs(decode(jpeg(**options)).astype(int) - picture()).mean() < 4


def test_cmyk_becomes_rgb() -> None:
    pixels = decode(saved(Image.fromarray(picture()).convert("CMYK"), "JPEG", quality=95))
    assert np.abs(pixels.astype(int) - picture()).mean() < 4


def test_greyscale_becomes_three_equal_channels() -> None:
    grey = Image.fromarray(picture()).convert("L")
    pixels = decode(saved(grey, "PNG"))
    for channel in range(3):
        np.testing.assert_array_equal(pixels[:, :, channel], np.asarray(grey))


def test_16_bit_keeps_its_upper_byte() -> None:
    values = np.linspace(0, 65535, 2400).astype(np.uint16).reshape(40, 60)
    pixels = decode(saved(Image.fromarray(values), "PNG"))
    np.testing.assert_array_equal(pixels, np.repeat((values >> 8).astype(np.uint8)[:, :, None], 3, axis=2))


def test_transparent_stands_on_white() -> None:
    clear = np.dstack([picture(), np.zeros((40, 60), np.uint8)])
    assert (decode(saved(Image.fromarray(clear), "PNG")) == 255).all()
    solid = np.dstack([picture(), np.full((40, 60), 255, np.uint8)])
    np.testing.assert_array_equal(decode(saved(Image.fromarray(solid), "PNG")), picture())


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda p: p),
        (2, lambda p: p[:, ::-1]),
        (3, lambda p: p[::-1, ::-1]),
        (4, lambda p: p[::-1]),
        (5, lambda p: p.transpose(1, 0, 2)),
        (6, lambda p: np.rot90(p, -1)),
        (7, lambda p: p[::-1, ::-1].transpose(1, 0, 2)),
        (8, lambda p: np.rot90(p, 1)),
    ],
)
def test_exif_orientation_is_undone(orientation: int, upright: object, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(picture()), "PNG", exif=exif)
    expected = upright(picture())  # type: ignore[operator]
    np.testing.assert_array_equal(decode(data), expected)
    (tmp_path / "a.png").write_bytes(data)
    seen = inspect(tmp_path / "a.png")
    assert (seen.height, seen.width) == expected.shape[:2]
    assert seen.remarks == (() if orientation == 1 else ("turned upright",))


def test_first_frame_of_an_animation_is_taken_and_said(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in (10, 200)]
    (tmp_path / "a.gif").write_bytes(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert "several frames, first one taken" in inspect(tmp_path / "a.gif").remarks
    assert (decode((tmp_path / "a.gif").read_bytes()) == 10).all()


@pytest.mark.parametrize("cut", [1, 2, 3, 50, 500])
def test_truncated_jpeg_is_refused(cut: int) -> None:
    with pytest.raises(ImageError, match=r"truncated|decoded"):
        decode(jpeg()[:-cut])


def test_noise_in_the_middle_of_a_jpeg_is_refused() -> None:
    """Pillow decodes this without a word."""
    data = saved(Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)), "JPEG")
    hole = np.random.default_rng(1).integers(0, 256, 2000, np.uint8).tobytes()
    with pytest.raises(ImageError, match=r"damaged|truncated"):
        decode(data[:1500] + hole + data[1500 + len(hole) :])


def test_one_flipped_bit_of_a_png_is_refused() -> None:
    data = bytearray(saved(Image.fromarray(picture()), "PNG"))
    data[len(data) // 2] ^= 1
    with pytest.raises(ImageError, match="cannot be decoded"):
        decode(bytes(data))


def test_truncated_png_is_refused() -> None:
    with pytest.raises(ImageError):
        decode(saved(Image.fromarray(picture()), "PNG")[:-40])


def test_bomb_is_refused_by_its_header() -> None:
    for width, height in ((30_000, 30_000), (9_000, 9_000), (2**31 - 1, 2**31 - 1)):
        with pytest.raises(ImageError, match=r"refused before decoding|cannot be decoded"):
            decode(png_header(width, height))
    with pytest.raises(ImageError, match="60 x 40 pixels, more than the 2,399 allowed"):
        decode(saved(Image.fromarray(picture()), "PNG"), max_pixels=2399)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize(
    "data",
    [
        b"this is text\n" * 20,
        b"\xff\xd8",
        b"\xff\xd8\xff\xe0" + b"\0" * 400,
        b"GIF89a" + b"\0" * 20,
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(/etc/passwd) (r) file\n",
        b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
        b"P6\n9 9\n255\n",
        b"RIFF\x24\0\0\0WEBPVP8 \x18\0\0\0" + b"\0" * 24,
        b"II*\0\x08\0\0\0\xff\xff" + b"\0" * 30,
    ],
)
def test_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(ImageError):
        decode(data)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_random_bytes_and_flips_only_ever_raise_image_error() -> None:
    random = np.random.default_rng(0)
    originals = [
        jpeg(),
        *(saved(Image.fromarray(picture()), k) for k in ("PNG", "GIF", "BMP", "WEBP", "TIFF")),
    ]
    for _ in range(30):
        for original in originals:
            data = bytearray(original)
            for at in random.integers(0, len(data), 4):
                data[at] = random.integers(0, 256)
            try:
                pixels = decode(bytes(data), max_pixels=1_000_000)
            except ImageError:
                continue
            assert pixels.dtype == np.uint8
            assert pixels.ndim == 3


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    for name, why in (
        ("empty", "empty file"),
        ("folder", "not a regular file"),
        ("pipe", "not a regular file"),
        ("gone", "no such"),
    ):
        with pytest.raises(ImageError, match=why):
            read(tmp_path / f"{name}.jpg")
