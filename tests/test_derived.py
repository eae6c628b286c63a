"""What components derive from train features is computed once, kept whole, and computed anew where it is damaged."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from harness.derived import load_derived
from harness.durable import Waiting, hold
from harness.errors import Interrupted, StoreError, TrainingError


class Counting:
    """Computes a tensor and counts how often."""

    def __init__(self, value: Tensor) -> None:
        self.value, self.calls = value, 0

    def __call__(self) -> Tensor:
        self.calls += 1
        return self.value


@pytest.mark.parametrize(
    "value",
    [
        torch.arange(12).reshape(3, 4).T,
        torch.tensor(2.5),
        torch.tensor([]),
        torch.tensor([1.0, -2.0], dtype=torch.bfloat16),
        torch.tensor([True, False]),
    ],
    ids=["transposed", "scalar", "empty", "bfloat16", "bool"],
)
def test_it_is_computed_once_and_comes_back_to_the_bit(tmp_path: Path, value: Tensor) -> None:
    compute = Counting(value)
    found = [load_derived(tmp_path, "features", "key", compute) for _ in range(3)]
    assert compute.calls == 1
    for tensor in found:
        assert tensor.dtype == value.dtype
        assert torch.equal(tensor, value)


def test_features_and_key_are_its_address(tmp_path: Path) -> None:
    for number, (features, key) in enumerate([("a", "b"), ("a", "c"), ("d", "b"), ("ab", ""), ("", "ab")]):
        found = load_derived(tmp_path, features, key, lambda: torch.tensor(number))  # noqa: B023 - called here
        assert int(found) == number


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def other(path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"other": torch.zeros(3)}, path)


@pytest.mark.parametrize(
    "damage",
    [flip, other, Path.unlink, lambda path: path.write_bytes(b""), lambda path: os.truncate(path, 40)],
    ids=["bit", "another", "gone", "empty", "cut"],
)
def test_what_is_damaged_is_computed_anew(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    compute = Counting(torch.arange(7))
    load_derived(tmp_path, "features", "key", compute)
    (path,) = (tmp_path / "derived").iterdir()
    damage(path)
    for _ in range(2):
        assert load_derived(tmp_path, "features", "key", compute).tolist() == list(range(7))
    assert compute.calls == 2


def test_a_failure_keeps_nothing_and_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    def failing() -> Tensor:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        load_derived(tmp_path, "features", "key", failing)
    compute = Counting(torch.ones(2))
    load_derived(tmp_path, "features", "key", compute)
    (path,) = (tmp_path / "derived").iterdir()
    left = path.with_name(f".{path.name}.1.tmp")
    left.write_bytes(b"half")
    load_derived(tmp_path, "features", "key", compute)
    assert list((tmp_path / "derived").iterdir()) == [path]
    assert compute.calls == 1


def test_what_is_no_tensor_or_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="remembered as 'key' is a list, no tensor"):
        load_derived(tmp_path, "features", "key", lambda: [1])  # type: ignore[arg-type,return-value]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "derived").write_text("")
    with pytest.raises(StoreError, match=r"cannot write .*derived"):
        load_derived(tmp_path / "full", "features", "key", lambda: torch.ones(1))


def test_of_two_that_ask_at_once_one_computes(tmp_path: Path) -> None:
    begun, compute, found = threading.Event(), Counting(torch.arange(5)), list[list[int]]()

    def slow() -> Tensor:
        begun.set()
        time.sleep(0.3)
        return compute()

    def ask() -> None:
        found.append(load_derived(tmp_path, "features", "key", slow).tolist())

    first, second = threading.Thread(target=ask), threading.Thread(target=ask)
    first.start()
    assert begun.wait(60)
    second.start()
    first.join()
    second.join()
    assert found == [list(range(5))] * 2
    assert compute.calls == 1


def test_whoever_waits_is_told_and_may_give_up(tmp_path: Path) -> None:
    load_derived(tmp_path, "features", "key", lambda: torch.ones(1))
    (path,) = (tmp_path / "derived").iterdir()
    told: list[str] = []
    taken, free = threading.Event(), threading.Event()

    def holder() -> None:
        with hold(tmp_path, f"derived-{path.stem}"):
            taken.set()
            free.wait(60)

    thread = threading.Thread(target=holder)
    thread.start()
    taken.wait(60)
    with pytest.raises(Interrupted):
        load_derived(
            tmp_path, "features", "key", lambda: torch.ones(1), Waiting(told.append, lambda: len(told))
        )
    free.set()
    thread.join()
    assert told
    assert told[0].startswith("process")
