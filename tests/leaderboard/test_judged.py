"""Tables of evaluators that know more than one right answer: intervals, protocols, seeds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.leaderboard import grouped, merge_rows, read_rows
from harness.leaderboard.judged import judged_sections

PROTOCOL = {"gallery": "test: 1,000 images", "text view": "single view"}
TAU, NDCG = "expert-judgments.expert.kendall_tau_b", "expert-judgments.expert.ndcg"
PEOPLE = {"recall": "recall 1", "expert-judgments": "expert-judgments 1, labels aa"}


def judged(make_row: Any, **fields: Any) -> Any:
    values = {
        "protocol": PROTOCOL,
        "evaluators": PEOPLE,
        "more": {TAU: 0.5, NDCG: 0.9},
        "intervals": {TAU: (0.45, 0.56), NDCG: (0.88, 0.91)},
    }
    return make_row(**(values | fields))


def sections(*rows: Any) -> str:
    return "\n\n".join(judged_sections(grouped(rows)))


def line(text: str, name: str) -> list[str]:
    found = [row for row in text.split("\n") if row.startswith(f"| {name}")]
    assert len(found) == 1, found
    return [cell.strip() for cell in found[0].strip("|").split("|")]


def test_a_table_has_intervals_seeds_source_and_passport(make_row: Any) -> None:
    text = sections(judged(make_row))
    cells = line(text, "Dual-path CNN")
    assert cells[1:5] == ["50.0 (45.0 to 56.0)", "–", "90.0 (88.0 to 91.0)", "–"]
    assert cells[5:7] == ["1", "measured"]
    assert cells[7].strip("`") not in ("", "none")
    assert "95 % interval over the test images" in text
    assert "different letters" not in text
    assert "rescore" not in text


def test_rows_of_older_versions_have_figures_without_intervals(make_row: Any) -> None:
    old = judged(make_row, intervals={}, evaluators={}, protocol={})
    cells = line(sections(old), "Dual-path CNN")
    assert (cells[1], cells[3], cells[7]) == ("50.0", "90.0", "`01234567`")
    assert "In brackets" not in sections(old)
    both = sections(old, judged(make_row, title="Newer", variant="k-50"))
    assert "harness rescore --publish" in both
    assert line(both, "Newer")[1] == "50.0 (45.0 to 56.0)"
    # Nobody knows by which labels the old one was judged.
    assert "different letters" in both


def test_the_interval_of_seeds_is_the_mean_of_theirs_and_none_where_one_is_missing(make_row: Any) -> None:
    seeds = [judged(make_row, seed=0), judged(make_row, seed=1, intervals={TAU: (0.43, 0.52)})]
    cells = line(sections(*seeds), "Dual-path CNN")
    assert cells[1] == "50.0 ± 0.0 (44.0 to 54.0)"
    assert cells[3] == "90.0 ± 0.0"


OTHER = "must not be compared"


@pytest.mark.parametrize(
    ("other", "differs", "asked"),
    [
        ({"protocol": PROTOCOL | {"text view": "all shifts"}}, r"text view (\[A\]", "part of the method"),
        ({"evaluators": PEOPLE | {"expert-judgments": "expert-judgments 1, labels bb"}}, "labels bb", OTHER),
        (
            {"evaluators": PEOPLE | {"expert-judgments": "expert-judgments 2, labels aa"}},
            "figures of ex",
            OTHER,
        ),
    ],
)
def test_rows_of_other_protocols_and_labels_carry_letters(
    make_row: Any, other: Any, differs: str, asked: str
) -> None:
    text = sections(judged(make_row), judged(make_row, title="Other", variant="k-50", **other))
    marks = {name: line(text, name)[0].removeprefix(name).strip() for name in ("Dual-path CNN", "Other")}
    assert set(marks.values()) == {r"\[A\]", r"\[B\]"}
    assert line(text, "Other")[7] != line(text, "Dual-path CNN")[7]
    note = next(row for row in text.split("\n") if "different letters" in row)
    assert asked in note
    assert differs in note


def test_what_other_evaluators_count_is_no_difference_here(make_row: Any) -> None:
    counted = PEOPLE | {"recall": 'recall 1 (policy: "expected")'}
    text = sections(judged(make_row), judged(make_row, title="Other", variant="k-50", evaluators=counted))
    assert "different letters" not in text
    assert line(text, "Other")[7] == line(text, "Dual-path CNN")[7]


def test_no_mean_is_made_over_seeds_that_were_judged_by_other_labels(make_row: Any) -> None:
    other = PEOPLE | {"expert-judgments": "expert-judgments 1, labels bb"}
    text = sections(judged(make_row, seed=0), judged(make_row, seed=1, evaluators=other))
    rows = [row for row in text.split("\n") if row.startswith("| Dual-path CNN")]
    assert [row.split("|")[6].strip() for row in rows] == ["1", "1"]
    assert {r"\[A\]" in row for row in rows} == {True, False}


def test_without_figures_there_is_no_table(make_row: Any) -> None:
    assert judged_sections(grouped([make_row()])) == []


def test_intervals_are_kept_in_the_file_of_rows(make_row: Any, tmp_path: Path) -> None:
    row = judged(make_row)
    merge_rows(tmp_path / "results.jsonl", [row])
    (found,) = read_rows(tmp_path / "results.jsonl")
    assert found == row
    before = (tmp_path / "results.jsonl").read_text()
    # As versions before wrote it.
    (tmp_path / "results.jsonl").write_text(
        before.replace('"intervals": ', '"gone": ').replace(
            f'"gone": {{"{TAU}": [0.45, 0.56], "{NDCG}": [0.88, 0.91]}}, ', ""
        )
    )
    assert read_rows(tmp_path / "results.jsonl") == (replace(row, intervals={}),)
