"""Files appear whole or not at all; locks tell their owner and can be given up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.durable import Waiting, durable, hold
from harness.errors import Interrupted, StoreError


def test_durable_keeps_the_old_file_on_failure(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")

    def fail() -> None:
        with durable(path) as file:
            file.write(b"new")
            raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["x"]


def test_durable_names_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"), durable(tmp_path / "file" / "x"):
        pass


def test_the_owner_of_a_lock_is_told(tmp_path: Path) -> None:
    with hold(tmp_path, "a"):
        owner = (tmp_path / "locks" / "a.owner").read_text()
    assert str(os.getpid()) in owner


def test_waiting_for_a_lock_can_be_given_up(tmp_path: Path) -> None:
    told: list[str] = []
    waiting = Waiting(told.append, lambda: 15 if told else 0)
    with hold(tmp_path, "a"), pytest.raises(Interrupted), hold(tmp_path, "a", waiting):
        pass
    assert str(os.getpid()) in told[0]


def test_who_waits_for_a_cache_tells_so_again_and_again_and_can_be_ended(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        if len(told) == 2:
            raise Interrupted(15)

    with hold(tmp_path, "a"), pytest.raises(Interrupted), hold(tmp_path, "a", Waiting.by(progress, 7)):
        pass
    assert told == [(0, 7), (0, 7)]


def test_the_hint_names_no_option_that_the_write_does_not_have(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError) as caught, durable(tmp_path / "file" / "x"):
        pass
    assert caught.value.hint == "Free space or choose another place; results stored earlier are intact."
