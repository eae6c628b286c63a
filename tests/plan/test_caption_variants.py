"""The variants of MSCOCO's captions are datasets by name, which no matrix takes by itself."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from harness.catalog import Catalog
from harness.leaderboard.boards import COCO_1K, COCO_5K
from harness.plan import make_plan
from harness.registry import Registry, find_registry

CAPTIONS = {"mscoco-25010": "all", "mscoco-24809": "deduplicated"}


@pytest.mark.parametrize("name", CAPTIONS)
def test_they_are_mscoco_with_other_captions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "vectors.txt").write_text("a 1 2\n")
    monkeypatch.setenv("HARNESS_WORD_VECTORS", str(tmp_path / "vectors.txt"))
    cell, usual = make_plan(
        Registry.load(find_registry(Path(__file__).parent)),
        Catalog.load(),
        matrix="ablations",
        protocol_of=lambda part, spec: "0123",
        datasets=[name, "mscoco"],
        only={"variant": ["instance"]},
        seeds=[0],
    ).cells
    assert cell.run.dataset.params == {"captions": CAPTIONS[name]}
    assert usual.run.dataset.params == {}
    assert cell.run.dataset.use == usual.run.dataset.use == "mscoco"
    assert cell.run.dataset.title != usual.run.dataset.title
    assert [each.name for each in cell.evaluators] == [each.name for each in usual.evaluators]
    assert (cell.run.stage, cell.run.losses) == (usual.run.stage, usual.run.losses)


def test_no_matrix_takes_them_by_itself() -> None:
    registry = Registry.load(find_registry(Path(__file__).parent))
    assert set(CAPTIONS) < set(registry.datasets)
    for name, matrix in registry.matrices.items():
        fields = [fields for labels in matrix.axes.values() for fields in labels.values()]
        taken = {str(each.get("dataset")) for each in fields} | set(matrix.axes.get("dataset", {}))
        assert not taken & set(CAPTIONS), name
    assert not {str(each.dataset) for each in registry.experiments.values()} & set(CAPTIONS)


def test_they_stand_on_the_pages_of_mscoco() -> None:
    for board in (COCO_1K, COCO_5K):
        for name in CAPTIONS:
            assert any(fnmatchcase(name, pattern) for pattern in board.datasets)
            assert name not in board.measured_on.datasets, "published figures are of 25,000 captions"
