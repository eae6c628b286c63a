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

from harness.cli.console import emit, out, plain, say, table
from harness.cli.device import check_device, check_numerics, device_for
from harness.cli.figures import RECALLS, duration, percent
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
    strict: Strict = False,
    threads: Threads = None,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Train and evaluate the cells of a matrix and render the leaderboards; what is stored is not done again."""
    from harness.cli.plan import missing_json, plan_json, print_missing, print_plan

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
    outcomes = _execute(plan, catalog, where, device, threads, compiled, force)
    tables = _render(plan, outcomes, registry, where.home)
    if as_json:
        emit(
            {
                "matrix": matrix,
                "cells": [_cell_json(o) for o in outcomes],
                "leaderboards": [str(t) for t in tables],
                "missing": missing_json(plan),
            }
        )
    elif outcomes:
        _summary(matrix, outcomes, tables)
    print_missing(plan)
    if any(outcome.status == "failed" for outcome in outcomes):
        raise typer.Exit(1)


def _execute(
    plan: Plan, catalog: Any, where: Any, device: str, threads: int | None, compiled: str, force: bool
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
            return execute(plan, workspace, listener=watcher, force=force)
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


def _cell_json(outcome: Outcome) -> dict[str, Any]:
    result = outcome.result
    return {
        "labels": dict(outcome.cell.labels),
        "fingerprint": outcome.cell.run.fingerprint,
        "status": outcome.status,
        "error": outcome.error,
        "seconds": round(outcome.seconds, 3),
        "val_rsum": result.val_rsum if result else None,
        "figures": {name: dict(f["values"]) for name, f in result.figures.items()} if result else {},
    }


def _summary(matrix: str, outcomes: Sequence[Outcome], tables: Sequence[Path]) -> None:
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    for outcome in failed:
        labels = " ".join(shlex.quote(f"--only={axis}={label}") for axis, label in outcome.cell.labels)
        say(f"failed: {', '.join('='.join(pair) for pair in outcome.cell.labels)}", style="bold red")
        say(f"  cause: {outcome.error}\n  traceback: {outcome.traceback}")
        say(f"  alone: harness run --matrix {matrix} {labels}")
    # An axis on which all cells agree goes into the title.
    seen = {axis: {dict(o.cell.labels)[axis] for o in outcomes} for axis, _ in outcomes[0].cell.labels}
    axes = [axis for axis, labels in seen.items() if len(labels) > 1]
    rows = []
    for outcome in [*failed, *(o for o in outcomes if o.status != "failed")]:
        figures = outcome.result.figures if outcome.result else {}
        rows.append(
            [dict(outcome.cell.labels)[axis] for axis in axes]
            + [percent(figures, "recall", name) for name in RECALLS]
            + [percent(figures, "recall", "rsum", scale=1.0), outcome.status, duration(outcome.seconds)]
        )
    limit = outcomes[0].cell.run.limit
    fixed = [f"{axis} {next(iter(labels))}" for axis, labels in seen.items() if axis not in axes]
    title = ", ".join(
        [f"{matrix}: recall in %", *fixed, *([f"first {limit} images of each split"] if limit else [])]
    )
    columns = [*axes, "i2t R@1", "R@5", "R@10", "t2i R@1", "R@5", "R@10", "rSum", "", "time"]
    table(title, columns, rows, numeric=len(axes))
    done = [outcome for outcome in outcomes if outcome.result]
    if tables:
        out.print(
            plain(f"leaderboards: {', '.join(str(path) for path in tables)}"), markup=False, soft_wrap=True
        )
    if done:
        say(
            f"next: harness show {done[0].cell.run.fingerprint}    (history, costs and provenance of the first cell)"
        )
