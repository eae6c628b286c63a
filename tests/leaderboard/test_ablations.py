"""The paper's ablations side by side: figures as the csv has them, verdicts as the rows give them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.leaderboard import Ranks, Row, merge_rows
from harness.leaderboard.ablations import ablations_page, printed
from harness.leaderboard.classes import share
from harness.leaderboard.losses import STAGES, losses_design
from harness.leaderboard.paper import CLASSES, LOSSES, classes_of_paper, losses_of_paper

Make = Callable[..., Row]
LOSS_COLUMNS = ("i2t_R1", "i2t_R10", "t2i_R1", "t2i_R10")
LEVELS = {
    "ranking": -0.05,
    "instance": 0.0,
    "both": 0.0,
    "ranking-two": 0.01,
    "instance-two": 0.05,
    "full": 0.04,
}
NOISE = (0.0, 0.002)


def page(folder: Path, rows: list[Row]) -> str:
    return "\n\n".join(ablations_page(rows, folder / "published", Ranks(folder)))


def section(text: str, title: str) -> str:
    parts = [part for part in text.split("\n### ") if part.startswith(title)]
    assert len(parts) == 1
    return parts[0].split("\n\n## ")[0]


def table(text: str, header: str) -> list[list[str]]:
    """Return the rows of the table whose header starts so."""
    lines = text.split("\n")
    start = next(n for n, line in enumerate(lines) if line.startswith(f"| {header}"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


@pytest.fixture
def six(make_row: Make) -> list[Row]:
    return [
        make_row(variant=name, title=f"CNN {name}", seed=seed, shift=level + noise)
        for name, level in LEVELS.items()
        for seed, noise in enumerate(NOISE)
    ]


def records(folder: Path, file: str) -> list[dict[str, str]]:
    with (folder / "published" / file).open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def test_without_rows_the_page_shows_what_the_paper_prints(folder: Path) -> None:
    text = page(folder, [])
    rows = table(text, "Loss")
    assert [row[2:6] for row in rows] == [[r[c] for c in LOSS_COLUMNS] for r in records(folder, LOSSES)]
    assert [row[1] for row in rows] == [r["stage_best_reading"] for r in records(folder, LOSSES)]
    classes = table(text, "Classes")
    assert [row[2:4] for row in classes] == [[r["i2t_R1"], r["t2i_R1"]] for r in records(folder, CLASSES)]
    assert [row[:2] for row in classes] == [
        ["2.6", "3,000"],
        ["8.8", "10,000"],
        ["100 (instance loss)", "113,287"],
    ]
    assert printed(folder / "published") == 9
    assert "measured:" not in text


def test_every_word_of_certainty_stands_under_a_letter(folder: Path) -> None:
    text = page(folder, [])
    for file, header in ((LOSSES, "Loss"), (CLASSES, "Classes")):
        part = text.split("## Published: ")[1 if file == LOSSES else 2]
        notes = {line[2]: line[5:] for line in part.split("\n") if line.startswith("- ")}
        for row, record in zip(table(part, header), records(folder, file), strict=True):
            told = " ".join(notes[letter] for letter in row[-1].split(", "))
            assert ("not certain" in told) == record["numbers_certainty"].startswith("not certain")
            assert record.get("stage_certainty", "") in told
            assert record["note"].split("_")[0].split("@")[0] in told.replace("&#64;", "@").replace("\\", "")
            moved = record.get("stage_in_seed") != record.get("stage_best_reading")
            assert ("the scan has Stage I" in told) == moved
        assert {letter for row in table(part, header) for letter in row[-1].split(", ")} == notes.keys()


def test_published_and_measured_stand_in_one_row(folder: Path, six: list[Row]) -> None:
    text = section(page(folder, six), "Losses and stages")
    rows = {(row[0], row[1]): row for row in table(text, "Loss")}
    assert rows["instance", "I"][2:6] == ["39.9", "79.1", "28.2", "67.9"]
    assert rows["instance", "I"][7:] == [
        "20.1 ± 0.1",
        "62.6 ± 0.1",
        "12.6 ± 0.1",
        "50.1 ± 0.1",
        "233.1 ± 0.8",
        "2",
    ]
    assert rows["both", "II"][2:6] == ["55.4", "89.3", "39.7", "80.8"]
    assert rows["both", "II"][11:] == ["257.1 ± 0.8", "2"]
    assert "Flickr30k val, ResNet-50. Measured: Flickr8K test, 1,000 images; fixed lite0; text CNN." in text
    assert "levels cannot be compared, only their order" in text


def test_the_order_is_judged_from_rows(folder: Path, six: list[Row]) -> None:
    text = section(page(folder, six), "Losses and stages")
    # No ranks. Six cells of two seeds, sd 600 * 0.002 / sqrt(2): t(6) sd = 2.4469 * 0.8485 = 2.08 for a difference.
    # That of -6.0 has p = 0.0004, the sixth of ten: Holm makes it five times as large.
    lines = [line for line in text.split("\n") if line.startswith("- Stage")]
    assert lines == [
        "- Stage I: instance above ranking: **holds on these images**, +30.0 rSum (+27.9 to +32.1 over seeds "
        "alone; p < 0.0001). Published: +33.8 and +23.3 in R@1 (i2t and t2i).",
        "- Stage I: instance above both: **cannot be told**, 0.0 rSum (-2.1 to +2.1 over seeds alone; "
        "p = 1). Published: +2.3 and +4.1 in R@1 (i2t and t2i).",
        "- Stage II: both above instance: **does not hold on these images**, -6.0 rSum (-8.1 to -3.9 over seeds "
        "alone; p = 0.002). Published: +4.9 and +4.8 in R@1 (i2t and t2i).",
        "- Stage II: both above ranking: **holds on these images**, +18.0 rSum (+15.9 to +20.1 over seeds "
        "alone; p < 0.0001). Published: +7.9 and +10.7 in R@1 (i2t and t2i).",
    ]
    effects = {row[0]: row[1:] for row in table(text, "Effect")}
    assert effects["Stage: II less I, mean over the losses"][0] == "+30.0"
    assert effects["Loss: instance less ranking, mean over the stages"] == [
        "+27.0",
        "+25.5 to +28.5 over seeds alone",
        "< 0.0001",
    ]
    assert effects["Interaction: both less instance, in Stage II less that in Stage I"] == [
        "-6.0",
        "-8.9 to -3.1 over seeds alone",
        "0.0098",
    ]
    assert ", 6 degrees of freedom" in text
    assert "standard deviation 0.8, 6 degrees" in text


def test_the_paper_has_every_pair_in_the_order_that_is_asked(folder: Path) -> None:
    for pair in losses_design(losses_of_paper(folder / "published")).pairs:
        change = losses_of_paper(folder / "published").difference(pair.more, pair.less)
        assert change.count("+") == 2


def test_one_seed_gives_no_interval_and_says_why(folder: Path, six: list[Row]) -> None:
    text = section(page(folder, [row for row in six if row.seed == 0]), "Losses and stages")
    assert "instance above ranking: **cannot be told**, +30.0 rSum (no interval)." in text
    assert {row[2] for row in table(text, "Effect")} == {"–"}
    assert "No interval is given: ranks were not kept, and with one seed a cell" in text
    assert "Student" not in text


def test_a_row_that_was_not_run_is_a_dash(folder: Path, six: list[Row]) -> None:
    text = section(
        page(folder, [r for r in six if r.labels["variant"] != "ranking-two"]), "Losses and stages"
    )
    (row,) = [row for row in table(text, "Loss") if row[:2] == ["ranking", "II"]]
    assert row[2:6] == ["47.5", "85.4", "29.0", "68.7"]
    assert row[7:] == ["–"] * 6
    assert "both above ranking: **cannot be told**, `ranking-two` not run. Published:" in text
    effects = {row[0]: row[1:] for row in table(text, "Effect")}
    assert effects["Stage: II less I, mean over the losses"] == ["–", "– (`ranking-two` not run)", "–"]
    assert effects["Loss: both less instance, mean over the stages"][0] == "-3.0"
    assert ", 5 degrees of freedom" in text
    one = section(
        page(folder, [r for r in six if r.labels["variant"] in ("ranking", "both")]), "Losses and stages"
    )
    assert "need cells of both stages: `instance`, `ranking-two`, `instance-two`, `full` not run." in one


def test_more_classes_against_fewer(folder: Path, make_row: Make) -> None:
    levels = {"k-2.6": -0.1, "k-8.8": -0.05, "k-50": 0.01, "instance": 0.0}
    rows = [
        make_row(variant=name, title=name, seed=seed, shift=level + noise)
        for name, level in levels.items()
        for seed, noise in enumerate(NOISE)
    ]
    text = section(page(folder, rows), "Number of classes")
    lines = {row[0]: row for row in table(text, "Classes")}
    assert list(lines) == ["2.6", "8.8", "50", "100 (instance loss)"]
    assert lines["8.8"][1:5] == ["10,000", "44.7", "31.3", "a"]
    assert lines["50"][1:5] == ["–", "–", "–", "–"]
    assert lines["50"][-2:] == ["239.1 ± 0.8", "2"]
    verdicts = [
        line.split(" rSum")[0] for line in text.split("\n") if line.startswith("- ") and "above" in line
    ]
    assert verdicts == [
        "- 8.8 % above 2.6 %: **holds on these images**, +30.0",
        "- 50 % above 8.8 %: **holds on these images**, +36.0",
        "- 100 % (instance loss) above 50 %: **does not hold on these images**, -6.0",
        "- 100 % (instance loss) above 8.8 %: **holds on these images**, +30.0",
    ]
    assert ", 4 degrees of freedom" in text


@pytest.mark.parametrize(
    ("variant", "part"),
    [
        ("instance", 100.0),
        ("k-2.6", 2.6),
        ("k-100", 100.0),
        ("k-3000", None),
        ("k-0", None),
        ("k-x", None),
        ("gru", None),
    ],
)
def test_labels_tell_the_share_of_classes(variant: str, part: float | None) -> None:
    assert share(variant) == part


def test_every_row_stands_on_the_page_once(folder: Path, six: list[Row], make_row: Make) -> None:
    more = [make_row(variant=v, title=v) for v in ("k-2.6", "k-3000", "gru", "cca")]
    # A seed of an older recipe is no part of the cell, and is not lost.
    more.append(make_row(variant="full", title="old full", seed=7, recipe="old"))
    text = page(folder, six + more)
    rest = [row[0] for row in table(section(text, "Other changes"), "Variant")]
    assert rest == ["instance", "cca", "full", "gru", "k-3000"]
    assert [row[-1] for row in table(section(text, "Losses"), "Loss")] == ["2"] * 6
    assert "Reference: instance." in text


def test_each_dataset_has_its_own_tables(folder: Path, six: list[Row], make_row: Make) -> None:
    text = page(
        folder,
        [*six, make_row(dataset="shapes", variant="instance"), make_row(dataset="shapes", variant="x")],
    )
    assert text.count("### Losses and stages") == 1
    assert "### Losses" not in text.split("## Shapes")[1]
    assert "## Published: Losses" not in text
    assert "## Published: Number of classes" in text


def test_protocols_carry_letters_where_a_table_has_two(folder: Path, six: list[Row], make_row: Make) -> None:
    other = make_row(variant="all-shifts", title="all", passport="fedcba9876543210")
    text = page(folder, [*six, other])
    assert "\\[A\\]" not in section(text, "Losses")
    assert "| all-shifts \\[B\\]" in section(text, "Other changes")
    odd = [make_row(variant="full", title="odd", passport="fedcba9876543210")]
    text = section(page(folder, [r for r in six if r.labels["variant"] != "full"] + odd), "Losses")
    (row,) = [row for row in table(text, "Loss") if row[:2] == ["both", "II"]]
    assert row[-2].endswith("\\[B\\]")
    assert "must not be compared" in text
    assert "both above instance: **cannot be told**, `full` of another protocol" in text


def test_without_published_files_the_layout_stays(tmp_path: Path, six: list[Row]) -> None:
    text = page(tmp_path, six)
    assert [(row[0], row[1]) for row in table(text, "Loss")] == list(STAGES.values())
    assert "**holds on these images**, +30.0 rSum (+27.9 to +32.1 over seeds alone; p < 0.0001).\n" in text
    assert "Published" not in text
    assert "two sides" not in text
    assert printed(tmp_path / "published") == 0


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (LOSSES, ("Full model", "Full modle"), "did you mean 'Full model, II'"),
        (LOSSES, ("39.9,", "39.x,"), "'39.x' is not a figure"),
        (CLASSES, ("3000 categories", "few categories"), "names no number of classes"),
    ],
)
def test_a_csv_that_cannot_be_read_is_an_error(
    folder: Path, file: str, change: tuple[str, str], message: str
) -> None:
    path = folder / "published" / file
    path.write_text(path.read_text(encoding="utf-8").replace(*change), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        (losses_of_paper if file == LOSSES else classes_of_paper)(folder / "published")


def test_the_index_counts_the_published_rows(folder: Path, six: list[Row]) -> None:
    from harness.leaderboard import render

    merge_rows(folder / "results.jsonl", six)
    (line,) = [line for line in render(folder)["README.md"].split("\n") if "(ablations.md)" in line]
    assert [cell.strip() for cell in line.strip("|").split("|")][1:] == ["6", "12", "9"]
