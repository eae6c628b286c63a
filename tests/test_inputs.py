"""What an epoch sees depends on its seed and on nothing else: not on workers, batches, or what ran before."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.data import OpenDataset
from harness.errors import TrainingError
from harness.inputs import FeatureInputs, PixelInputs, RowInputs, derive, prepare_captions
from harness.protocols import Record, Split

N = 7
RECORDS = tuple(Record(image=f"i{k}", split="train", captions=("x",)) for k in range(N))
ORDER = np.array([3, 0, 6, 1, 5, 2, 4])
FIRST = np.zeros(N, dtype=np.int64)


class Drawn:
    def pixels(self, record: Record) -> np.ndarray:
        return np.full((2, 2, 3), int(record.image[1:]), np.uint8)

    def content(self, record: Record) -> str:
        return record.image


class Noisy(nn.Module):
    """Adds noise in training, of torch's global state as the protocol says."""

    def prepare(self, raw: np.ndarray, *, training: bool) -> Tensor:
        plain = torch.from_numpy(raw.copy()).float().mean((0, 1))
        return plain + torch.rand(3) if training else plain


def pixels(workers: int = 0) -> PixelInputs:
    dataset = OpenDataset("drawn", "passport", RECORDS, Drawn())
    return PixelInputs(dataset, Split("train", RECORDS), Noisy(), device="cpu", workers=workers)


def drawn(inputs: PixelInputs, order: np.ndarray, size: int, seed: int | None) -> dict[int, list[float]]:
    rows = torch.cat(list(inputs.batches(order, FIRST[: len(order)], size, seed)))
    return {int(index): row.tolist() for index, row in zip(order, rows, strict=True)}


# torch advises against more workers than there are cores.
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_augmentation_depends_on_the_seed_and_the_image_alone() -> None:
    whole = drawn(pixels(), ORDER, 3, seed=5)
    assert drawn(pixels(workers=2), ORDER, 3, seed=5) == whole
    torch.manual_seed(99)
    assert drawn(pixels(), ORDER[::-1], 2, seed=5) == whole
    # Resumed in the middle of an epoch.
    assert drawn(pixels(), ORDER[3:], 3, seed=5) == {int(k): whole[int(k)] for k in ORDER[3:]}
    other = drawn(pixels(), ORDER, 3, seed=6)
    assert all(other[k] != whole[k] for k in range(N))
    noise = {tuple(value - k for value in row) for k, row in whole.items()}
    assert len(noise) == N


def test_test_time_is_not_augmented() -> None:
    assert drawn(pixels(), ORDER, 4, seed=None) == {k: [float(k)] * 3 for k in range(N)}


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [0, 1])
def test_reading_pixels_leaves_the_random_state_of_training_alone(workers: int) -> None:
    # Dropout draws from it: an epoch that is resumed opens its images a second time.
    torch.manual_seed(1)
    before = torch.get_rng_state()
    list(pixels(workers).batches(ORDER, FIRST, 3, 5))
    assert torch.equal(torch.get_rng_state(), before)


class Cropping(nn.Module):
    """Prepares a random corner of an image, its channels innermost or outermost; draws in evaluation mode, too."""

    def __init__(self, *, innermost: bool) -> None:
        super().__init__()
        self.innermost = innermost

    def prepare(self, raw: np.ndarray, *, training: bool) -> Tensor:
        top, left = torch.randint(0, 3, (2,)).tolist()
        view = torch.from_numpy(raw[top : top + 4, left : left + 5].copy()).permute(2, 0, 1)
        return view if self.innermost else view.contiguous()


