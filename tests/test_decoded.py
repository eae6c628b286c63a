"""Images are decoded once for what determines them, are what a decoding gives, and processes share them.

Nothing here needs torch: processes that are started import this file.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness import decoded
from harness.data import OpenDataset
from harness.decoded import (
    DecodedImages,
    decoded_key,
    load_decoded,
    missing_decoded,
    shrunk,
)
from harness.errors import Interrupted, StoreError
from harness.parallel import cores
from harness.protocols import Record

N = 10
SIZE = 8
SHAPES = [(8 + 3 * k, 20 - k) for k in range(N)]  # (8, 20) to (35, 11): some need no scaling
SHARD = 4
RECORDS = tuple(Record(image=f"i{k}", split="train", captions=("x",)) for k in range(N))


class Files:
    """Image files; counts those that are decoded. `salt` stands for other pixels under the same ids."""

    def __init__(self, folder: Path, salt: str = "") -> None:
        self.folder, self.salt = folder, salt
        self.seen: list[str] = []
        self.threads: set[int] = set()

    def pixels(self, record: Record) -> np.ndarray:
        self.seen.append(record.image)
        self.threads.add(threading.get_ident())
        with Image.open(self.folder / f"{record.image}.png") as image:
            return np.array(image)

    def content(self, record: Record) -> str:
        return f"{record.image}{self.salt}"


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoded, "SHARD", SHARD)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    folder = tmp_path / "images"
    folder.mkdir()
    random = np.random.default_rng(0)
    for record, shape in zip(RECORDS, SHAPES, strict=True):
        pixels = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{record.image}.png")
    return Files(folder)


def load(home: Path, files: Files, **fields: Any) -> DecodedImages:
    values = {"records": RECORDS, "size": SIZE, "progress": lambda done, total: None, **fields}
    dataset = OpenDataset("files", "passport", RECORDS, files)
    return load_decoded(home, dataset, values.pop("records"), **values)


def direct(files: Files, number: int) -> np.ndarray:
    """Decode and scale by Pillow alone."""
    with Image.open(files.folder / f"i{number}.png") as image:
        scale = SIZE / min(image.size)
        if scale < 1:
            size = tuple(SIZE if side == min(image.size) else round(side * scale) for side in image.size)
            image = image.resize(size, Image.Resampling.BICUBIC)
        return np.array(image)


def assert_right(images: DecodedImages, files: Files) -> None:
    assert len(images) == N
    for number in (7, 0, 9, *range(N)):
        found = images.pixels(number)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, direct(files, number))


def test_pixels_are_those_of_a_decoding_and_a_resize(tmp_path: Path, files: Files) -> None:
    told: list[tuple[int, int]] = []
    images = load(tmp_path, files, progress=lambda *at: told.append(at))
    assert_right(images, files)
    assert {min(images.pixels(k).shape[:2]) for k in range(N)} == {SIZE}
    assert len({images.pixels(k).shape for k in range(N)}) > 5
    assert told == [(4, 10), (8, 10), (10, 10)]
    for outside in (-1, N):
        with pytest.raises(IndexError, match=f"image {outside} of 10"):
            images.pixels(outside)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((8, 30), (8, 30)),
        ((5, 9), (5, 9)),
        ((9, 9), (8, 8)),
        ((16, 33), (8, 16)),
        ((2000, 9), (1778, 8)),
        ((480, 640), (8, 11)),
    ],
)
def test_the_shorter_side_is_scaled_down_and_never_up(
    shape: tuple[int, int], expected: tuple[int, int]
) -> None:
    pixels = np.full((*shape, 3), 77, np.uint8)
    found = shrunk(pixels, SIZE)
    assert found.shape == (*expected, 3)
    assert (found == 77).all()
    if shape == expected:
        assert found is pixels


def test_nothing_aliases() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    assert abs(shrunk(stripes, 8).astype(int)[:, 1:-1] - 127.5).max() < 3


def test_what_was_read_may_be_changed_and_changes_nothing(tmp_path: Path, files: Files) -> None:
    images = load(tmp_path, files)
    images.pixels(3)[:] = 0
    assert images.pixels(3).any()
    assert_right(load(tmp_path, files), files)


def test_each_image_is_decoded_once(tmp_path: Path, files: Files) -> None:
    load(tmp_path, files)
    assert sorted(files.seen) == [record.image for record in RECORDS]
    load(tmp_path, files)
    assert len(files.seen) == N


@pytest.mark.skipif(cores() < 2, reason="needs two cores")
def test_threads_decode(tmp_path: Path, files: Files) -> None:
    met = threading.Barrier(2)
    plain = files.pixels

    def waits(record: Record) -> np.ndarray:
        met.wait(timeout=20)  # until another thread is here as well
        return plain(record)

    files.pixels = waits  # type: ignore[method-assign]
    load(tmp_path, files, records=RECORDS[:4])
    assert len(files.threads) > 1


@pytest.mark.parametrize(
    ("salt", "fields"),
    [
        ("other pixels", {}),
        ("", {"size": SIZE + 1}),
        ("", {"records": RECORDS[::-1]}),
        ("", {"records": RECORDS[:-1]}),
    ],
    ids=["contents", "size", "order", "fewer"],
)
def test_whatever_changes_the_pixels_decodes_anew(
    tmp_path: Path, files: Files, salt: str, fields: dict[str, Any]
) -> None:
    load(tmp_path, files)
    other = Files(files.folder, salt)
    assert len(load(tmp_path, other, **fields)) == len(other.seen)
    assert len(list(tmp_path.glob("decoded/*"))) == 2


def test_an_address_tells_lists_pillow_and_format_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    assert decoded_key(["ab", "c"], 8) != decoded_key(["a", "bc"], 8)
    own = decoded_key(["a"], 8)
    for name, value in (("PIL.__version__", "0.0"), ("harness.decoded.REVISION", 0)):
        with monkeypatch.context() as patch:
            patch.setattr(name, value)
            assert decoded_key(["a"], 8) != own
    assert decoded_key(["a"], 8) == own


def test_what_a_signal_leaves_is_gone_on_with(tmp_path: Path, files: Files) -> None:
    def stop(done: int, total: int) -> None:
        raise Interrupted(2)

    with pytest.raises(Interrupted):
        load(tmp_path, files, progress=stop)
    assert [path.name for path in sorted(tmp_path.glob("decoded/*/*"))] == ["00000000.safetensors"]
    (address,) = (path.name for path in tmp_path.glob("decoded/*"))
    assert missing_decoded(tmp_path, address, N) == 6
    assert missing_decoded(tmp_path, "nowhere", N) == N
    files.seen.clear()
    assert_right(load(tmp_path, files), files)
    assert sorted(files.seen) == [f"i{k}" for k in range(4, N)]
    assert missing_decoded(tmp_path, address, N) == 0


PROGRAM = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_decoded as t
t.decoded.SHARD = t.SHARD
folder, home, fate = Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
files = t.Files(folder)
plain = files.pixels
def pixels(record):
    if fate == "killed" and record.image == "i5":
        os.kill(os.getpid(), 9)
    if fate == "slow":
        time.sleep(0.02)
    return plain(record)
files.pixels = pixels
t.assert_right(t.load(home, files), files)
print(len(files.seen))
"""


