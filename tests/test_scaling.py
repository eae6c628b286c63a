"""docs/scaling.md: the runs, steps and operations of the paper's matrices follow from the registry."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

from harness.catalog import Catalog
from harness.plan import RunSpec, make_plan
from harness.registry import Registry

ROOT = Path(__file__).resolve().parents[1]
IMAGES = {"flickr30k": 29_783, "flickr8k-names": 6_000, "mscoco": 113_287}
TITLES = {"flickr30k": "Flickr30k", "flickr8k-names": "Flickr8k in the 2017 split"}
PATHS = {"resnet50": "ResNet-50, with", "resnet152": "ResNet-152, with", "vgg19": "VGG-19, with"}
WORDS = {50: "text CNN, ResNet-50†", 152: "text CNN, ResNet-152†"}


@pytest.fixture
def page() -> str:
    return (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")


def row(page: str, start: str) -> list[str]:
    """Return the cells of the table's row that begins so, without the first."""
    (line,) = re.findall(rf"^\| {re.escape(start)}.*$", page, re.M)
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def forward(page: str, start: str) -> float:
    return 1e9 * float(row(page, start)[0].removesuffix(" G"))


def operations(page: str, run: RunSpec) -> float:
    """Return the operations of one step, by the page's three formulae."""
    batch, params = run.stage.batch, {**dict(run.losses[0][0].params), "layers": run.text.params["layers"]}
    image = forward(page, PATHS[run.image.params["backbone"]])
    text = forward(page, WORDS[params["layers"]])
    classes = params.get("k") or IMAGES[run.dataset.name]
    classifier = 12 * batch * classes * run.dim
    if not run.stage.freeze:
        return 3 * batch * image + 4.5 * batch * text + 256 * text + classifier
    seen = batch * image if run.image.params["backbone_norm"] == "batch" else 0.0
    return seen + 3 * batch * text + classifier


def steps(run: RunSpec) -> int:
    return run.stage.epochs * math.ceil(IMAGES[run.dataset.name] / run.stage.batch)


def test_the_paper_s_matrices_take_what_the_page_says(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "words.txt").write_text("1 1\na 0.5\n", encoding="utf-8")
    monkeypatch.setenv("HARNESS_WORD_VECTORS", str(tmp_path / "words.txt"))
    registry, catalog = Registry.load(ROOT / "registry.yaml"), Catalog.load()

    def runs(matrix: str) -> tuple[RunSpec, ...]:
        protocol: Any = lambda part, spec: part.name  # noqa: E731 - nothing is prepared here
        return make_plan(registry, catalog, matrix=matrix, protocol_of=protocol).runs

    groups = {
        f"`tables-flickr30k`, {title}": [r for r in runs("tables-flickr30k") if r.dataset.name == name]
        for name, title in TITLES.items()
    }
    groups["`tables-mscoco`"] = list(runs("tables-mscoco"))
    for name, group in groups.items():
        number, told, ops = row(page, name)
        assert int(number) == len(group)
        assert int(told.replace(",", "")) == sum(steps(run) for run in group)
        total = sum(steps(run) * operations(page, run) for run in group)
        assert float(ops.removesuffix(" · 10^18")) == pytest.approx(total / 1e18, abs=0.01)


def rows(page: str, head: str) -> list[list[str]]:
    """Return the cells of the table below a head that begins so."""
    (table,) = re.findall(rf"^\| {re.escape(head)}.*\n\|[-:|]+\n((?:\|.*\n)+)", page, re.M)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def number(text: str) -> float:
    """Read a number with its unit, in 10^9 where that is G."""
    return float(text.split()[0].replace(",", ""))


def test_two_rates_explain_the_measured_steps_as_closely_as_the_page_says(page: str) -> None:
    (within,) = re.findall(r"within (\d+) %: 68 G operations", page)
    (encoders, classifier) = map(
        float, re.findall(r"(\d+) G operations a second in the encoders, (\d+) G", page)[0]
    )
    apart = []
    for _, _, in_encoders, in_classifier, told, measured in rows(page, "step | C"):
        model = number(in_encoders) / encoders + number(in_classifier) / classifier
        assert number(told) == pytest.approx(model, rel=0.02)
        apart.append(abs(model / number(measured) - 1))
    assert math.ceil(100 * max(apart)) == int(within)


def test_an_evaluation_grows_as_the_page_says(page: str) -> None:
    for images, dim, operations, seconds, rate in rows(page, "images | d"):
        total = 2 * number(images) * 5 * number(images) * number(dim) / 1e9
        assert number(operations) == pytest.approx(total, rel=0.03)
        assert number(rate) == pytest.approx(total / number(seconds), rel=0.02)
    (images, tera) = re.findall(
        r"([\d,]+) images with their captions, and ranks all of them both ways in (\d+) T", page
    )[0]
    assert number(tera) == pytest.approx(10 * number(images) ** 2 * 2048 / 1e12, rel=0.01)
    assert 6 * number(images) * 4 * 2048 == pytest.approx(8e9, rel=0.06)
