"""Learning curves: stored whole, matched to rows, and few enough to be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from harness.errors import InputError, StoreError
from harness.leaderboard import (
    Curve,
    History,
    Row,
    check,
    grouped,
    merge_rows,
    owned,
    read_curves,
    render,
    write,
    write_curves,
)
from harness.leaderboard.choice import MOST, choose_curves
from harness.leaderboard.learning import draw_panels, error_panels, loss_panels, segments
from harness.leaderboard.losses import STAGES

Make = Callable[..., Row]
ERRORS = {
    "instance.image_top1": 0.25,
    "instance.image_top5": 0.5,
    "instance.text_top1": 0.125,
    "instance.text_top5": 0.375,
}


def epochs(count: int = 3, **figures: float) -> list[dict[str, float]]:
    return [
        {"epoch": float(n), "val.rsum": 100.0 + n, "loss": 9.0 / n, "seconds": 3.0 * n, "rate": 1.0} | figures
        for n in range(1, count + 1)
    ]


def history(run: str, count: int = 3, **figures: float) -> History:
    return History(run=run, rows=epochs(count, **figures))


def curve(title: str, *stages: History) -> Curve:
    return Curve(title=title, stages=stages)


def first_schema(folder: Path, dataset: str, titles: list[str]) -> None:
    """Write curves as the first version of the harness did."""
    rows = [
        {"epoch": 1.0, "loss": 2.0, "instance.image_ce": 1.0},
        {"epoch": 2.0, "loss": 1.0, "val.rsum": 50.0},
    ]
    path = folder / "curves" / f"{dataset}.json"
    path.parent.mkdir(parents=True)
    histories = dict.fromkeys(titles, rows)
    path.write_text(json.dumps({"schema": 1, "dataset": dataset, "histories": histories}, indent=1))


def test_what_is_stored_is_read_again(folder: Path) -> None:
    rows = [{"epoch": 1.0, "loss": 1.23456789}, {"epoch": 2.0, "loss": float("nan"), "val.rsum": 5.0}]
    rows[0] |= {
        "seconds": 3.0,
        "rate": 0.5,
        "instance.image_top1": 0.25,
        "ranking": 1.5,
        "ranking.active": 0.5,
    }
    parent = history("p", 2)
    stored = [curve("B", parent, History(run="b", rows=rows)), curve("A", parent)]
    path = write_curves(folder, "flickr8k", stored)
    a, b = read_curves(folder)["flickr8k"]
    assert (a.title, a.run, b.title, b.run) == ("A", "p", "B", "b")
    assert b.stages[0] == a.stages[0]
    assert b.stages[1].rows == [
        {"epoch": 1.0, "loss": 1.23457, "instance.image_top1": 0.25, "ranking": 1.5, "ranking.active": 0.5},
        {"epoch": 2.0, "val.rsum": 5.0},
    ]
    assert path.read_text().count('"p": {') == 1
    before = path.read_bytes()
    write_curves(folder, "flickr8k", [b, a])
    assert path.read_bytes() == before


def test_a_curve_that_cannot_be_stored_is_an_error(folder: Path) -> None:
    with pytest.raises(InputError, match="not the name of a dataset"):
        write_curves(folder, "../x", [curve("CNN", history("a"))])
    with pytest.raises(InputError, match="of 'CNN' has no epoch"):
        write_curves(folder, "x", [curve("CNN", History(run="a", rows=[{"loss": 1.0}]))])
    assert not (folder / "curves").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"schema": 2', '"schema": 3'), "newer version"),
        (('"runs": ["a"]', '"runs": ["lost"]'), "damaged"),
        (("[1.0, 2.0, 3.0]", "[1.0, 2.0]"), "damaged"),
        (('"curves"', '"curve"'), "damaged"),
    ],
)
def test_a_damaged_file_is_named(folder: Path, change: tuple[str, str], message: str) -> None:
    path = write_curves(folder, "flickr8k", [curve("A", history("a"))])
    before = path.read_text()
    path.write_text(before.replace(*change))
    assert path.read_text() != before
    with pytest.raises(StoreError, match=message):
        read_curves(folder)


def test_files_of_the_first_schema_are_read_and_drawn(folder: Path, make_row: Make) -> None:
    merge_rows(
        folder / "results.jsonl", [make_row(seed=s) for s in (0, 1)] + [make_row(variant="b", title="BoW")]
    )
    first_schema(folder, "flickr8k", ["Dual-path CNN", "BoW", "gone"])
    files = render(folder)
    assert "(curves/flickr8k-losses.svg)" in files["flickr8k.md"]
    assert "curves/flickr8k-convergence.svg" not in files
    assert "convergence" not in files["flickr8k.md"].lower()
    write(folder)
    assert check(folder) == []


def test_a_first_schema_title_goes_to_the_only_method_that_has_it(folder: Path, make_row: Make) -> None:
    first_schema(folder, "flickr8k", ["Dual-path CNN"])
    old = read_curves(folder)["flickr8k"]
    one, two = make_row(), make_row(variant="left")
    assert [c.run for _, c in owned(grouped([one]), old)] == [one.fingerprint]
    assert owned(grouped([one, two]), old) == []
    # The other one has a curve of its own, so the title can mean only this one.
    own = curve("Dual-path CNN", history(two.fingerprint))
    assert {c.run for _, c in owned(grouped([one, two]), [*old, own])} == {one.fingerprint, two.fingerprint}


def test_a_method_is_shown_by_its_lowest_seed(make_row: Make) -> None:
    rows = [make_row(seed=seed) for seed in (0, 1, 2)]
    stored = [curve("CNN", history(rows[n].fingerprint)) for n in (2, 1)] + [curve("x", history("gone"))]
    ((_, found),) = owned(grouped(rows), stored)
    assert found.run == rows[1].fingerprint


def test_a_rerun_takes_the_place_of_the_old_curve(make_row: Make) -> None:
    row = make_row()
    stored = [curve("CNN", history(row.fingerprint, 3)), curve("CNN", history(row.fingerprint, 5))]
    ((_, found),) = owned(grouped([row]), stored)
    assert found.epochs == 5


def test_the_cells_of_table_four_are_drawn_first(make_row: Make) -> None:
    rows = [
        make_row(variant=name, title=name, shift=0.01 * n) for n, name in enumerate([*STAGES, "gru", "cca"])
    ]
    stored = [curve(row.title, history(row.fingerprint)) for row in rows]
    choice = choose_curves(rows, stored)
    assert [name for name, _ in choice.curves] == [
        "ranking, Stage I",
        "instance, Stage I",
        "both, Stage I",
        "ranking, Stage II",
        "instance, Stage II",
        "both, Stage II",
    ]
    assert "Table 4" in choice.about
    # A matrix of another name has labels of its own.
    other = [make_row(matrix="mine", variant=name, title=name) for name in STAGES]
    assert (
        "all methods" in choose_curves(other, [curve(r.title, history(r.fingerprint)) for r in other]).about
    )


def test_of_many_methods_the_best_by_val_are_drawn(make_row: Make) -> None:
    rows = [make_row(variant=f"v{n}", title=f"CNN {n}", val_rsum=200.0 + n) for n in range(MOST + 3)]
    choice = choose_curves(rows, [curve(row.title, history(row.fingerprint)) for row in rows])
    assert [name for name, _ in choice.curves] == [f"CNN {n}" for n in range(MOST + 2, 2, -1)]
    assert f"the best {MOST} of {MOST + 3} methods by rSum on val" in choice.about


def test_stages_follow_one_another_and_a_shared_one_is_drawn_once() -> None:
    parent, other = history("p", 4), history("q", 2)
    labelled = [
        ("one", curve("one", parent)),
        ("two", curve("two", parent, history("a", 3))),
        ("three", curve("three", other, history("b", 3), history("c", 3))),
        ("four", curve("four", other, history("d", 3))),
        ("alone", curve("alone", history("e", 3))),
    ]
    found = [(s.place, s.start, len(s.rows)) for s in segments(labelled)]
    assert found == [
        (0, 0.0, 4),
        (1, 4.0, 3),
        (2, 0.0, 2),
        (2, 2.0, 3),
        (2, 5.0, 3),
        (3, 2.0, 3),
        (4, 0.0, 3),
    ]


def test_convergence_shows_errors_in_percent() -> None:
    labelled = [
        ("CNN", curve("CNN", history("p", 2, **ERRORS), history("a", 2, **ERRORS))),
        ("ranking", curve("ranking", history("b"))),
    ]
    panels = error_panels(labelled)
    assert [panel.title.split()[0] for panel in panels] == ["images", "captions"]
    axes = Figure().add_subplot()
    panels[1].draw(axes, segments(labelled), len(labelled))
    lines = [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()]
    assert ([1.0, 2.0], [87.5, 87.5]) in lines
    assert ([3.0, 4.0], [62.5, 62.5]) in lines
    assert ([2.5, 2.5], [0, 1]) in lines
    svg = draw_panels(labelled, error_panels)
    assert "<!-- CNN -->" in svg
    assert "<!-- ranking -->" not in svg


def test_losses_are_drawn_where_there_are_any() -> None:
    plain = [("CNN", curve("CNN", history("p")))]
    assert [panel.title for panel in loss_panels(plain)] == ["rSum on val"]
    both = history(
        "p", 2, **{"instance": 3.0, "instance.image_ce": 2.0, "instance.text_ce": 1.0, "ranking": 0.5}
    )
    assert [panel.title for panel in loss_panels([("both", curve("both", both))])] == [
        "rSum on val",
        "cross-entropy on train",
        "ranking loss on train",
    ]
    two = [("x", curve("x", history("p", 2, ranking=0.5))), ("y", curve("y", history("q", 2, infonce=0.5)))]
    assert [name for name, _ in loss_panels(two)[-1].lines] == ["infonce", "ranking"]
    assert loss_panels([]) == error_panels([]) == []


def test_the_page_says_what_is_drawn_and_links_the_data(folder: Path, make_row: Make) -> None:
    one, two = make_row(variant="instance", title="one"), make_row(variant="full", title="two")
    merge_rows(folder / "results.jsonl", [one, two])
    parent = history(one.fingerprint, **ERRORS)
    write_curves(
        folder, "flickr8k", [curve("one", parent), curve("two", parent, history(two.fingerprint, **ERRORS))]
    )
    page = render(folder)["flickr8k.md"].split("## Learning curves")[1]
    assert "Table 4" in page
    assert "behind a dotted line" in page
    assert "[curves/flickr8k.json](curves/flickr8k.json)" in page
    assert "(curves/flickr8k-losses.svg)" in page
    assert "(curves/flickr8k-convergence.svg)" in page


def test_a_curve_of_no_row_is_not_drawn(folder: Path, make_row: Make) -> None:
    merge_rows(folder / "results.jsonl", [make_row()])
    write_curves(folder, "flickr8k", [curve("gone", history("gone"))])
    files = render(folder)
    assert not [name for name in files if name.startswith("curves/")]
    assert "Learning curves" not in files["flickr8k.md"]
