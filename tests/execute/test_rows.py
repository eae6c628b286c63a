"""Results become leaderboard rows: seeds of one recipe, and curves that outlive the store."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.execute.rows import publish_rows, recipes
from harness.leaderboard import check, read_curves, read_rows

SEEDS = (
    "axes:\n      variant: "
    "{plain: {}, direct: {experiment: direct}, closed: {experiment: closed}, after: {stage: two}}",
    "axes: {variant: {after: {stage: two}, later: {stage: two, stage.lr: 0.05}}, seed: [0, 1]}",
)


def test_seeds_share_a_recipe_with_that_of_their_parents(toy: Any) -> None:
    plan = toy.plan(SEEDS)
    found = recipes(plan.runs)
    by_cell = {cell.labels: found[cell.run.fingerprint] for cell in plan.cells}
    recipe = {(dict(labels)["variant"], dict(labels)["seed"]): value for labels, value in by_cell.items()}
    assert recipe["after", "0"] == recipe["after", "1"]
    assert recipe["after", "0"] != recipe["later", "0"]
    parents = {found[run.fingerprint] for run in plan.runs if run.parent is None}
    assert len(parents) == 1
    other = toy.plan(SEEDS, limit=8)
    assert set(recipes(other.runs).values()).isdisjoint(found.values())


def test_rows_and_curves_of_a_store(toy: Any, tmp_path: Path) -> None:
    plan = toy.plan()
    outcomes = toy.execute(plan)
    folder = tmp_path / "leaderboards"
    publish_rows(outcomes, plan.runs, home=toy.home, folder=folder)
    rows = {row.labels["variant"]: row for row in read_rows(folder / "results.jsonl")}
    assert set(rows) == {"plain", "direct", "closed", "after"}
    for outcome in outcomes:
        row = rows[dict(outcome.cell.labels)["variant"]]
        assert row.fingerprint == outcome.cell.run.fingerprint
        assert row.metrics["recall.rsum"] == outcome.result.figures["recall"]["values"]["rsum"]
        assert row.val_rsum == pytest.approx(outcome.result.val_rsum)
    assert check(folder) == []
    # A closed form has no curve; the two stages of `toy` have one title, and the first cell stands for it.
    assert set(read_curves(folder)["toys"]) == {"Toy", "Direct"}
    assert len(read_curves(folder)["toys"]["Toy"]) == 4

    shutil.rmtree(toy.home)
    (one,) = toy.execute(toy.plan(only={"variant": ["direct"]}))
    publish_rows([one], plan.runs, home=toy.home, folder=folder)
    assert set(read_curves(folder)["toys"]) == {"Toy", "Direct"}
    assert len(read_rows(folder / "results.jsonl")) == 4
