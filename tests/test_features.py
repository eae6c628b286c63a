"""Frozen features are computed once for what determines them, and only what is missing is computed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save
from torch import Tensor

from harness import features
from harness.data import OpenDataset
from harness.errors import StoreError, TrainingError
from harness.features import feature_key, load_features, load_rows
from harness.protocols import Record

N = 10


@dataclass
class Drawn:
    """Images of one colour each; `salt` stands for other pixels under the same ids."""

    salt: str = ""

    def pixels(self, record: Record) -> np.ndarray:
        return np.full((2, 2, 3), int(record.image[1:]), np.uint8)

    def content(self, record: Record) -> str:
        return f"{record.image}{self.salt}"


@dataclass
class Part:
    """Sums pixels and adds the view; counts the images it saw."""

    key: str = "sum"
    shape: tuple[int, ...] = (2,)
    seen: list[int] = field(default_factory=list)
    answer: Tensor | None = None

    def view(self, raw: np.ndarray, index: int) -> Tensor:
        return torch.tensor([float(raw.sum()), float(index)])

    def compute(self, batch: Tensor) -> Tensor:
        self.seen += (batch[:, 0] / 12).int().tolist()
        return batch if self.answer is None else self.answer.expand(len(batch), *self.answer.shape)


RECORDS = tuple(Record(image=f"i{k}", split="train", captions=("x",)) for k in range(N))


def dataset(salt: str = "") -> OpenDataset:
    return OpenDataset("drawn", "passport", RECORDS, Drawn(salt))


def load(home: Path, part: Part, records: tuple[Record, ...] = RECORDS, **fields: Any) -> np.ndarray:
    values = {"view": 0, "device": "cpu", "progress": lambda done, total: None, **fields}
    return load_features(home, part, values.pop("dataset", dataset()), records, **values)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "SHARD", 4)
    monkeypatch.setattr(features, "BATCH", 3)


def test_features_are_in_the_order_of_the_records(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    found = load(tmp_path, Part(), view=2, progress=lambda *at: told.append(at))
    assert found.dtype == np.float32
    assert found.tolist() == [[12.0 * k, 2.0] for k in range(N)]
    assert told == [(4, 10), (8, 10), (10, 10)]
    assert load(tmp_path, Part(), RECORDS[::-1]).tolist() == [[12.0 * k, 0.0] for k in reversed(range(N))]


def test_each_image_is_computed_once(tmp_path: Path) -> None:
    part = Part()
    first = load(tmp_path, part)
    assert sorted(part.seen) == list(range(N))
    assert (load(tmp_path, part) == first).all()
    assert (load(tmp_path, Part(key="sum")) == first).all()
    assert len(part.seen) == N


def test_channels_last_features_are_stored_in_their_order(tmp_path: Path) -> None:
    """A convolution in that layout gives such arrays, and safetensors writes memory as it lies."""
    answer = torch.arange(8.0).reshape(2, 2, 2).permute(2, 0, 1)
    part = Part(shape=(2, 2, 2), answer=answer)
    first = load(tmp_path, part)
    assert (first == answer.numpy()).all()
    assert all(map(features.intact, tmp_path.glob("features/*/*.safetensors")))
    assert (load(tmp_path, part) == first).all()
    assert len(part.seen) == N


def test_only_the_missing_shard_is_computed(tmp_path: Path) -> None:
    first = load(tmp_path, Part())
    (second,) = tmp_path.glob("features/*/00000004.safetensors")
    second.unlink()
    part = Part()
    assert (load(tmp_path, part) == first).all()
    assert part.seen == [4, 5, 6, 7]
    assert list(tmp_path.glob("features/*/.*")) == []


@pytest.mark.parametrize(
    ("part", "fields"),
    [
        (Part(key="other"), {}),
        (Part(shape=(1, 2), answer=torch.zeros(1, 2)), {}),
        (Part(), {"view": 1}),
        (Part(), {"dataset": dataset("other pixels")}),
        (Part(), {"records": RECORDS[::-1]}),
        (Part(), {"records": RECORDS[:-1]}),
    ],
    ids=["key", "shape", "view", "contents", "order", "fewer"],
)
def test_whatever_changes_the_features_computes_them_anew(
    tmp_path: Path, part: Part, fields: dict[str, Any]
) -> None:
    load(tmp_path, Part())
    assert len(load(tmp_path, part, **fields)) == len(part.seen)
    assert len(list(tmp_path.glob("features/*"))) == 2


def test_fields_of_a_key_do_not_run_into_each_other() -> None:
    part = Part()
    assert feature_key(part, ["ab", "c"], 0, "cpu") != feature_key(part, ["a", "bc"], 0, "cpu")
    assert feature_key(part, ["1"], 0, "cpu") != feature_key(part, [], 1, "cpu")
    assert (
        feature_key(part, [], 0, "cuda:0")
        == feature_key(part, [], 0, "cuda:1")
        != feature_key(part, [], 0, "cpu")
    )


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (torch.zeros(3), r"'sum' returned \(3, 3\), finite: True; declared: \(batch, 2\)"),
        (torch.tensor([1.0, torch.nan]), "'sum' returned .*finite: False"),
        (torch.tensor([1.0, torch.inf]), "finite: False"),
    ],
)
def test_a_part_that_breaks_its_promise_is_named_and_leaves_nothing(
    tmp_path: Path, answer: Tensor, message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        load(tmp_path, Part(answer=answer))
    assert list(tmp_path.glob("features/*/*")) == []


def test_a_write_that_fails_leaves_no_half_shard(tmp_path: Path, disk_full: Any) -> None:
    with disk_full(), pytest.raises(StoreError, match=r"00000000\.safetensors: No space left"):
        load(tmp_path, Part())
    assert list(tmp_path.glob("features/*/*")) == []
    part = Part()
    assert len(load(tmp_path, part)) == len(part.seen) == N


KILLED = """
import os, sys
from pathlib import Path
from harness.durable import durable
with durable(Path(sys.argv[1])) as file:
    file.write(b"half a shard")
    file.flush()
    os.kill(os.getpid(), 9)
