"""results.jsonl: merged as a whole or not at all."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import InputError, StoreError
from harness.leaderboard import Row, merge_rows, read_rows

Make = Callable[..., Row]


def test_what_is_merged_is_read_again(tmp_path: Path, make_row: Make) -> None:
    rows = [make_row(seed=seed, title="a | b\n\u202e † <script>") for seed in (10, 9)]
    merged = merge_rows(tmp_path / "results.jsonl", rows)
    assert merged == read_rows(tmp_path / "results.jsonl")
    assert [row.seed for row in merged] == [9, 10]
    assert merged[0] == rows[1]


def test_a_second_merge_changes_no_byte(tmp_path: Path, make_row: Make) -> None:
    path = tmp_path / "results.jsonl"
    merge_rows(path, [make_row(seed=seed) for seed in (2, 0, 1)])
    before, stamp = path.read_bytes(), path.stat().st_mtime_ns
    merge_rows(path, [make_row(seed=seed) for seed in (1, 2, 0)])
    assert path.read_bytes() == before
    assert path.stat().st_mtime_ns == stamp


def test_a_new_run_of_a_cell_replaces_the_old_one(tmp_path: Path, make_row: Make) -> None:
    path = tmp_path / "results.jsonl"
    merge_rows(path, [make_row(), make_row(seed=1)])
    merged = merge_rows(path, [make_row(fingerprint="new")])
    assert [row.fingerprint for row in merged] == ["new", "flickr8kfull10.0"]
    # The same labels in another matrix are another cell.
    assert len(merge_rows(path, [make_row(matrix="other")])) == 3


def test_a_limited_run_is_refused(tmp_path: Path, make_row: Make) -> None:
    path = tmp_path / "results.jsonl"
    with pytest.raises(InputError, match="64 images only"):
        merge_rows(path, [make_row(), make_row(seed=1, limit=64)])
    assert read_rows(path) == ()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_figure_that_is_not_finite_is_refused(tmp_path: Path, make_row: Make, value: float) -> None:
    with pytest.raises(InputError, match="cannot be stored"):
        merge_rows(tmp_path / "results.jsonl", [make_row(more={"recall.rsum": value})])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw[: len(raw) // 2], "line 2 is damaged"),
        (lambda raw: raw.replace('"schema": 3', '"schema": 4'), "line 2 was written by a newer version"),
        (lambda raw: raw.replace('"seed": 1,', '"seed": "1",'), "line 2 is damaged: seed"),
        (lambda raw: raw.replace('"seed": 1,', '"seed": 1, "sead": 1,'), "line 2 is damaged: sead"),
        (lambda raw: raw.replace('"limit": null', '"limit": 8'), "line 2 is of a limited run"),
        (lambda raw: raw.replace(": 5.0", ": NaN"), "line 2 is damaged"),
        (lambda raw: f"{raw}\n{raw}", "line 3: a second row"),
        (lambda raw: "<<<<<<< HEAD", "line 2 is damaged"),
    ],
)
def test_a_bad_line_is_named_and_nothing_overwritten(
    tmp_path: Path, make_row: Make, change: Callable[[str], str], message: str
) -> None:
    path = tmp_path / "results.jsonl"
    merge_rows(path, [make_row(), make_row(seed=1)])
    first, second = path.read_text().splitlines()
    path.write_text(f"{first}\n{change(second)}\n")
    before = path.read_bytes()
    assert before.decode() != f"{first}\n{second}\n"
    with pytest.raises(StoreError, match=message):
        merge_rows(path, [make_row(seed=2)])
    assert path.read_bytes() == before


def test_a_failure_in_the_middle_leaves_the_old_file(
    tmp_path: Path, make_row: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "results.jsonl"
    merge_rows(path, [make_row()])
    before = path.read_bytes()

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StoreError, match="No space left"):
        merge_rows(path, [make_row(seed=1)])
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".tmp")] == []


def _merge(path: Path, row: Row) -> None:
    merge_rows(path, [row])


def test_processes_take_turns(tmp_path: Path, make_row: Make) -> None:
    path = tmp_path / "results.jsonl"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_merge, args=(path, make_row(seed=seed))) for seed in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [row.seed for row in read_rows(path)] == list(range(6))


def test_a_line_has_sorted_keys_and_ascii_only(tmp_path: Path, make_row: Make) -> None:
    path = tmp_path / "results.jsonl"
    merge_rows(path, [make_row(title="ResNet-50†")])
    text = path.read_bytes().decode("ascii")
    assert list(json.loads(text)) == sorted(json.loads(text))
