"""The pages: the same bytes from the same files, and nothing averaged that must not be."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from harness.leaderboard import Curve, History, Row, check, merge_rows, render, write, write_curves
from harness.leaderboard.published import NONE

Make = Callable[..., Row]
HOSTILE = (
    "x | y `z`\n# <script>alert(1)</script> **b** \u202e[a](javascript:1) $m$ ~s~ https://e.org \x1b[31m"
)
TWINS = {"twins.confusion": 0.25, "twins.confusion.colour": 0.4, "twins.i2t.confusion.colour": 0.3}


def line_of(page: str, start: str) -> list[str]:
    lines = [line for line in page.split("\n") if line.startswith(f"| {start}")]
    assert len(lines) == 1, lines
    return [cell.strip() for cell in lines[0].strip("|").split("|")]


def lines_of(page: str, text: str) -> list[str]:
    return [line for line in page.split("\n") if line.startswith("|") and text in line]


def curve(row: Row, rsum: float = 100.0) -> Curve:
    """Return a history of four epochs of a row's run."""
    epochs = [
        {
            "epoch": float(n),
            "val.rsum": rsum + n,
            "loss": 9.0 / n,
            "instance.image_ce": 8.0 / n,
            "instance.text_ce": 9.0,
            "instance.image_top1": 0.1 * n,
            "instance.text_top1": 0.05 * n,
        }
        for n in range(1, 5)
    ]
    return Curve(title=row.title, stages=(History(run=row.fingerprint, rows=epochs),))


def test_committed_pages_are_fresh() -> None:
    assert check(Path(__file__).resolve().parents[2] / "leaderboards") == []


