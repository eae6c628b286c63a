"""`harness plan`: what a matrix would do."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.console import emit, out, plain, say, table
from harness.cli.options import (
    Dataset,
    Home,
    Json,
    Limit,
    Matrix,
    Only,
    RequireAll,
    Seed,
    Strict,
    load_catalog,
    load_plan,
    load_registry,
    place,
)

if TYPE_CHECKING:
    from harness.plan import Plan


def plan(
    matrix: Matrix = "ablations",
    dataset: Dataset = None,
    only: Only = None,
    seed: Seed = None,
    limit: Limit = None,
    require_all: RequireAll = False,
    strict: Strict = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Print the cells of a matrix, the runs behind them and what is stored already; nothing is started."""
    where = place(home)
    made = load_plan(
        load_registry(),
        load_catalog(strict),
        where,
        matrix=matrix,
        dataset=dataset,
        only=only,
        seed=seed,
        limit=limit,
        require_all=require_all,
    )
    if as_json:
        emit(plan_json(made, where.home))
    else:
        print_plan(made, where.home)
        print_missing(made)


def plan_json(plan: Plan, home: Path) -> dict[str, Any]:
    """Return the plan as plain values."""
    from harness.store import Store

    store = Store(home)
    return {
        "cells": [
            {
                "labels": dict(cell.labels),
                "title": cell.title,
                "fingerprint": cell.run.fingerprint,
                "stored": store.finished(cell.run.fingerprint),
            }
            for cell in plan.cells
        ],
        "runs": [
            {"fingerprint": run.fingerprint, "parent": run.parent, "spec": run.as_dict()} for run in plan.runs
        ],
        "missing": missing_json(plan),
    }


def missing_json(plan: Plan) -> list[dict[str, Any]]:
    """Return the datasets that cannot be used as plain values."""
    return [dataclasses.asdict(entry) for entry in plan.missing]


def print_plan(plan: Plan, home: Path) -> None:
    """Print cells with their runs."""
    from harness.store import Store

    store = Store(home)
    axes = [axis for axis, _ in plan.cells[0].labels] if plan.cells else []
    rows: list[list[object]] = [
        [
            *(label for _, label in cell.labels),
            cell.title,
            cell.run.stage.epochs,
            cell.run.fingerprint,
            cell.run.parent or "–",
            "stored" if store.finished(cell.run.fingerprint) else "to do",
        ]
        for cell in plan.cells
    ]
    table("", [*axes, "method", "epochs", "run", "after", ""], rows)
    todo = sum(not store.finished(run.fingerprint) for run in plan.runs)
    out.print(
        plain(
            f"{len(plan.cells)} cells, {plan.summary.naive} trainings naively, {len(plan.runs)} distinct, {todo} to do"
        ),
        markup=False,
    )


def print_missing(plan: Plan) -> None:
    """Name the datasets that cannot be used, each with the reason and the command that prepares it."""
    for entry in plan.missing:
        say(f"not run: {entry.cells} cells on {entry.dataset}: {entry.reason}. To get them: {entry.command}")
