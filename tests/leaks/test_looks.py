"""An image is looked at once: the store remembers, and what is damaged, old or half done is looked at again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import StoreError
from harness.leaks import looks as module
from harness.leaks.looks import looks_of


@pytest.fixture
def drawn(world: Any) -> Any:
    return world.dataset({f"train:{k}": world.photograph(k, 32) for k in range(10)})


def shards(home: Path) -> list[Path]:
    return sorted((home / "looks").glob("*/*.npz"))


def test_the_store_remembers(drawn: Any, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    first = looks_of(drawn, drawn.records, tmp_path, lambda done, total, note: told.append((done, total)))
    assert told == [(k, 10) for k in range(1, 11)]
    drawn.images.read.clear()
    backwards = looks_of(drawn, drawn.records[::-1], tmp_path)
    assert drawn.images.read == []
    assert np.array_equal(first.grey, backwards.grey[::-1])
    assert np.array_equal(first.phash, backwards.phash[::-1])
    assert len(first.take([3, 4])) == 2


def test_what_a_killed_one_has_seen_is_not_seen_again(
    drawn: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SHARD", 3)

    def stop(done: int, total: int, note: str) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        looks_of(drawn, drawn.records, tmp_path, stop)
    drawn.images.read.clear()
    looks_of(drawn, drawn.records, tmp_path)
    assert sorted(drawn.images.read) == [str(k) for k in range(5, 10)]


def test_a_damaged_shard_counts_for_nothing(drawn: Any, tmp_path: Path) -> None:
    first = looks_of(drawn, drawn.records, tmp_path)
    (shard,) = shards(tmp_path)
    whole = shard.read_bytes()
    for damaged in (whole[:200], b"", b"no zip at all", whole[:-400] + b"\0" * 400):
        shard.write_bytes(damaged)
        drawn.images.read.clear()
        again = looks_of(drawn, drawn.records, tmp_path)
        assert len(drawn.images.read) == 10
        assert np.array_equal(first.grey, again.grey)
    np.savez(shard, content=np.zeros((10, 32), np.uint8), pixels=np.zeros(3))
    assert np.array_equal(looks_of(drawn, drawn.records, tmp_path).grey, first.grey)


def test_another_version_of_a_library_looks_again(
    drawn: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks_of(drawn, drawn.records, tmp_path)
    for name in module.LIBRARIES:
        monkeypatch.setattr(
            "importlib.metadata.version", lambda asked, name=name: "0.0" if asked == name else "1.0"
        )
        module._key.cache_clear()
        drawn.images.read.clear()
        looks_of(drawn, drawn.records, tmp_path)
        assert len(drawn.images.read) == 10, name
    monkeypatch.undo()
    module._key.cache_clear()


def test_an_image_that_fails_loses_nothing_that_was_seen(drawn: Any, tmp_path: Path) -> None:
    last = drawn.images.of.pop("9")
    with pytest.raises(KeyError):
        looks_of(drawn, drawn.records[:9] + drawn.records[9:], tmp_path)
    drawn.images.of["9"] = last
    looks_of(drawn, drawn.records[:9], tmp_path)
    drawn.images.read.clear()
    looks_of(drawn, drawn.records, tmp_path)
    assert drawn.images.read == ["9"]


def test_a_store_that_cannot_be_written_is_named(drawn: Any, tmp_path: Path) -> None:
    (tmp_path / "looks").write_text("in the way")
    with pytest.raises(StoreError, match="looks"):
        looks_of(drawn, drawn.records, tmp_path)
