"""A measured row stands beside the published one that it repeats only where both answer the same question."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.leaderboard import Row, merge_rows, render
from harness.leaderboard.boards import BOARDS, COCO_1K, COCO_5K, FLICKR30K, Board
from harness.leaderboard.groups import grouped
from harness.leaderboard.published import NONE, OTHER_SPLIT
from harness.passport import POLICY

Make = Callable[..., Row]
PUBLISHED = Path(__file__).resolve().parents[2] / "leaderboards" / "published"
PLAIN = {"recall": "recall 1"}
COCO = {"dataset": "mscoco", "images": 5000, "captions": 25_000}
FOLDS = {f"recall-1k.{side}.recall@{k}": 0.5 for side in ("i2t", "t2i") for k in (1, 5, 10)}


def method(board: Board, *, marked: bool = False) -> str:
    """Return the name of a published row that gives all recalls: an own one of the paper, or another."""
    rows = board.published(PUBLISHED)
    return next(row.method for row in rows if row.rsum.text and (OTHER_SPLIT in row.marks) == marked)


def told(board: Board, make_row: Make, title: str, **fields: Any) -> str:
    """Return what stands in the column of an imported row."""
    usual: dict[str, Any] = {
        "matrix": "imported",
        "dataset": "flickr30k",
        "evaluators": PLAIN,
        "protocol": {"gallery": "test: 1,000 images", "scores": POLICY},
    }
    (group,) = grouped([make_row(title=title, **usual | fields)])
    return board.difference(group, board.published(PUBLISHED))


def above(board: Board, title: str, rsum: float) -> str:
    (row,) = (row for row in board.published(PUBLISHED) if row.method == title)
    return f"{rsum - float(row.rsum.text):+.1f}{row.rsum.marks}"


@pytest.mark.parametrize("scores", [POLICY, "the method's own, ties lose"])
def test_on_the_same_test_images_there_is_a_difference(make_row: Make, scores: str) -> None:
    title = method(FLICKR30K)
    assert told(FLICKR30K, make_row, title, protocol={"scores": scores}) == above(FLICKR30K, title, 232.5)


@pytest.mark.parametrize(
    "fields",
    [
        {"dataset": "flickr8k-names"},
        {"dataset": "flickr30k-de"},
        {"images": 1014, "captions": 5070},
        {"captions": 4999},
    ],
)
def test_other_images_or_captions_are_another_split(make_row: Make, fields: Any) -> None:
    assert told(FLICKR30K, make_row, method(FLICKR30K), **fields) == "other split"


@pytest.mark.parametrize(
    "fields",
    [
        {"evaluators": {"recall": 'recall 1 (policy: "expected")'}},
        {"evaluators": {"recall": "recall 1 (folds: 5)"}},
        {"evaluators": {"recall": "lenient 1"}},
        {"evaluators": {}},
        {"protocol": {"scores": "the method's own, ties as its code ranks them"}},
        {"protocol": {}},
    ],
)
def test_recalls_that_are_counted_otherwise_or_nobody_knows_how_are_another_protocol(
    make_row: Make, fields: Any
) -> None:
    assert told(FLICKR30K, make_row, method(FLICKR30K), **fields) == "other protocol"


def test_the_papers_own_rows_are_held_against_the_papers_split_only(make_row: Make) -> None:
    ours = method(FLICKR30K, marked=True)
    assert told(FLICKR30K, make_row, ours) == "other split"
    assert told(FLICKR30K, make_row, ours, dataset="flickr8k-names") == above(FLICKR30K, ours, 232.5)
    for board in (COCO_1K, COCO_5K):
        assert told(board, make_row, method(board, marked=True), **COCO, more=FOLDS) == "other split"


def test_mscoco_is_25_000_captions_and_1k_is_five_folds_of_them(make_row: Make) -> None:
    folded = {"recall-1k": "recall 1 (folds: 5)"} | PLAIN
    title = method(COCO_5K)
    assert told(COCO_5K, make_row, title, **COCO) == above(COCO_5K, title, 232.5)
    assert told(COCO_5K, make_row, title, **COCO | {"captions": 25_010}) == "other split"
    assert told(COCO_5K, make_row, title, **COCO | {"dataset": "mscoco-all"}) == "other split"
    title = method(COCO_1K)
    assert told(COCO_1K, make_row, title, **COCO, more=FOLDS, evaluators=folded) == above(
        COCO_1K, title, 300.0
    )
    for settings in ("folds: 1", 'folds: 5, policy: "expected"'):
        other = folded | {"recall-1k": f"recall 1 ({settings})"}
        assert told(COCO_1K, make_row, title, **COCO, more=FOLDS, evaluators=other) == "other protocol"


def test_a_row_that_repeats_none_has_no_difference(make_row: Make) -> None:
    assert told(FLICKR30K, make_row, "Mine") == NONE
    assert told(FLICKR30K, make_row, method(FLICKR30K), metrics={"recall.i2t.recall@1": 0.5}) == NONE


def test_every_board_with_published_rows_says_what_they_were_measured_on() -> None:
    assert {board.title for board in BOARDS if board.published(PUBLISHED)} == {
        board.title for board in BOARDS if board.measured_on is not None
    }


def test_the_column_of_the_page(folder: Path, make_row: Make) -> None:
    title = method(FLICKR30K)
    fields: dict[str, Any] = {"evaluators": PLAIN, "protocol": {"scores": POLICY}}
    rows = [
        make_row(
            matrix="imported", dataset="flickr30k", title=title, labels={"dataset": "flickr30k"}, **fields
        ),
        make_row(
            matrix="tables-flickr30k",
            dataset="flickr30k",
            variant="resnet50-two",
            title="Ours again",
            fingerprint="again",
            **fields,
        ),
    ]
    merge_rows(folder / "results.jsonl", rows)
    page = render(folder)["flickr30k.md"]
    imported = next(line for line in page.split("\n") if line.startswith("| **") and "| imported" in line)
    assert above(FLICKR30K, title, 232.5) in imported
    assert "| other split " in next(line for line in page.split("\n") if "**Ours again**" in line)
