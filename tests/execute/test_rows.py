"""Results become leaderboard rows: seeds of one recipe, and curves that outlive the store."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.execute.attempts import public
from harness.execute.rows import publish_rows, recipes
from harness.leaderboard import RESULTS, check, read_attempts, read_curves, read_rows

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
    # A closed form has no curve; the second stage comes with the first, which another cell has, too.
    plain, after = rows["plain"].fingerprint, rows["after"].fingerprint
    curves = {curve.run: curve for curve in read_curves(folder)["toys"]}
    assert curves.keys() == {plain, rows["direct"].fingerprint, after}
    assert [stage.run for stage in curves[after].stages] == [plain, after]
    assert [len(stage.rows) for stage in curves[after].stages] == [4, 2]
    stored = (toy.home / "runs" / after / "history.jsonl").read_text(encoding="utf-8").splitlines()
    assert curves[after].stages[1].rows[0]["loss"] == pytest.approx(json.loads(stored[0])["loss"], rel=1e-5)

    shutil.rmtree(toy.home)
    (one,) = toy.execute(toy.plan(only={"variant": ["direct"]}))
    publish_rows([one], plan.runs, home=toy.home, folder=folder)
    assert {curve.run for curve in read_curves(folder)["toys"]} == curves.keys()
    assert len(read_rows(folder / "results.jsonl")) == 4


def test_a_first_stage_that_is_not_at_hand_is_left_out(toy: Any, tmp_path: Path) -> None:
    plan = toy.plan(only={"variant": ["after"]})
    (outcome,) = toy.execute(plan)
    run = outcome.cell.run
    history = toy.home / "runs" / str(run.parent) / "history.jsonl"
    text = history.read_bytes()

    def stages(folder: Path) -> list[str]:
        publish_rows([outcome], plan.runs, home=toy.home, folder=folder)
        (curve,) = read_curves(folder)["toys"]
        return [stage.run for stage in curve.stages]

    kept = tmp_path / "kept"
    assert stages(kept) == [run.parent, run.fingerprint]
    history.write_bytes(text + b"{}\n")
    assert stages(tmp_path / "damaged") == [run.fingerprint]
    history.unlink()
    assert stages(tmp_path / "fresh") == [run.fingerprint]
    # What a curve holds already stands in.
    assert stages(kept) == [run.parent, run.fingerprint]


def test_a_method_keeps_the_curve_of_its_lowest_seed(toy: Any, tmp_path: Path) -> None:
    plan = toy.plan(matrix="seeds")
    outcomes = toy.execute(plan)
    folder = tmp_path / "leaderboards"
    by_seed = {outcome.cell.run.seed: outcome for outcome in outcomes}
    for seeds, shown in (((1,), 1), ((1, 0), 0), ((1,), 0)):
        publish_rows([by_seed[seed] for seed in seeds], plan.runs, home=toy.home, folder=folder)
        (curve,) = read_curves(folder)["toys"]
        assert curve.run == by_seed[shown].cell.run.fingerprint


@pytest.mark.parametrize(
    "command",
    [
        "harness run --home '/secret place' --matrix one",
        "harness run --home='/secret place' --matrix one",
        "harness run --matrix one --home /secret",
        "harness run --matrix one",
    ],
)
def test_a_row_does_not_tell_where_the_store_lies(command: str) -> None:
    assert public(command) == "harness run --matrix one"


@pytest.mark.parametrize("form", ["--registry {0}", "--registry={0}", "--registry '{0} b'"])
def test_a_row_does_not_tell_the_folder_of_its_user(form: str) -> None:
    own = Path.home() / "registry.yaml"
    assert public(f"harness run {form.format(own)}") == f"harness run {form.format('~/registry.yaml')}"
    for other in (f"{Path.home()}a/b", f"/data{Path.home()}/b"):
        assert public(f"harness run --registry {other}") == f"harness run --registry {other}"


def test_a_word_that_is_no_utf8_costs_no_row(toy: Any, tmp_path: Path) -> None:
    plan = toy.plan(
        ("direct: {experiment: direct}", "direct: {text.fault: raises}"),
        only={"variant": ["plain", "direct"]},
    )
    command = "harness run --registry " + os.fsdecode(b"caf\xe9.yaml")
    outcomes = [
        replace(
            outcome,
            result=outcome.result
            and replace(outcome.result, provenance={**outcome.result.provenance, "command": command}),
            provenance={**outcome.provenance, "command": command},
        )
        for outcome in toy.execute(plan)
    ]
    publish_rows(outcomes, plan.runs, home=toy.home, folder=tmp_path)
    (row,), (attempt,) = read_rows(tmp_path / RESULTS), read_attempts(tmp_path / RESULTS)
    assert row.command == attempt.last.command == r"harness run --registry 'caf\udce9.yaml'"


def test_not_even_an_error_of_no_kind_that_we_know_hides_a_failure(
    invoke: Callable[..., tuple[int, str, str]],
    toy_registry: Callable[..., Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    toy_registry(
        ("    leaderboard: false\n    axes:\n      variant", "    axes:\n      variant"),
        ("direct: {experiment: direct}", "direct: {text.fault: raises}"),
    )
    run = ("run", "--device", "cpu", "--threads", "1", "--matrix", "whole")
    (tmp_path / "registry" / "leaderboards" / "README.md").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        invoke(*run, "--home", str(tmp_path / "home"), "--only", "variant=direct")
    err = capfd.readouterr().err
    assert "cause: ZeroDivisionError: boom in forward" in err
    assert "alone: harness run" in err


def test_quotes_of_a_command_stay() -> None:
    assert public("harness run --only 'variant=a b' --seed 0") == "harness run --only 'variant=a b' --seed 0"