def test_the_same_files_render_the_same_bytes(folder: Path, make_row: Make, tmp_path: Path) -> None:
    rows = [
        make_row(dataset=name, seed=seed, more=TWINS) for name in ("shapes", "flickr8k") for seed in (0, 1)
    ]
    rows.append(make_row(variant="bow", title="BoW $5"))
    merge_rows(folder / "results.jsonl", rows)
    write_curves(folder, "flickr8k", [curve(rows[2]), curve(rows[-1], 120.0)])
    first = render(folder)
    assert {"curves/flickr8k-losses.svg", "curves/flickr8k-convergence.svg"} <= first.keys()
    assert "figures/shapes-confusion.svg" in first
    assert render(folder) == first
    code = (
        "import sys; from pathlib import Path; from harness.leaderboard import render\n"
        "for name, text in render(Path(sys.argv[1])).items():\n"
        "    path = Path(sys.argv[2]) / name; path.parent.mkdir(parents=True, exist_ok=True)\n"
        "    path.write_bytes(text.encode())\n"
        "assert not {'torch', 'pandas'} & sys.modules.keys()"
    )
    environment = {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C", "HOME": str(tmp_path)}
    subprocess.run(
        [sys.executable, "-c", code, str(folder), str(tmp_path / "again")],
        check=True,
        env=environment,
        cwd=tmp_path,
    )
    assert {name: (tmp_path / "again" / name).read_bytes().decode() for name in first} == first


def test_check_names_what_is_stale(folder: Path, make_row: Make) -> None:
    row = make_row(dataset="shapes", more=TWINS)
    merge_rows(folder / "results.jsonl", [row])
    write_curves(folder, "shapes", [curve(row)])
    assert len(check(folder)) > 3
    write(folder)
    assert check(folder) == []

    page = folder / "flickr30k.md"
    page.write_text(page.read_text(encoding="utf-8").replace("53.9", "54.9", 1), encoding="utf-8")
    (line,) = check(folder)
    assert "flickr30k.md is stale (line " in line
    assert "`harness leaderboard`" in line
    write(folder)
    assert check(folder) == []

    for name in ("figures/shapes-confusion.svg", "curves/shapes-losses.svg", "curves/shapes-convergence.svg"):
        drawing = folder / name
        text = drawing.read_text(encoding="utf-8")
        drawing.write_text(text.replace("1", "2", 1), encoding="utf-8")
        assert [name in line for line in check(folder)] == [True]
        write(folder)
        assert drawing.read_text(encoding="utf-8") == text

    merge_rows(
        folder / "results.jsonl", [make_row(dataset="shapes", more=TWINS | {"twins.confusion.colour": 0.5})]
    )
    stale = "\n".join(check(folder))
    assert "shapes.md" in stale
    assert "shapes-confusion.svg" in stale
    assert "curves" not in stale

    (folder / "old.md").write_text("old")
    assert any("git rm" in line for line in check(folder))


def test_a_fresh_page_is_not_written_again(folder: Path) -> None:
    paths = write(folder)
    stamps = [path.stat().st_mtime_ns for path in paths]
    write(folder)
    assert [path.stat().st_mtime_ns for path in paths] == stamps
    assert {path.name for path in paths} >= {"README.md", "ablations.md", "flickr8k.md", "shapes.md"}


def test_seeds_are_averaged_as_numpy_does(folder: Path, make_row: Make) -> None:
    shifts = (0.0, 0.013, -0.021)
    rows = [
        make_row(seed=seed, shift=shift, more={"recall.t2i.median_rank": 7.0 + seed})
        for seed, shift in enumerate(shifts)
    ]
    merge_rows(folder / "results.jsonl", rows)
    cells = line_of(render(folder)["flickr8k.md"], "**Dual-path CNN**")
    recalls = [f"recall.{side}.recall@{k}" for side in ("i2t", "t2i") for k in (1, 5, 10)]
    table = 100 * np.array([[row.metrics[name] for name in recalls] for row in rows])
    means, rsum = table.mean(axis=0), table.sum(axis=1)
    assert cells[3:6] == [f"{value:.1f}" for value in means[:3]]
    assert cells[7:10] == [f"{value:.1f}" for value in means[3:]]
    assert cells[6] == "5"
    assert cells[10] == "8"
    assert cells[11] == f"{rsum.mean():.1f} ± {rsum.std(ddof=1):.1f}"
    assert cells[12:] == [NONE, NONE, "3", "2.5 M", "15 min", "40", "measured", NONE, "`01234567`"]


def test_a_missing_figure_stays_missing(folder: Path, make_row: Make) -> None:
    whole, broken = make_row(), make_row(seed=1)
    lacking = {name: value for name, value in broken.metrics.items() if name != "recall.i2t.recall@5"}
    merge_rows(folder / "results.jsonl", [whole, make_row(seed=1, metrics=lacking)])
    cells = line_of(render(folder)["flickr8k.md"], "**Dual-path CNN**")
    assert cells[4] == NONE
    assert cells[11] == NONE
    assert cells[3] == "20.0"


def test_passports_and_recipes_are_never_averaged(folder: Path, make_row: Make) -> None:
    merge_rows(folder / "results.jsonl", [make_row(), make_row(seed=1, passport="fedcba9876543210")])
    page = render(folder)["flickr8k.md"]
    rows = lines_of(page, "**Dual-path CNN")
    assert len(rows) == 2
    assert sum("\\[A\\]" in row for row in rows) == sum("\\[B\\]" in row for row in rows) == 1
    assert "must not be compared**: \\[A\\] `01234567`, \\[B\\] `fedcba98`" in page
    assert (
        "other protocol" in render(folder)["ablations.md"]
        or "must not be compared" in render(folder)["ablations.md"]
    )
    merge_rows(folder / "results.jsonl", [make_row(recipe="new"), make_row(seed=1, recipe="old")])
    rows = lines_of(render(folder)["flickr8k.md"], "**Dual-path CNN")
    assert len(rows) == 2
    assert "must not be compared" not in render(folder)["flickr8k.md"]


def test_a_run_of_two_matrices_counts_once(folder: Path, make_row: Make) -> None:
    rows = [
        make_row(matrix=name, recipe="same", seed=seed) for name in ("ablations", "papers") for seed in (0, 1)
    ]
    merge_rows(folder / "results.jsonl", rows)
    assert line_of(render(folder)["flickr8k.md"], "**Dual-path CNN**")[14] == "2"


def test_variants_of_one_title_are_told_apart(folder: Path, make_row: Make) -> None:
    merge_rows(folder / "results.jsonl", [make_row(), make_row(variant="left-aligned", shift=-0.01)])
    page = render(folder)["flickr8k.md"]
    assert line_of(page, "**Dual-path CNN (full)**")[11] == "232.5"
    assert line_of(page, "**Dual-path CNN (left-aligned)**")[11] == "226.5"


def test_ablations_pair_the_seeds(folder: Path, make_row: Make) -> None:
    rows = [make_row(seed=seed, shift=shift) for seed, shift in enumerate((0.0, 0.02, 0.05))]
    rows += [
        make_row(variant="bow", title="BoW", seed=seed, shift=shift) for seed, shift in ((0, 0.01), (2, 0.03))
    ]
    merge_rows(folder / "results.jsonl", rows)
    page = render(folder)["ablations.md"].split("### Other changes")[1]
    first = next(line for line in page.split("\n") if line.startswith("|:"))
    assert page.split(first + "\n")[1].startswith("| full")
    assert line_of(page, "full")[6:8] == ["reference", NONE]
    change = 600 * np.array([0.01 - 0.0, 0.03 - 0.05])
    assert line_of(page, "bow")[5:8] == ["2", f"{change.mean():.1f} ± {change.std(ddof=1):.1f}", "2"]


def test_text_of_others_is_escaped(folder: Path, make_row: Make) -> None:
    rows = [
        make_row(title=HOSTILE, dataset=name, more=TWINS, hardware=HOSTILE) for name in ("shapes", "mine")
    ]
    rows.append(make_row(dataset="mine", dataset_title=HOSTILE, variant=HOSTILE, command=f"```\n{HOSTILE}"))
    merge_rows(folder / "results.jsonl", rows)
    write_curves(folder, "mine", [curve(rows[1])])
    pages = render(folder)
    for name, text in pages.items():
        if name.endswith(".md"):
            assert "\u202e" not in text
            assert "\x1b" not in text
            outside = "\n".join(part for part in text.split("````")[::2])
            assert "<script" not in outside
            assert "[a](javascript" not in outside.replace("\\[a\\]", "")
            assert "https://e.org" not in outside
            for table in text.split("\n\n"):
                lines = [line for line in table.split("\n") if line.startswith("|")]
                assert len({line.count("|") for line in lines}) <= 1
        else:
            assert "\u202e" not in text
            assert "<script" not in text
    assert "````sh" in pages["dataset-mine.md"]


def test_a_table_without_measured_rows_says_what_fills_it(folder: Path, make_row: Make) -> None:
    command = "harness run --matrix ablations --dataset flickr8k"
    assert f"```sh\nharness data prepare flickr8k --from DIR\n{command}\n```" in render(folder)["flickr8k.md"]
    merge_rows(folder / "results.jsonl", [make_row(command="harness run --matrix other")])
    page = render(folder)["flickr8k.md"]
    assert "harness run --matrix other" in page
    for fact in ("two cores", "torch 2.14.1", "abcdef0", "2026-01-02", "1,000 test images, 5,000 captions"):
        assert fact in page
    assert "prepare" not in page


def test_mscoco_1k_takes_the_figures_of_the_folds(folder: Path, make_row: Make) -> None:
    folds = {f"recall-1k.{side}.recall@{k}": 0.5 for side in ("i2t", "t2i") for k in (1, 5, 10)}
    merge_rows(folder / "results.jsonl", [make_row(dataset="mscoco", more=folds)])
    pages = render(folder)
    assert line_of(pages["mscoco-1k.md"], "**Dual-path CNN**")[11] == "300.0"
    assert line_of(pages["mscoco-5k.md"], "**Dual-path CNN**")[11] == "232.5"


def test_shapes_tell_which_attribute_confuses(folder: Path, make_row: Make) -> None:
    rows = [
        make_row(dataset="shapes", seed=s, more=TWINS | {"twins.confusion.size": 0.5 + 0.1 * s})
        for s in (0, 1)
    ]
    merge_rows(folder / "results.jsonl", rows)
    page = render(folder)["shapes.md"]
    header, line = (
        lines_of(page, "colour")[0],
        line_of(page.split("confuses which model")[1], "Dual-path CNN"),
    )
    assert [cell.strip() for cell in header.strip("|").split("|")] == [
        "Method",
        "all",
        "colour",
        "size",
        "seeds",
    ]
    assert line == ["Dual-path CNN", "25.0 ± 0.0", "40.0 ± 0.0", "55.0 ± 7.1", "2"]
    assert "(figures/shapes-confusion.svg)" in page


def test_people_and_other_labels_have_tables_of_their_own(folder: Path, make_row: Make) -> None:
    grades = {"expert-judgments.expert.kendall_tau_b": 0.25, "expert-judgments.crowd.kendall_tau_b": 0.1}
    rows = [
        make_row(variant="low", title="Low", more=grades),
        make_row(
            variant="high",
            title="High",
            more={name: 2 * value for name, value in grades.items()},
            shift=-0.01,
        ),
        make_row(variant="none", title="None"),
        make_row(dataset="mscoco", title="Eccv", more={"eccv-caption.i2t.map@r": 0.31}),
    ]
    merge_rows(folder / "results.jsonl", rows)
    pages = render(folder)
    part = pages["flickr8k.md"].split("## Agreement with people")[1].split("\n## ")[0]
    shown = [line for line in part.split("\n") if line.startswith("| ")]
    assert [line.split("|")[1].strip() for line in shown] == ["Method", "High", "Low"]
    assert [cell.strip() for cell in shown[1].split("|")[2:7]] == ["50.0", NONE, NONE, "20.0", "1"]
    assert "Agreement" not in pages["mscoco-5k.md"]
    assert "## ECCV Caption" in pages["mscoco-5k.md"]
    assert "## Crisscrossed" not in pages["mscoco-5k.md"]


def test_another_tie_policy_is_another_protocol(folder: Path, make_row: Make) -> None:
    protocol = {"gallery": "g", "pixels": "p", "scores": "s"}
    rows = [
        make_row(
            seed=seed, recipe="same", protocol=protocol, evaluators={"recall": told, "twins": f"twins {seed}"}
        )
        for seed, told in enumerate(("recall 1", "recall 1", 'recall 1 (policy: "expected")'))
    ]
    merge_rows(folder / "results.jsonl", rows)
    page = render(folder)["flickr8k.md"]
    lines = lines_of(page, "**Dual-path CNN")
    assert len(lines) == 2
    assert "They differ in figures of recall (" in page
    assert "recall 1 (policy: &#34;expected&#34;)" in page or 'recall 1 (policy: "expected")' in page