class Painted(Drawn):
    def pixels(self, record: Record) -> np.ndarray:
        return np.random.default_rng(int(record.image[1:])).integers(0, 256, (7, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize("seed", [5, None])
@pytest.mark.parametrize("innermost", [True, False])
def test_a_batch_is_its_images_prepared_one_by_one(innermost: bool, seed: int | None) -> None:
    dataset = OpenDataset("drawn", "passport", RECORDS, Painted())
    encoder = Cropping(innermost=innermost)
    inputs = PixelInputs(dataset, Split("train", RECORDS), encoder, device="cpu", workers=0)
    torch.manual_seed(3)
    (batch,) = list(inputs.batches(ORDER, FIRST, N, seed))
    for row, index in zip(batch, ORDER.tolist(), strict=True):
        with torch.random.fork_rng(devices=[]):
            if seed is not None:
                torch.manual_seed(derive(seed, index))
            assert torch.equal(row, encoder.prepare(inputs.pixels(index), training=seed is not None))
    # In memory as the views were, so that nothing is ordered anew.
    assert batch.shape == (N, 3, 4, 5)
    assert batch.is_contiguous(memory_format=torch.channels_last) == innermost
    assert batch.is_contiguous() != innermost


def test_features_come_by_image_and_view() -> None:
    features = torch.arange(2 * N).reshape(2, N, 1)
    inputs = FeatureInputs(features)
    views = np.array([0, 1, 0, 1, 0, 1, 0])
    batches = list(inputs.batches(ORDER, views, 3, None))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    expected = [view * N + image for image, view in zip(ORDER, views, strict=True)]
    assert torch.cat(batches).flatten().tolist() == expected


class Sized(nn.Module):
    """Prepares an image as wide as its number says; embeds it as its sum and the number of its batch."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []

    def prepare(self, raw: np.ndarray, *, training: bool) -> Tensor:
        number = int(raw[0, 0, 0])
        return torch.full((1, 1 + number % 3), float(number))

    def forward(self, batch: Tensor) -> Tensor:
        self.seen.append(tuple(batch.shape))
        return torch.stack([batch[:, 0, 0], batch.sum((1, 2))], dim=1)

    head = forward


def sized(workers: int = 0) -> PixelInputs:
    dataset = OpenDataset("drawn", "passport", RECORDS, Drawn())
    return PixelInputs(dataset, Split("test", RECORDS), Sized(), device="cpu", workers=workers)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("cached", [False, True])
def test_images_of_different_shapes_are_embedded_by_shape_in_their_order(workers: int, cached: bool) -> None:
    inputs: PixelInputs | RowInputs = sized(workers)
    if cached:
        inputs = RowInputs([tensor for batch in inputs.gallery(N) for tensor in batch], "cpu")
    encoder = Sized()
    batches = list(inputs.gallery(5))
    assert [len(batch) for batch in batches] == [5, 2]
    rows = torch.cat([inputs.embed(encoder, batch) for batch in batches])
    assert rows.tolist() == [[float(k), float(k * (1 + k % 3))] for k in range(N)]
    # Each shape of a batch in one pass.
    assert encoder.seen == [(2, 1, 1), (2, 1, 2), (1, 1, 3), (1, 1, 3), (1, 1, 1)]


@pytest.mark.parametrize("inputs", [sized(), RowInputs([torch.zeros(k % 2, 3) for k in range(N)], "cpu")])
def test_training_on_images_of_different_shapes_is_an_error(inputs: PixelInputs | RowInputs) -> None:
    who = "Sized.prepare" if isinstance(inputs, PixelInputs) else "the frozen part"
    with pytest.raises(TrainingError, match=rf"{who}.* gave images of different shapes.*\(\d, .*\), \("):
        list(inputs.batches(ORDER, FIRST, 4, 5))


def test_images_of_one_shape_are_a_tensor() -> None:
    batches = list(pixels().gallery(4))
    assert all(isinstance(batch, Tensor) for batch in batches)
    assert torch.equal(torch.cat(batches), torch.cat(list(pixels().batches(np.arange(N), FIRST, 4, None))))
    rows = RowInputs(list(torch.arange(2.0 * N).reshape(N, 2)), "cpu")
    assert torch.cat(list(rows.batches(ORDER, FIRST, 4, None)))[:, 0].tolist() == (2.0 * ORDER).tolist()
    features = FeatureInputs(torch.arange(2 * N).reshape(2, N, 1))
    assert torch.cat(list(features.gallery(3))).flatten().tolist() == list(range(N))


class Letters(nn.Module):
    def prepare(self, raw: str, *, training: bool) -> Tensor:
        assert not training
        return torch.tensor([ord(letter) for letter in raw])


def test_captions_are_stacked_in_order() -> None:
    assert prepare_captions(Letters(), ["ab", "cd"], "cpu").tolist() == [[97, 98], [99, 100]]


def test_captions_of_different_shapes_are_an_error_of_the_encoder() -> None:
    with pytest.raises(TrainingError, match=r"Letters\.prepare returned .*\((2|3),\).*\((2|3),\)"):
        prepare_captions(Letters(), ["ab", "abc"], "cpu")
