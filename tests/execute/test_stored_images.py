"""An encoder that asks for stored images gets them, in training, at test time and for a picture from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor, nn

from harness import decoded
from harness.data import OpenDataset
from harness.decoded import DecodedImages, load_decoded, shrunk, stored_size
from harness.errors import TrainingError
from harness.execute.estimate import estimate
from harness.execute.restore import restore
from harness.inputs import PixelInputs
from harness.protocols import Record, Split
from harness.store import Store

RECORDS = tuple(Record(image=f"i{k}", split="train", captions=("x",)) for k in range(10))


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoded, "SHARD", 4)


class Scaled(nn.Module):
    """Prepares the mean colour, with noise in training; keeps the shapes that it saw."""

    def __init__(self, size: Any) -> None:
        super().__init__()
        self.stored_size = size

    def prepare(self, raw: np.ndarray, *, training: bool) -> Tensor:
        mean = torch.from_numpy(raw).float().mean((0, 1))
        return torch.cat([mean + torch.rand(3) if training else mean, torch.tensor(raw.shape[:2])])


class Drawn:
    """Noise of different shapes; counts how often it is drawn."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def pixels(self, record: Record) -> np.ndarray:
        self.seen.append(record.image)
        number = int(record.image[1:])
        random = np.random.default_rng(number)
        return random.integers(0, 256, (8 + 3 * number, 20 - number, 3), dtype=np.uint8)

    def content(self, record: Record) -> str:
        return record.image


# torch advises against more workers than there are cores.
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [0, 2])
def test_an_encoder_gets_the_stored_images(tmp_path: Path, workers: int) -> None:
    images = Drawn()
    dataset, split = OpenDataset("drawn", "passport", RECORDS, images), Split("train", RECORDS)
    order, views = np.array([3, 0, 9, 1]), np.zeros(4, dtype=np.int64)

    def rows(cache: DecodedImages | None, seed: int | None) -> Tensor:
        inputs = PixelInputs(dataset, split, Scaled(8), device="cpu", workers=workers, decoded=cache)
        return torch.cat(list(inputs.batches(order, views, 3, seed)))

    cache = load_decoded(tmp_path, dataset, RECORDS, size=8, progress=lambda done, total: None)
    images.seen.clear()
    found = rows(cache, None)
    augmented = rows(cache, 5)
    assert images.seen == []
    for row, number in zip(found, order, strict=True):
        pixels = torch.from_numpy(shrunk(images.pixels(RECORDS[number]), 8))
        assert row[3:].tolist() == list(pixels.shape[:2])
        torch.testing.assert_close(row[:3], pixels.float().mean((0, 1)))
    # The augmentation is that of the image and the seed, as without a cache.
    plain = rows(None, None)
    torch.testing.assert_close(augmented - found, rows(None, 5) - plain, atol=1e-4, rtol=0)
    assert plain[:, 3:].tolist() == [[8 + 3 * k, 20 - k] for k in order]


@pytest.mark.parametrize("size", [0, -1, 2.5, "256", True])
def test_a_size_that_is_none_is_named(size: Any) -> None:
    with pytest.raises(TrainingError, match=r"Scaled\.stored_size is .*, not a number of pixels"):
        stored_size(Scaled(size))
    assert stored_size(Scaled(None)) is stored_size(nn.Identity()) is None
    assert stored_size(Scaled(7)) == 7


CHANGES = (
    ("pixels: {use: pixels}", "pixels: {use: stored}"),
    ("seeds: {summary: two runs, experiment: toy", "seeds: {summary: two runs, experiment: direct"),
)


def cached_bytes(home: Path) -> int:
    return sum(path.stat().st_size for path in home.glob("decoded/*/*.safetensors"))


def test_a_run_trains_on_stored_images_of_a_generated_dataset(toy: Any, toy_log: Any) -> None:
    plan = toy.plan(*CHANGES, matrix="seeds")
    before, later = estimate(plan, toy.workspace(), lambda *_: None).runs.values()
    assert before.feature_seconds > 0 == later.feature_seconds == later.feature_bytes
    toy_log.clear()
    assert [outcome.status for outcome in toy.execute(plan)] == ["done", "done"]
    assert set(toy_log.events("prepare")) == {"prepare (2, 2, 3)"}
    assert not (toy.home / "features").exists()
    decoding = [told[2:] for told in toy.listener.told if told[:2] == ("progress", "decode")]
    assert decoding == 2 * [(4, 16), (8, 16), (12, 16), (16, 16), (4, 8), (8, 8), (4, 8), (8, 8)]
    # The plan knew of the disk.
    assert before.feature_bytes == pytest.approx(cached_bytes(toy.home), rel=0.05)
    # What embeds a picture from elsewhere scales it as the cache does.
    for run in plan.runs:
        restored = restore(run.fingerprint, toy.workspace(), Store(toy.home), toy.write(*CHANGES).parent)
        record = restored.dataset.split("test").records[-1]
        stored = load_file(Store(toy.home).folder(run.fingerprint) / "embeddings.safetensors")
        toy_log.clear()
        found = restored.embed_image(restored.dataset.pixels(record))
        np.testing.assert_allclose(found, stored["image"][-1], atol=1e-5)
        assert toy_log.events("prepare") == ["prepare (2, 2, 3)"]


def test_an_encoder_that_asks_for_none_has_every_image_decoded_every_time(toy: Any, toy_log: Any) -> None:
    none = ("pixels: {use: pixels}", "pixels: {use: stored, stored_size: null}")
    plan = toy.plan(none, CHANGES[1], matrix="seeds")
    assert (
        sum(run.feature_bytes for run in estimate(plan, toy.workspace(), lambda *_: None).runs.values()) == 0
    )
    toy.execute(plan)
    assert set(toy_log.events("prepare")) == {"prepare (4, 4, 3)"}
    assert not (toy.home / "decoded").exists()
