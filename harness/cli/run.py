"""`harness run`: train and evaluate a matrix, render the leaderboards."""

from __future__ import annotations

import re
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.console import emit, out, plain, say, table
from harness.cli.figures import RECALLS, duration, percent
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

Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
Threads = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="CPU threads (default: the cores there are).", show_default=False),
]
Precision = Annotated[
    str, typer.Option("--precision", help="32-true, or bf16-mixed: forward passes of training in bfloat16.")
]
Compile = Annotated[
    str,
    typer.Option(
        "--compile", help="Backend of torch.compile for training, such as inductor.", show_default=False
    ),
]
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

    _check_device(device)
    _check_numerics(precision, compiled)
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
        device=_device(device, plan, where.home, force),
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


def _check_device(wanted: str) -> None:
    from harness.errors import InputError, nearest

    if not re.fullmatch(r"auto|cpu|cuda(:(0|[1-9][0-9]*))?", wanted):
        raise InputError(
            f"no device {wanted!r}{nearest(wanted, ('auto', 'cpu', 'cuda', 'cuda:0'))}",
            hint="Use auto, cpu, cuda or cuda:N; see `harness doctor`.",
        )


def _check_numerics(precision: str, compiled: str) -> None:
    from harness.errors import InputError, nearest
    from harness.step import Numerics

    Numerics(precision=precision)
    if compiled:
        import torch

        known = [*torch.compiler.list_backends(), "eager", "aot_eager"]
        if compiled not in known:
            raise InputError(
                f"torch {torch.__version__} has no compiler {compiled!r}{nearest(compiled, known)}"
            )


def _device(wanted: str, plan: Plan, home: Path, force: bool) -> str:
    """Resolve `auto`; a plan that is stored whole needs no torch to find out."""
    from harness.errors import InputError
    from harness.store import Store

    if not force and all(Store(home).finished(run.fingerprint) for run in plan.runs):
        return "cpu"
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted != "cpu" and int(wanted.partition(":")[2] or 0) >= there:
        raise InputError(f"device {wanted!r} is not there", hint="Use --device cpu, or see `harness doctor`.")
    return wanted


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
