"""Published rows: every cell as its csv has it, with the marks that its certainty asks for."""

from __future__ import annotations

import csv
import html
from decimal import Decimal
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.leaderboard import render
from harness.leaderboard.boards import BOARDS
from harness.leaderboard.published import LOST, NONE, paper_rows

PUBLISHED = Path(__file__).resolve().parents[2] / "leaderboards" / "published"
SHARED = PUBLISHED.parents[2] / "shared" / "published"
PAPER = {
    "flickr30k.md": "flickr30k_published.csv",
    "mscoco-1k.md": "coco1k_published.csv",
    "mscoco-5k.md": "coco5k_published.csv",
}
BENCHMARK = {"flickr30k.md": "flickr30k", "mscoco-1k.md": "mscoco-1k", "mscoco-5k.md": "mscoco-5k"}
SIDES = [(side, k) for side in ("i2t", "t2i") for k in (1, 5, 10)]


def records(file: str) -> list[dict[str, str]]:
    with (PUBLISHED / file).open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def cells(page: str) -> list[list[str]]:
    """Return the rows of the first table as a reader sees them."""
    lines = [line for line in page.split("\n## ")[0].split("\n") if line.startswith("|")]
    return [
        [html.unescape(cell.strip()).replace("\\", "") for cell in line.strip("|").split("|")]
        for line in lines[2:]
    ]


def bare(cell: str) -> str:
    return "" if cell.startswith(NONE) else cell.rstrip("?°")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the source of the published files is not here")
def test_the_files_are_carried_over_unchanged() -> None:
    names = sorted(path.name for path in SHARED.glob("*.csv"))
    assert names == sorted(path.name for path in PUBLISHED.glob("*.csv"))
    for name in names:
        assert (SHARED / name).read_bytes() == (PUBLISHED / name).read_bytes()


@pytest.mark.parametrize("page", PAPER)
def test_every_cell_equals_the_csv(folder: Path, page: str) -> None:
    rows = cells(render(folder)[page])
    expected = []
    for row in records(PAPER[page]):
        stage = f", Stage {row['stage']} §" if row["stage"] else ""
        expected.append(
            [
                row["method"] + stage,
                row["visual"],
                row["textual"],
                *(row[f"{side}_{name}"] for side in ("i2t", "t2i") for name in ("R1", "R5", "R10", "MedR")),
            ]
        )
    for row in records("milestones.csv"):
        if row["benchmark"] == BENCHMARK[page]:
            figures = [row[f"{side}_r{k}"] for side, k in SIDES]
            mark = " ‡" if row["certainty"].startswith("secondary") else ""
            expected.append(
                [f"{row['method']}, {row['setting']}{mark}", NONE, NONE, *figures[:3], "", *figures[3:], ""]
            )
    found = [[*row[:3], *map(bare, row[3:11])] for row in rows]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("page", PAPER)
def test_rsum_is_the_sum_of_six_recalls_or_empty(folder: Path, page: str) -> None:
    for row in cells(render(folder)[page]):
        recalls = [bare(row[column]) for column in (3, 4, 5, 7, 8, 9)]
        if all(recalls):
            assert Decimal(bare(row[11])) == sum(map(Decimal, recalls))
        else:
            assert row[11] == NONE


def test_marks_follow_the_certainty_columns(folder: Path) -> None:
    for page, file in PAPER.items():
        rows = {(row[0], row[1]): row for row in cells(render(folder)[page])}
        for record in records(file):
            stage = f", Stage {record['stage']} §" if record["stage"] else ""
            row = rows[record["method"] + stage, record["visual"]]
            uncertain = record["recalls_certainty"].startswith("not certain")
            for column in (3, 4, 5, 7, 8, 9):
                if bare(row[column]):
                    assert ("?" in row[column]) == uncertain, (file, row)
            for column, name in ((6, "i2t_MedR"), (10, "t2i_MedR")):
                lost = record["medr_certainty"].startswith("unknown")
                mark = "?" if record["medr_certainty"].startswith("not certain") else ""
                assert row[column].replace("°", "") == (
                    record[name] + mark if record[name] else LOST if lost else NONE
                )
            # Each repair in the list shows at one cell or more.
            repaired = {bare(cell) for cell in row[3:11] if "°" in cell}
            repairs = {part.split(">")[1] for part in record["ocr_repairs"].split() if ">" in part}
            assert repairs <= repaired, (file, row)
            if not record["ocr_repairs"]:
                assert not repaired


def test_the_legend_explains_every_mark(folder: Path) -> None:
    page = render(folder)["mscoco-1k.md"]
    for note in ("- ? not certain", "- ° the scan", f"- {LOST} lost", "- ‡ taken", "not the Karpathy split"):
        assert note in page
    assert f"- {LOST} lost" not in render(folder)["mscoco-5k.md"]


def test_flickr8k_has_no_published_row() -> None:
    assert [bool(board.published(PUBLISHED)) for board in BOARDS] == [False, True, True, True, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("not certain (seed only)", "not certain (seed onyl)"), "did you mean 'not certain"),
        (("46.0,", "46.O,"), "'46.O' is not a figure"),
        (("46.0,", "46.0,9,"), "cells, expected"),
    ],
)
def test_a_csv_that_cannot_be_read_is_an_error(folder: Path, change: tuple[str, str], message: str) -> None:
    path = folder / "published" / "coco1k_published.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(*change), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        paper_rows(path)