def start(files: Files, home: Path, fate: str) -> subprocess.Popen[str]:
    arguments = [str(Path(__file__).parent), str(files.folder), str(home), fate]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_what_a_kill_between_shards_leaves_is_gone_on_with(tmp_path: Path, files: Files) -> None:
    killed = start(files, tmp_path, "killed")
    _, err = killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL, err
    (shard,) = tmp_path.glob("decoded/*/*.safetensors")
    (shard.parent / ".00000004.safetensors.1.tmp").write_bytes(b"half a shard")
    assert_right(load(tmp_path, files), files)
    assert sorted(files.seen) == [f"i{k}" for k in range(4, N)]
    assert list(shard.parent.glob(".*")) == []


def test_two_processes_decode_once(tmp_path: Path, files: Files) -> None:
    both = [start(files, tmp_path, "slow") for _ in range(2)]
    told = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert sorted(int(out) for out, _ in told) == [0, N]


def test_a_damaged_shard_is_noticed_and_made_anew(tmp_path: Path, files: Files) -> None:
    load(tmp_path, files)
    (path,) = tmp_path.glob("decoded/*/00000004.safetensors")
    (short,) = tmp_path.glob("decoded/*/00000008.safetensors")
    whole = path.read_bytes()
    flipped = []
    for place in (-3, len(whole) // 2, whole.index(b"}}") + 20):  # the last is a height or a width
        copy = bytearray(whole)
        copy[place] ^= 1
        flipped.append(bytes(copy))
    for damage in (*flipped, whole[:-5], whole + b"x", b"", short.read_bytes()):
        path.write_bytes(damage)
        files.seen.clear()
        assert_right(load(tmp_path, files), files)
        assert sorted(files.seen) == ["i4", "i5", "i6", "i7"]
        assert path.read_bytes() == whole


def test_a_write_that_fails_leaves_no_half_shard(tmp_path: Path, files: Files, disk_full: Any) -> None:
    with disk_full(), pytest.raises(StoreError, match=r"00000000\.safetensors: No space left"):
        load(tmp_path, files)
    assert list(tmp_path.glob("decoded/*/*")) == []
    assert_right(load(tmp_path, files), files)


def mapped(path: Path) -> dict[str, int]:
    """Return kB of the mapping of a file in this process, by the kernel's names."""
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    for line in lines:
        if line.endswith(str(path)):
            break
    else:
        return {}
    found = {}
    for line in lines:
        name, _, rest = line.partition(":")
        if not rest.endswith("kB"):
            break
        found[name] = int(rest.split()[0])
    return found


def in_child(images: DecodedImages, files: Files, answers: Any) -> None:
    assert_right(images, files)
    answers.put(mapped(images.paths[0]) if sys.platform == "linux" else {"Private_Dirty": 0})


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_share_the_mapped_files(tmp_path: Path, files: Files, method: Any) -> None:
    images = load(tmp_path, files)
    assert len(pickle.dumps(images)) < 1500  # paths, no pixels
    context = multiprocessing.get_context(method)
    answers = context.Queue()
    child = context.Process(target=in_child, args=(images, files, answers))
    child.start()
    found = answers.get(timeout=60)
    child.join(timeout=60)
    assert child.exitcode == 0
    assert found["Private_Dirty"] == found.get("Anonymous", 0) == 0
    assert found.get("Rss", 1) > 0


def test_shards_that_are_gone_are_named(tmp_path: Path, files: Files) -> None:
    images = load(tmp_path, files)
    packed = pickle.dumps(images)
    images.paths[1].unlink()
    assert_right(images, files)  # what is mapped stays
    with pytest.raises(StoreError, match=r"00000004.*gone or damaged"):
        pickle.loads(packed)