"""


def test_a_write_that_is_killed_leaves_no_half_shard(tmp_path: Path) -> None:
    first = load(tmp_path, Part())
    (shard,) = tmp_path.glob("features/*/00000004.safetensors")
    shard.unlink()
    done = subprocess.run([sys.executable, "-c", KILLED, str(shard)], env=os.environ, check=False)
    assert done.returncode == -9
    assert not shard.exists()
    part = Part()
    assert (load(tmp_path, part) == first).all()
    assert part.seen == [4, 5, 6, 7]
    assert list(tmp_path.glob("features/*/.*")) == []


def test_a_damaged_shard_is_computed_anew(tmp_path: Path) -> None:
    first = load(tmp_path, Part())
    (path,) = tmp_path.glob("features/*/00000004.safetensors")
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-3] ^= 1
    (short,) = tmp_path.glob("features/*/00000008.safetensors")
    for damaged in (bytes(flipped), whole[:-5], b"", short.read_bytes()):
        path.write_bytes(damaged)
        part = Part()
        assert (load(tmp_path, part) == first).all()
        assert part.seen == [4, 5, 6, 7]
        assert path.read_bytes() == whole


@dataclass
class Rows:
    """As many rows as the image is wide, each the image's number; counts the batches that it saw."""

    key: str = "rows"
    shape: tuple[int, ...] = (-1, 2)
    seen: list[int] = field(default_factory=list)

    def view(self, raw: np.ndarray, index: int) -> Tensor:
        number = int(raw[0, 0, 0])
        return torch.full((1 + number % 3, 2), float(number))

    def compute(self, batch: Tensor) -> Tensor:
        self.seen.append(len(batch))
        return batch


def rows(home: Path, part: Any) -> list[Any]:
    found = load_rows(home, part, dataset(), RECORDS, device="cpu", progress=lambda done, total: None)
    assert all(features.dtype == np.float32 for features in found)
    return [features.tolist() for features in found]


def test_features_that_differ_in_length_come_back_as_they_were(tmp_path: Path) -> None:
    part, expected = Rows(), [[[float(k)] * 2] * (1 + k % 3) for k in range(N)]
    assert rows(tmp_path, part) == expected
    assert len(part.seen) == 10  # batches of 3, 1, 3, 1, 2 images, in groups of one shape
    assert sum(part.seen) == N
    again = Rows()
    assert rows(tmp_path, again) == expected
    assert again.seen == []


def test_a_damaged_shard_of_differing_lengths_is_computed_anew(tmp_path: Path) -> None:
    expected = rows(tmp_path, Rows())
    (path,) = tmp_path.glob("features/*/00000004.safetensors")
    (short,) = tmp_path.glob("features/*/00000008.safetensors")
    whole = path.read_bytes()
    moved = save(
        {"features": np.zeros((8, 2), np.float32), "counts": np.full(4, 2)}, metadata={"sha256": "x"}
    )
    for damaged in (whole[:-5], short.read_bytes(), moved):
        path.write_bytes(damaged)
        part = Rows()
        assert rows(tmp_path, part) == expected
        assert sum(part.seen) == 4
        assert path.read_bytes() == whole


def test_views_of_different_shapes_may_have_features_of_one(tmp_path: Path) -> None:
    class Means(Rows):
        def compute(self, batch: Tensor) -> Tensor:
            return super().compute(batch).mean(1)

    part = Means(shape=(2,))
    assert load(tmp_path, part).tolist() == [[float(k)] * 2 for k in range(N)]
    assert max(part.seen) == 1


def test_lengths_are_checked_against_what_was_declared(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"returned \(1, 1, 2\).*declared: \(batch, -1, 3\)"):
        rows(tmp_path, Rows(shape=(-1, 3)))


def test_features_are_written_to_where_they_are_wanted(tmp_path: Path) -> None:
    out = np.full((N, 2), np.nan, np.float32)
    assert load(tmp_path, Part(), out=out) is out
    assert (out == load(tmp_path, Part())).all()


def test_shards_have_the_format_that_caches_have(tmp_path: Path) -> None:
    # Caches that were filled before features of differing lengths came are to be read on.
    load(tmp_path, Part())
    (path,) = tmp_path.glob("features/*/00000008.safetensors")
    features = np.array([[96.0, 0.0], [108.0, 0.0]], np.float32)
    assert path.read_bytes() == save(
        {"features": features}, metadata={"sha256": hashlib.sha256(features.tobytes()).hexdigest()}
    )
