"""`harness run`: train and evaluate a matrix, render the leaderboards."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.console import emit, say
from harness.cli.device import check_device, check_numerics, device_for
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


class Stopper:
    """Turns the first SIGINT or SIGTERM into a checkpoint and a clean end, the second into an end at once."""

    def __init__(self) -> None:
        self.signal = 0

    def install(self) -> None:
        """Take over both signals."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.signal:
            raise KeyboardInterrupt
        self.signal = number
        say("stopping at the next checkpoint; once more to stop at once", style="yellow")


def run(
    matrix: Matrix = "ablations",
    dataset: Dataset = None,
    only: Only = None,
    seed: Seed = None,
    device: Device = "auto",
    precision: Precision = "32-true",
    compiled: Compile = "",
    limit: Limit = None,
    dry_run: DryRun = False,
    force: Force = False,
    require_all: RequireAll = False,
    fail_fast: FailFast = False,
    strict: Strict = False,
    threads: Threads = None,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Train and evaluate the cells of a matrix and render the leaderboards; what is stored is not done again."""
    from harness.cli.plan import missing_json, plan_json, print_missing, print_plan
    from harness.cli.summary import Asked, cell_json, print_summary

    check_device(device)
    check_numerics(precision, compiled)
    where = place(home)
    registry, catalog = load_registry(), load_catalog(strict)
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
            "precision": None if precision == "32-true" else precision,
            "compile": compiled,
            "threads": threads,
            "force": force,
            "strict": strict,
            "home": home,
        },
    )
    outcomes = _execute(plan, catalog, where, device, threads, compiled, force, fail_fast)
    tables = _render(plan, outcomes, registry, where.home)
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


def _execute(
    plan: Plan,
    catalog: Any,
    where: Any,
    device: str,
    threads: int | None,
    compiled: str,
    force: bool,
    fail_fast: bool,
) -> tuple[Outcome, ...]:
    from harness.cli.progress import Watcher
    from harness.errors import Interrupted
    from harness.execute import Workspace, execute
    from harness.execute.provenance import default_threads, source_revision

    stopper = Stopper()
    stopper.install()
    workspace = Workspace(
        home=where.home,
        data=where.data,
        catalog=catalog,
        device=device_for(device, plan, where.home, force=force),
        threads=threads or default_threads(),
        compile=compiled,
        command=shlex.join(["harness", *sys.argv[1:]]),
        revision=source_revision(),
        stopping=lambda: stopper.signal,
    )
    try:
        with Watcher() as watcher:
            return execute(plan, workspace, listener=watcher, force=force, fail_fast=fail_fast)
    except Interrupted as stop:
        say("stopped; the same command goes on from the last checkpoint", style="yellow")
        raise typer.Exit(128 + stop.signal) from stop


def _render(plan: Plan, outcomes: Sequence[Outcome], registry: Registry, home: Path) -> list[Path]:
    from harness.execute.rows import publish_rows

    kept = [outcome for outcome in outcomes if outcome.cell.leaderboard and outcome.cell.run.limit is None]
    if not any(outcome.result for outcome in kept):
        return []
    folder = leaderboards(registry)
    return publish_rows(kept, plan.runs, home=home, folder=folder)
