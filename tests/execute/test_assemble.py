"""Which images go through which part of an encoder: training through the frozen part, val and test through theirs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.data import OpenDataset
from harness.errors import Interrupted
from harness.evaluate import embed
from harness.execute.assemble import Gallery, open_galleries
from harness.inputs import FeatureInputs, PixelInputs, RowInputs
from harness.protocols import SPLITS, Record

N = 4


class Drawn:
    def pixels(self, record: Record) -> np.ndarray:
        return np.full((2, 2, 3), int(record.image[1:]), np.uint8)

    def content(self, record: Record) -> str:
        return record.image


class Part:
    """An image's number and the view's; `lengths` repeats it, more often in every second image."""

    def __init__(self, name: str, *, lengths: bool = False) -> None:
        self.key, self.lengths = name, lengths
        self.shape: tuple[int, ...] = (-1, 2) if lengths else (2,)

    def view(self, raw: np.ndarray, index: int) -> Tensor:
        number = float(raw[0, 0, 0])
        row = torch.tensor([number, float(index)])
        return row.expand(1 + int(number) % 2, 2) if self.lengths else row

    def compute(self, batch: Tensor) -> Tensor:
        return batch


class Separate(Part):
    def __init__(self, test: Part | None) -> None:
        super().__init__("training")
        self.test = test


class Image(nn.Module):
    def prepare(self, raw: np.ndarray, *, training: bool) -> Tensor:
        return torch.tensor([float(raw[0, 0, 0]), -1.0])

    def forward(self, batch: Tensor) -> Tensor:
        return batch

    def head(self, batch: Tensor) -> Tensor:
        return batch if batch.ndim == 2 else batch.sum(1)


class Text(nn.Module):
    def prepare(self, raw: str, *, training: bool) -> Tensor:
        return torch.ones(2)

    def forward(self, batch: Tensor) -> Tensor:
        return batch


def galleries(home: Path, part: Part | None, *, views: int = 2, signal: int = 0) -> dict[str, Gallery]:
    records = tuple(
        Record(image=f"i{k + 1 + 10 * at}", split=split, captions=("x",))
        for at, split in enumerate(SPLITS)
        for k in range(N)
    )
    dataset = OpenDataset("drawn", "passport", records, Drawn())
    spec: Any = SimpleNamespace(stage=SimpleNamespace(views=views))
    workspace: Any = SimpleNamespace(home=home, device="cpu", own_threads=1, stopping=lambda: signal)
    model: Any = SimpleNamespace(image=Image(), text=Text())
    splits = {name: dataset.split(name, None) for name in SPLITS}
    return open_galleries(spec, workspace, dataset, splits, model, part, lambda *_: None)


def test_a_part_serves_all_splits_where_it_does_not_say_otherwise(tmp_path: Path) -> None:
    found = galleries(tmp_path, Part("training"))
    assert [inputs.images.views for inputs in found.values()] == [2, 1, 1]
    for at, name in enumerate(SPLITS):
        images = found[name].images
        assert isinstance(images, FeatureInputs)
        for view, features in enumerate(images.features):
            assert features.tolist() == [[k + 1 + 10 * at, view] for k in range(N)]


def test_without_a_part_all_splits_are_pixels(tmp_path: Path) -> None:
    assert {type(gallery.images) for gallery in galleries(tmp_path, None).values()} == {PixelInputs}


def test_val_and_test_go_through_a_part_of_their_own(tmp_path: Path) -> None:
    found = galleries(tmp_path, Separate(Part("test", lengths=True)))
    assert isinstance(found["train"].images, FeatureInputs)
    assert found["train"].images.views == 2
    for at, name in enumerate(("val", "test"), start=1):
        images = found[name].images
        assert isinstance(images, RowInputs)
        numbers = [k + 1 + 10 * at for k in range(N)]
        assert [row.tolist() for row in images.features] == [[[k, 0]] * (1 + k % 2) for k in numbers]
    test = found["test"]
    rows, _ = embed(test.split, Image(), Text(), test.images, test.texts)
    assert rows == pytest.approx(np.tile([1.0, 0.0], (N, 1)))


def test_val_and_test_are_pixels_where_no_part_serves_them(tmp_path: Path) -> None:
    found = galleries(tmp_path, Separate(None), views=1)
    assert [type(found[name].images) for name in SPLITS] == [FeatureInputs, PixelInputs, PixelInputs]
    (batch,) = found["val"].images.gallery(8)
    assert torch.equal(batch[:, 1], torch.full((N,), -1.0))


def test_a_signal_ends_the_work_between_two_writes(tmp_path: Path) -> None:
    for part in (Part("training"), Separate(Part("test", lengths=True))):
        with pytest.raises(Interrupted):
            galleries(tmp_path, part, signal=2)
    assert len(list(tmp_path.glob("features/*/*.safetensors"))) == 1  # what was done is kept
