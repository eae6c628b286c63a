"""`harness plan`: what a matrix would do."""

from __future__ import annotations

import dataclasses
import os
import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.console import busy, emit, log, out, plain, say, table
from harness.cli.device import check_device, check_numerics, device_for
from harness.cli.figures import duration, size
from harness.cli.options import (
    Compile,
    Dataset,
    Device,
    Home,
    Json,
    Limit,
    Matrix,
    Only,
    Place,
    Precision,
    RegistryFile,
    RequireAll,
    Seed,
    Strict,
    Threads,
    load_catalog,
    load_plan,
    load_registry,
    place,
)

if TYPE_CHECKING:
    from harness.catalog import Catalog
    from harness.execute.estimate import Estimate
    from harness.plan import Cell, Plan, RunSpec

NoEstimate = Annotated[
    bool, typer.Option("--no-estimate", help="Measure nothing: no estimate of time and disk.")
]


def plan(
    matrix: Matrix = "ablations",
    dataset: Dataset = None,
    only: Only = None,
    seed: Seed = None,
    limit: Limit = None,
    device: Device = "auto",
    precision: Precision = "32-true",
    compiled: Compile = "",
    threads: Threads = None,
    no_estimate: NoEstimate = False,
    require_all: RequireAll = False,
    strict: Strict = False,
    as_json: Json = False,
    registry_file: RegistryFile = None,
    home: Home = None,
) -> None:
    """Print the cells of a matrix, their runs, what is stored, and an estimate of time and disk from measured steps."""
    check_device(device)
    check_numerics(precision, compiled)
    where = place(home)
    with busy("reading the plugins and the plan ..."):
        catalog = load_catalog(strict)
        made = load_plan(
            load_registry(registry_file),
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
    estimate = None if no_estimate else _estimate(made, catalog, where, device, threads, compiled)
    if as_json:
        emit(plan_json(made, where.home, estimate))
    else:
        print_plan(made, where.home, estimate)
        print_missing(made)


def _estimate(
    plan: Plan, catalog: Catalog, where: Place, device: str, threads: int | None, compiled: str
) -> Estimate:
    from harness.cli.progress import describe
    from harness.execute import Workspace
    from harness.execute.estimate import estimate
    from harness.execute.provenance import default_threads

    wanted = {cell.run.fingerprint: cell for cell in reversed(plan.cells)}
    parts: Counter[str] = Counter()

    def tell(number: int, total: int, run: RunSpec) -> None:
        cell = wanted.get(run.fingerprint)
        say(f"measuring {number}/{total}: {describe(cell) if cell else f'parent run {run.fingerprint}'}")

    def tell_part(part: str) -> None:
        parts[part] += 1
        if status is not None:
            status.update(plain(part))

    workspace = Workspace(
        home=where.home,
        data=where.data,
        catalog=catalog,
        device=device_for(device, plan, where.home),
        threads=threads or default_threads(),
        compile=compiled,
    )
    load, begun = os.getloadavg()[0], time.monotonic()
    with log.status("") if log.is_terminal else nullcontext() as status:
        found = estimate(plan, workspace, tell, tell_part)
    if parts:
        told = ", ".join(f"{part} {count}x" for part, count in parts.items())
        say(f"measured in {duration(time.monotonic() - begun)}: {told}")
    if found.measured and load > default_threads() / 2:
        say(
            f"the machine was busy before (load {load:.1f} on {default_threads()} cores): an idle one is faster",
            style="yellow",
        )
    return found


def plan_json(plan: Plan, home: Path, estimate: Estimate | None = None) -> dict[str, Any]:
    """Return the plan as plain values."""
    from harness.store import Store

    store = Store(home)
    extra = {} if estimate is None else {"estimate": _estimate_json(estimate)}
    return {
        **extra,
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


def _estimate_json(estimate: Estimate) -> dict[str, Any]:
    figures = ("seconds", "feature_seconds", "shared_seconds", "bytes", "needed_bytes", "free_bytes")
    counts = ("unknown", "measured", "stored")
    return {
        **{name: getattr(estimate, name) for name in (*figures, *counts)},
        "runs": {name: dataclasses.asdict(run) for name, run in estimate.runs.items()},
    }


def missing_json(plan: Plan) -> list[dict[str, Any]]:
    """Return the datasets that cannot be used as plain values."""
    return [dataclasses.asdict(entry) for entry in plan.missing]


def print_plan(plan: Plan, home: Path, estimate: Estimate | None = None) -> None:
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
            _state(cell, store.finished(cell.run.fingerprint), estimate),
        ]
        for cell in plan.cells
    ]
    columns = [*axes, "method", "epochs", "run", "after", "" if estimate is None else "estimate"]
    table("", columns, rows, whole=("run", "after"))
    todo = sum(not store.finished(run.fingerprint) for run in plan.runs)
    _line(
        f"{len(plan.cells)} cells, {plan.summary.naive} trainings naively, {len(plan.runs)} distinct, {todo} to do"
    )
    if estimate is not None and todo:
        _print_estimate(estimate, home)


def _state(cell: Cell, stored: bool, estimate: Estimate | None) -> str:
    """Return whether a cell's run is stored, or what it takes, after a plus behind what its parent takes first."""
    if stored or estimate is None:
        return "stored" if stored else "to do"
    own = estimate.runs[cell.run.fingerprint]
    before = estimate.runs.get(cell.run.parent or "")
    if own.seconds is None:
        return "–"
    told = duration(own.seconds)
    return told if before is None or before.seconds is None else f"{duration(before.seconds)} + {told}"


def _print_estimate(estimate: Estimate, home: Path) -> None:
    """Print sums, how they were come by, and what could not be told."""
    known = len(estimate.runs) - estimate.unknown
    if known:
        features = estimate.feature_seconds
        _line(
            f"estimate for {known} of them: {duration(estimate.seconds)}"
            + (f", of it {duration(features)} for cached features and images" if features else "")
            + f"; sharing saves {duration(estimate.shared_seconds)} of training"
        )
        _line(
            f"estimate of disk: {size(estimate.bytes)}, while training up to {size(estimate.needed_bytes)}; "
            f"{size(estimate.free_bytes)} are free"
        )
        _line(
            f"from steps of {estimate.measured} combinations measured now, and from finished runs of "
            f"{estimate.stored}; early stopping, and what losses compute of features, are not foreseen"
        )
    if estimate.needed_bytes > estimate.free_bytes:
        say(f"the disk of {home} will not do: {size(estimate.needed_bytes)} are needed", style="bold yellow")
    reasons: dict[str, list[str]] = {}
    for fingerprint, run in estimate.runs.items():
        if run.reason:
            reasons.setdefault(run.reason, []).append(fingerprint)
    for reason, runs in reasons.items():
        say(f"no estimate (–) for {', '.join(runs)}: {reason}", style="yellow")


def _line(text: str) -> None:
    out.print(plain(text), markup=False, soft_wrap=True)


def print_missing(plan: Plan) -> None:
    """Name the datasets that cannot be used, each with the reason and the command that prepares it."""
    for entry in plan.missing:
        say(f"not run: {entry.cells} cells on {entry.dataset}: {entry.reason}. To get them: {entry.command}")
