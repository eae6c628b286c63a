"""`harness run`: train and evaluate a matrix, render the leaderboards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.console import busy, emit
from harness.cli.means import Accumulate, Address, Devices, Executor, Means, StalledAfter
from harness.cli.options import (
    Compile,
    Dataset,
    Device,
    Home,
    Json,
    Limit,
    Matrix,
    Only,
    Precision,
    RegistryFile,
    RequireAll,
    Seed,
    Strict,
    Threads,
    leaderboards,
    load_catalog,
    load_plan,
    load_registry,
    place,
)

if TYPE_CHECKING:
    from harness.execute import Outcome
    from harness.plan import Plan
    from harness.registry import Registry

DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")]
Force = Annotated[bool, typer.Option("--force", help="Train again even what is stored.")]
FailFast = Annotated[
    bool, typer.Option("--fail-fast", help="Begin no other cell once one failed; the default goes on.")
]


def run(
    matrix: Matrix = "ablations",
    dataset: Dataset = None,
    only: Only = None,
    seed: Seed = None,
    device: Device = "auto",
    devices: Devices = 1,
    executor: Executor = "local",
    address: Address = "",
    precision: Precision = "32-true",
    compiled: Compile = "",
    accumulate: Accumulate = "1",
    limit: Limit = None,
    dry_run: DryRun = False,
    force: Force = False,
    require_all: RequireAll = False,
    fail_fast: FailFast = False,
    stalled_after: StalledAfter = None,
    strict: Strict = False,
    threads: Threads = None,
    as_json: Json = False,
    registry_file: RegistryFile = None,
    home: Home = None,
) -> None:
    """Train and evaluate the cells of a matrix and render the leaderboards; what is stored is not done again."""
    from harness.cli.plan import missing_json, plan_json, print_missing, print_plan
    from harness.cli.summary import Asked, cell_json, print_failures, print_summary

    means = Means(
        device=device,
        devices=devices,
        precision=precision,
        compile=compiled,
        accumulate=accumulate,
        threads=threads,
        executor=executor,
        address=address,
        force=force,
        fail_fast=fail_fast,
        stalled_after=stalled_after,
    )
    means.check()
    where = place(home)
    with busy("reading the plugins and the plan ..."):
        registry, catalog = load_registry(registry_file), load_catalog(strict)
        plan = load_plan(
            registry,
            catalog,
            where,
            matrix=matrix,
            dataset=dataset,
            only=only,
            seed=seed,
            limit=limit,
            precision=precision,
            require_all=require_all,
        )
        if not dry_run:
            import harness.execute  # noqa: F401 - takes seconds, too
    if dry_run:
        emit(plan_json(plan, where.home)) if as_json else print_plan(plan, where.home)
        return
    asked = Asked(
        matrix=matrix,
        dataset=bool(dataset),
        seed=bool(seed),
        options={
            "limit": limit,
            "device": None if device == "auto" else device,
            "devices": None if devices == 1 else devices,
            "executor": None if executor == "local" else executor,
            "address": address,
            "precision": None if precision == "32-true" else precision,
            "compile": compiled,
            "accumulate": None if accumulate == "1" else accumulate,
            "threads": threads,
            "stalled-after": stalled_after,
            "force": force,
            "strict": strict,
            "registry": registry_file,
            "home": home,
        },
    )
    outcomes = means.execute(plan, catalog, where)
    try:
        tables = _render(plan, outcomes, registry, where.home)
    except BaseException:
        print_failures(asked, outcomes)  # nobody learns of them else
        raise
    if as_json:
        emit(
            {
                "matrix": matrix,
                "cells": [cell_json(o, asked) for o in outcomes],
                "leaderboards": [str(t) for t in tables],
                "missing": missing_json(plan),
            }
        )
    elif outcomes:
        print_summary(asked, outcomes, tables)
    print_missing(plan)
    if any(outcome.status == "failed" for outcome in outcomes):
        raise typer.Exit(1)


def _render(plan: Plan, outcomes: Sequence[Outcome], registry: Registry, home: Path) -> list[Path]:
    from harness.execute.rows import publish_rows

    kept = [outcome for outcome in outcomes if outcome.cell.leaderboard and outcome.cell.run.limit is None]
    if not any(outcome.result or outcome.status == "failed" for outcome in kept):
        return []
    folder = leaderboards(registry)
    return publish_rows(kept, plan.runs, home=home, folder=folder)
