"""The texts that mean harm in a table of the leaderboards: csv, HTML, LaTeX, JSON."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.export.tables import FORMS, FORMULAS
from harness.leaderboard import merge_rows
from harness.leaderboard.benchmark import KEYS, Benchmark, benchmark
from harness.leaderboard.markdown import plain
from tests.faults.texts import MEANT, Page, steering
from tests.leaderboard.conftest import make_row  # noqa: F401 - a fixture

TAGS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "h1",
    "p",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
}
LATEX = {
    r"\textbackslash{}": "\\",
    r"\textasciitilde{}": "~",
    r"\ensuremath{<}": "<",
    r"\ensuremath{>}": ">",
    r"\ldots{}": "…",
    r"$\langle$": "⟨",
    r"$\rangle$": "⟩",
    "-{}": "-",
    r"\^{}": "^",
    **{f"\\{sign}": sign for sign in "&%$#_{}"},
}


@pytest.fixture
def table(tmp_path: Path, make_row: Callable[..., Any]) -> Benchmark:  # noqa: F811
    """A table in which each text is a method, its paths, where it comes from and, once, the dataset's name."""
    published = tmp_path / "published"
    published.mkdir()
    header = "method,setting,benchmark,i2t_r1,i2t_r5,i2t_r10,t2i_r1,t2i_r5,t2i_r10,source,certainty"
    with (published / "milestones.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header.split(","))
        for text in MEANT:
            writer.writerow([text, text, "flickr30k", *[1.5] * 6, text, "secondary"])
    rows = [
        make_row(
            variant=str(place),
            dataset="flickr30k",
            matrix="imported",
            title=text,
            visual=text,
            textual=text,
            source=text,
            fingerprint=f"{place:016x}",
        )
        for place, text in enumerate(MEANT)
    ]
    merge_rows(tmp_path / "results.jsonl", rows)
    return benchmark(tmp_path, "flickr30k")


def by_run(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {record["runs"]: record for record in records if record["runs"]}


@pytest.mark.fault(11)
def test_a_spreadsheet_computes_nothing_and_numbers_stay_numbers(table: Benchmark, faults: Any) -> None:
    written = FORMS["csv"](table)
    assert not steering(written)
    records = list(csv.DictReader(io.StringIO(written), strict=True))
    assert len(records) == len(table.lines) == 2 * len(MEANT)
    measured = by_run(records)
    for place, text in enumerate(MEANT):
        record = measured[f"{place:016x}"]
        shown = plain(text, 10**9)
        guarded = record["source"]
        assert record["visual"] == record["textual"] == guarded
        assert guarded.replace("'", "") == shown.replace("'", "")
        assert (guarded == shown) == (shown[0] not in FORMULAS and not shown.startswith(("x;", "x |")))
        assert record["method"].startswith(guarded)
        faults.one()
    for record in records:
        for key, cell in record.items():
            assert not cell.startswith((*FORMULAS, "\t", "\r", "\n")), (key, cell)
            if key in KEYS:
                assert cell == "" or float(cell) >= 0
    for sign in ";|\t\n":
        for cell in written.split(sign):
            assert not cell.lstrip('" ').startswith(FORMULAS), (sign, cell[:99])
    frame = pd.read_csv(io.StringIO(written))
    assert len(frame) == len(records)
    assert {str(frame[key].dtype) for key in KEYS} == {"float64"}


@pytest.mark.fault(11)
def test_a_browser_runs_and_loads_nothing(table: Benchmark, faults: Any) -> None:
    written = FORMS["html"](table)
    assert not steering(written)
    page = Page(written)
    assert {tag for tag, _ in page.tags} <= TAGS | {"ul", "li"}
    for tag, attributes in page.tags:
        assert {name for name, _ in attributes} <= {"lang", "charset", "http-equiv", "content", "class"}, tag
    tags = [tag for tag, _ in page.tags]
    assert tags.count("tr") == 1 + len(table.lines)
    assert tags.count("td") == len(table.lines) * tags.count("th")
    cells = re.findall(r"<td[^>]*>([^<>]*)</td>", written)
    assert len(cells) == tags.count("td")
    for text in MEANT:
        shown = plain(text)
        assert html.escape(shown) in cells
        assert "".join(page.texts).count(shown) >= 3
        faults.one()


@pytest.mark.fault(11)
def test_a_headless_browser_shows_the_rows_and_no_alert(table: Benchmark, tmp_path: Path) -> None:
    found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome", "chrome")]
    browser = next((path for path in found if path), None)
    if browser is None:
        pytest.skip("no Chromium here")
    page = tmp_path / "table.html"
    page.write_text(FORMS["html"](table), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [browser, *options, "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    # What the browser made of it is what was written.
    assert Page(done.stdout).tags == Page(page.read_text(encoding="utf-8")).tags


def unescaped(cell: str) -> str:
    """Read a cell as LaTeX does; a command that is not expected fails."""
    signs = re.compile("|".join(re.escape(sign) for sign in sorted(LATEX, key=len, reverse=True)))
    rest = signs.sub("", cell)
    assert not set(rest) & set("\\{}$&#^_%~"), cell
    return signs.sub(lambda found: LATEX[found.group()], cell)


@pytest.mark.fault(11)
def test_latex_runs_no_command_and_keeps_its_columns(table: Benchmark, faults: Any) -> None:
    written = FORMS["latex"](table)
    assert not steering(written)
    lines = [line for line in written.split("\n") if not line.startswith("%")]
    assert [line for line in lines if line.startswith("\\")] == [
        "\\begin{tabular}{llllrrrrrrrrrrr}",
        *("\\toprule", "\\midrule", "\\bottomrule"),
        "\\end{tabular}",
    ]
    rows = [line.removesuffix(" \\\\") for line in lines if line.endswith(" \\\\")][1:]
    cells = [re.split(r"(?<!\\) &(?= )", row) for row in rows]
    assert {len(row) for row in cells} == {15}
    read = [[unescaped(cell.strip()) for cell in row[:4]] for row in cells if "imported" in row[0]]
    assert len(read) == len(MEANT)
    for text in MEANT:
        assert [plain(text).strip()] * 2 in [row[2:] for row in read], text
        faults.one()


@pytest.mark.fault(11)
def test_json_gives_the_texts_back(table: Benchmark, faults: Any) -> None:
    written = FORMS["json"](table)
    assert written.isascii()
    measured = by_run(json.loads(written)["rows"])
    for place, text in enumerate(MEANT):
        record = measured[f"{place:016x}"]
        assert record["visual"] == record["textual"] == record["source"] == text
        assert isinstance(record["i2t_r1"], float)
        faults.one()
