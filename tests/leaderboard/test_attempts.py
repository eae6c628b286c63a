"""Attempts that failed stand in results.jsonl and on the pages, and in no mean."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import InputError, StoreError
from harness.leaderboard import (
    Attempts,
    FailedAttempt,
    Row,
    check,
    merge_attempts,
    merge_rows,
    read_attempts,
    read_rows,
    render,
    write,
)
from harness.leaderboard.attempts import KEPT
from harness.leaderboard.benchmark import benchmark

Make = Callable[..., Row]


def lost(row: Row, **changes: Any) -> Attempts:
    """Return one failed attempt at the cell of a row."""
    failure = FailedAttempt(
        cause="ZeroDivisionError: boom",
        date="2026-02-03T04:05:06+00:00",
        fingerprint=row.fingerprint,
        recipe=row.recipe,
        source_revision="fade123",
        command="harness run",
    )
    return Attempts(
        matrix=row.matrix,
        labels=row.labels,
        title=row.title,
        visual=row.visual,
        textual=row.textual,
        dataset=row.dataset,
        dataset_title=row.dataset_title,
        seed=row.seed,
        failures=(replace(failure, **changes),),
    )


def test_a_file_without_failures_keeps_its_bytes(tmp_path: Path, make_row: Make) -> None:
    path = tmp_path / "results.jsonl"
    merge_rows(path, [make_row(), make_row(seed=1)])
    before = path.read_bytes()
    merge_attempts(path, [make_row()], [])
    assert path.read_bytes() == before
    assert read_attempts(path) == ()


def test_a_failed_attempt_loses_no_row_and_gives_none(tmp_path: Path, make_row: Make) -> None:
    path = tmp_path / "results.jsonl"
    merge_rows(path, [make_row(), make_row(seed=1)])
    lines = path.read_text().splitlines()
    rows = merge_attempts(path, [], [lost(make_row(seed=1)), lost(make_row(seed=2))])
    assert rows == read_rows(path) == (make_row(), make_row(seed=1))
    assert [one.seed for one in read_attempts(path)] == [1, 2]
    now = path.read_text().splitlines()
    assert [line for line in now if line in lines] == lines
    for line in now:
        assert ("metrics" in json.loads(line)) == (json.loads(line)["schema"] == 3)


def test_all_attempts_are_counted_and_success_settles_them(tmp_path: Path, make_row: Make) -> None:
    path, row = tmp_path / "results.jsonl", make_row(seed=1)
    for hour in range(KEPT + 3):
        merge_attempts(path, [], [lost(row, date=f"2026-02-03T{hour:02}:00:00+00:00", cause=f"cause {hour}")])
    # What is merged a second time happened once.
    merge_attempts(path, [], [lost(row, date="2026-02-03T22:00:00+00:00", cause="cause 22")])
    (one,) = read_attempts(path)
    assert (one.failed, one.measured, len(one.failures)) == (KEPT + 3, False, KEPT)
    assert one.last.cause == f"cause {KEPT + 2}"
    merge_attempts(path, [row], [])
    (one,) = read_attempts(path)
    assert (one.failed, one.measured) == (KEPT + 3, True)
    # A row that is refreshed, as by rescore, is no attempt.
    merge_attempts(path, [], [lost(row, cause="again")])
    merge_rows(path, [row])
    (one,) = read_attempts(path)
    assert (one.failed, one.measured, one.last.cause) == (KEPT + 4, False, "again")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("schema", 5), "newer version .schema 5, known: 4"),
        (("failed", 0), "damaged: failed"),
        (("failures", []), "damaged: failed"),
        (("metrics", {}), "damaged: metrics"),
        (("kind", "attempt"), "newer version"),
        (("seed", "1"), "damaged: seed"),
    ],
)
def test_a_bad_line_is_named_and_left(
    tmp_path: Path, make_row: Make, change: tuple[str, Any], message: str
) -> None:
    path = tmp_path / "results.jsonl"
    merge_attempts(path, [make_row()], [lost(make_row())])
    row, line = path.read_text().splitlines()
    text = f"{row}\n{json.dumps({**json.loads(line), change[0]: change[1]})}\n"
    path.write_text(text)
    with pytest.raises(StoreError, match=f"line 2 .*{message}"):
        merge_attempts(path, [make_row(seed=1)], [])
    assert path.read_text() == text


def test_a_seed_that_failed_is_told_and_in_no_mean(folder: Path, make_row: Make) -> None:
    rows = [make_row(seed=seed, shift=0.01 * seed, recipe="r") for seed in range(2)]
    merge_rows(folder / "results.jsonl", rows)
    whole = render(folder)
    hostile = "boom | <script>\x1b[31m [x](http://a) " + "long " * 200
    merge_attempts(folder / "results.jsonl", [], [lost(make_row(seed=2, recipe="r"), cause=hostile)])
    pages = render(folder)
    for name in ("flickr8k.md", "ablations.md"):
        (failed,) = [line for line in pages[name].splitlines() if "fade123" in line]
        assert "ablations: dataset=flickr8k, variant=full, seed=2" in failed
        assert "2026-02-03" in failed
        assert "boom &#124; &lt;script&gt;⟨U+001B⟩" in failed
        assert " none " in failed
        assert "<script" not in pages[name]
        assert "2 of 3" in pages[name]
        assert "2 of 3" not in whole[name]
    (before,) = [line for line in whole["flickr8k.md"].splitlines() if "**Dual-path CNN**" in line]
    (after,) = [line for line in pages["flickr8k.md"].splitlines() if "**Dual-path CNN**" in line]
    cells = [[cell.strip() for cell in line.split("|")] for line in (before, after)]
    assert [pair for pair in zip(*cells, strict=True) if pair[0] != pair[1]] == [("2", "2 of 3")]
    assert "Cells whose last attempt failed: 1." in pages["README.md"]

    # The next attempt gives figures: what failed before it is history, and told as such.
    merge_attempts(folder / "results.jsonl", [make_row(seed=2, recipe="r")], [])
    pages = render(folder)
    for name in ("flickr8k.md", "ablations.md"):
        assert "fade123" not in pages[name]
        assert "Failed" not in pages[name]
        assert "measured after attempts that failed: 1 after 1" in pages[name]
    assert "attempt failed" not in pages["README.md"]


def test_a_row_of_an_earlier_attempt_stays_and_is_dated(folder: Path, make_row: Make) -> None:
    merge_rows(folder / "results.jsonl", [make_row(recipe="old"), make_row(seed=1, recipe="old")])
    # The recipe changed since: no seed of the old one failed.
    merge_attempts(folder / "results.jsonl", [], [lost(make_row(recipe="new"))])
    page = render(folder)["flickr8k.md"]
    assert "2 of 3" not in page
    (failed,) = [line for line in page.splitlines() if "fade123" in line]
    assert "of 2026-01-02" in failed
    # The same recipe, the same seed: its figures are there, and the seed is not counted twice.
    merge_attempts(folder / "results.jsonl", [], [lost(make_row(seed=1, recipe="old"))])
    assert " of 3" not in render(folder)["flickr8k.md"]


def test_what_only_failed_has_a_page_too(tmp_path: Path, make_row: Make) -> None:
    merge_attempts(tmp_path / "results.jsonl", [], [lost(make_row(dataset="mine", matrix="own"))])
    write(tmp_path)
    page = (tmp_path / "dataset-mine.md").read_text(encoding="utf-8")
    assert "ZeroDivisionError: boom" in page
    assert "No row of this table was measured yet" in page
    assert "harness run --matrix own\n" in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert check(tmp_path) == []
    with pytest.raises(InputError, match=r"the table 'dataset-mine' in .* has no row yet"):
        benchmark(tmp_path, "dataset-mine")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("harness run", "--only dataset=mine --only 'variant=a b' --only seed=3"),
        ("python -m else --seed 3", "--only dataset=mine --only 'variant=a b' --only seed=3"),
        ("harness run --seed '3", "--only dataset=mine --only 'variant=a b' --only seed=3"),
        (
            "harness run -m own -dmine --seed=3 --seed 4 --only variant=x --precision bf16-mixed --registry 'a b'",
            "--dataset mine --only 'variant=a b' --seed 3 --precision bf16-mixed",
        ),
        (
            "harness run --dataset mine --matrix=own --device cpu --force",
            "--dataset mine --only 'variant=a b' --only seed=3 --device cpu --force",
        ),
    ],
)
def test_the_page_says_how_to_run_a_failed_cell_alone(
    tmp_path: Path, make_row: Make, command: str, expected: str
) -> None:
    row = make_row(dataset="mine", matrix="own", variant="a b", seed=3, fingerprint="f" * 16)
    merge_attempts(tmp_path / "results.jsonl", [], [lost(row, command=command)])
    page = render(tmp_path)["dataset-mine.md"]
    assert f"```sh\n# failures/{'f' * 16}.txt\nharness run --matrix own {expected}\n```" in page


def test_only_failures_of_the_ablations(folder: Path, make_row: Make) -> None:
    merge_attempts(folder / "results.jsonl", [], [lost(make_row())])
    page = render(folder)["ablations.md"]
    assert "## Failed" in page
    assert "ZeroDivisionError: boom" in page
