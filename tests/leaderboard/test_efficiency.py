"""What training and embedding took, below each table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.leaderboard import Row, grouped
from harness.leaderboard.efficiency import HEADER, efficiency_sections

Make = Callable[..., Row]
FAST = {
    "image_parameters": 4e6,
    "text_parameters": 1e6,
    "image_flops": 0.77e9,
    "text_flops": 3.5e6,
    "images_per_second": 60.0,
    "captions_per_second": 9000.0,
}


def cells(rows: list[Row]) -> list[dict[str, str]]:
    """Return the lines of the table by header."""
    sections = efficiency_sections(grouped(rows))
    assert sections[0] == "## Efficiency"
    _, _, *lines = sections[2].split("\n")
    return [
        dict(zip(HEADER, (cell.strip() for cell in line.strip("|").split("|")), strict=True))
        for line in lines
    ]


def test_figures_are_means_over_seeds_and_the_highest_peak(make_row: Make) -> None:
    slow = {**FAST, "images_per_second": 40.0, "captions_per_second": 7000.0}
    rows = [
        make_row(efficiency=FAST, recipe="r"),
        make_row(seed=1, efficiency=slow, peak_memory_bytes=3 * 10**9, recipe="r"),
    ]
    (line,) = cells(rows)
    assert line == {
        "Method": "Dual-path CNN",
        "Visual": "fixed lite0",
        "Textual": "text CNN",
        "parameters": "5.0 M",
        "trained": "2.5 M",
        "GFLOP an image": "0.77",
        "MFLOP a caption": "3.50",
        "images/s": "50",
        "captions/s": "8,000",
        "peak memory": "3.0 GB",
        "training": "15 min",
        "hardware": "two cores",
    }


def test_rows_of_before_have_dashes_and_imported_ones_no_line(make_row: Make) -> None:
    nothing: dict[str, Any] = dict.fromkeys(
        ("parameters", "train_seconds", "peak_memory_bytes", "epochs", "best_epoch", "val_rsum")
    )
    foreign = make_row(matrix="imported", variant="theirs", title="Theirs", **nothing)
    (line,) = cells([make_row(), foreign])
    assert line["Method"] == "Dual-path CNN"
    assert [line[name] for name in ("parameters", "GFLOP an image", "images/s")] == ["–"] * 3
    assert line["training"] == "15 min"
    assert efficiency_sections(grouped([foreign])) == []


def test_other_hardware_is_named(make_row: Make) -> None:
    rows = [make_row(recipe="r"), make_row(seed=1, recipe="r", hardware="a | GPU")]
    (line,) = cells([rows[0]])
    assert line["hardware"] == "two cores"
    assert "a &#124; GPU to two cores" in efficiency_sections(grouped(rows))[2]
