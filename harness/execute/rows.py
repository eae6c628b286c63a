"""Outcomes into leaderboard rows and learning curves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.execute.attempts import attempt_of, public
from harness.execute.efficiency import MEASURED
from harness.execute.outcome import Outcome
from harness.leaderboard import (
    RESULTS,
    Curve,
    History,
    Ranks,
    Row,
    grouped,
    merge_attempts,
    owned,
    read_curves,
    write,
    write_curves,
)
from harness.plan import RunSpec
from harness.queries import FILE
from harness.store import Store

SIZES = ("image_parameters", "text_parameters")

Figures = Mapping[str, Mapping[str, Any]]
"""Of a result: evaluator -> component, revision, parameters and values."""


def publish_rows(
    outcomes: Sequence[Outcome], runs: Sequence[RunSpec], *, home: Path, folder: Path
) -> list[Path]:
    """Merge measured and failed cells into `folder`, redraw learning curves and tables; return the files that changed.

    Args:
        outcomes: cells of whole runs; those that failed are kept without figures, those not begun are passed over.
        runs: the plan's runs, each after its parent.
        folder: the leaderboards; ``results.jsonl`` in it is their source.
    """
    done = [outcome for outcome in outcomes if outcome.result is not None]
    recipe = recipes(runs)
    failed = [attempt_of(outcome, recipe, home) for outcome in outcomes if outcome.status == "failed"]
    rows = merge_attempts(folder / RESULTS, [row_of(outcome, recipe) for outcome in done], failed)
    store, kept = Store(home), read_curves(folder)
    ranks = Ranks(folder)
    for outcome in done:
        keep_ranks(outcome.cell.run.fingerprint, store, ranks)
    ranks.drop_orphans(rows)
    for dataset in sorted({outcome.cell.run.dataset.name for outcome in done}):
        # A curve stays as long as a row speaks of it, also when its run lies in another store.
        old = kept.get(dataset, ())
        chains = _Chains(store, {run.fingerprint: run for run in runs}, old)
        own = [outcome for outcome in done if outcome.cell.run.dataset.name == dataset]
        first = {recipe[o.cell.run.fingerprint]: o for o in sorted(own, key=lambda o: -o.cell.run.seed)}
        fresh = [chains.curve(outcome) for outcome in first.values()]
        groups = grouped(row for row in rows if row.dataset == dataset)
        curves = [curve for _, curve in owned(groups, [*old, *fresh]) if curve.epochs > 1]
        if curves:
            write_curves(folder, dataset, curves)
    return write(folder)


def keep_ranks(fingerprint: str, store: Store, ranks: Ranks) -> None:
    """Put the ranks of a stored run beside the rows, where it has any."""
    if (store.folder(fingerprint) / FILE).is_file():
        ranks.keep(fingerprint, store.checked(fingerprint, FILE).read_bytes())


def recipes(runs: Sequence[RunSpec]) -> dict[str, str]:
    """Return the fingerprint of each run without seeds, its own and those of the runs that it starts from."""
    found: dict[str, str] = {}
    for run in runs:
        parent = found[run.parent] if run.parent is not None else None
        found[run.fingerprint] = replace(run, seed=0, parent=parent).fingerprint
    return found


def row_of(outcome: Outcome, recipe: Mapping[str, str]) -> Row:
    """Return the leaderboard row of a cell that has a result; `recipe` is that of `recipes`."""
    cell, result = outcome.cell, outcome.result
    if result is None:
        raise ValueError("a failed cell has no row")
    shown = {evaluator.name: result.figures[evaluator.name] for evaluator in cell.evaluators}
    return Row(
        matrix=cell.matrix,
        labels=dict(cell.labels),
        experiment=cell.experiment,
        title=cell.title,
        visual=cell.visual,
        textual=cell.textual,
        dataset=cell.run.dataset.name,
        dataset_title=cell.run.dataset.title,
        fingerprint=result.fingerprint,
        passport=result.passport,
        seed=cell.run.seed,
        metrics=metrics_of(shown),
        intervals=intervals_of(shown),
        val_rsum=result.val_rsum,
        images=result.images,
        captions=result.captions,
        parameters=int(result.cost["parameters"]),
        train_seconds=float(result.cost["train_seconds"]),
        peak_memory_bytes=int(result.cost["peak_memory_bytes"]),
        epochs=result.epochs,
        best_epoch=result.best_epoch,
        hardware=result.provenance["hardware"],
        versions=dict(result.provenance["versions"]),
        command=public(result.provenance["command"]),
        date=result.provenance["finished"],
        source_revision=result.provenance["revision"],
        recipe=recipe[result.fingerprint],
        protocol=dict(result.protocol),
        evaluators=identities(shown),
        efficiency=efficiency_of(result.cost),
        limit=result.limit,
    )


def efficiency_of(cost: Mapping[str, float]) -> dict[str, float]:
    """Return what a result tells of both encoders, whatever of it there is."""
    return {key: float(cost[key]) for key in (*SIZES, *MEASURED) if key in cost}


def metrics_of(figures: Figures) -> dict[str, float]:
    """Return the figures of a result's evaluators as a row has them: ``<evaluator>.<figure>``."""
    return {
        f"{name}.{figure}": float(value)
        for name, entry in figures.items()
        for figure, value in entry["values"].items()
    }


def intervals_of(figures: Figures) -> dict[str, tuple[float, float]]:
    """Return the intervals that a result keeps, by the names of `metrics_of`; older results keep none."""
    return {
        f"{name}.{figure}": (float(low), float(high))
        for name, entry in figures.items()
        for figure, (low, high) in entry.get("intervals", {}).items()
    }


def identities(figures: Figures) -> dict[str, str]:
    """Name each evaluator of a result with all that changes its figures, for people and for comparison."""
    return {name: _identity(entry) for name, entry in figures.items()}


def _identity(entry: Mapping[str, Any]) -> str:
    settings = ", ".join(f"{key}: {json.dumps(value)}" for key, value in sorted(entry["params"].items()))
    labels = f", labels {entry['labels']}" if entry.get("labels") else ""
    return f"{entry['use']} {entry['revision']}" + (f" ({settings})" if settings else "") + labels


class _Chains:
    """Histories of runs with those of the stages that they start from, as far as these are at hand.

    Args:
        runs: by fingerprint.
        old: curves whose histories stand in where the store has none.
    """

    def __init__(self, store: Store, runs: Mapping[str, RunSpec], old: Sequence[Curve]) -> None:
        self.store, self.runs = store, runs
        self.old = {stage.run: stage for curve in old for stage in curve.stages}

    def curve(self, outcome: Outcome) -> Curve:
        """Return the learning curve of a cell that is done."""
        spec = outcome.cell.run
        stages, parent = [self._read(spec.fingerprint)], spec.parent
        while parent is not None:
            if not self.store.damage(parent, ("history.jsonl",)):
                stages.insert(0, self._read(parent))
            elif parent in self.old:
                stages.insert(0, self.old[parent])
            else:
                break
            parent = self.runs[parent].parent if parent in self.runs else None
        return Curve(title=outcome.cell.title, stages=tuple(stages))

    def _read(self, fingerprint: str) -> History:
        text = self.store.checked(fingerprint, "history.jsonl").read_text(encoding="utf-8")
        return History(run=fingerprint, rows=[json.loads(line) for line in text.splitlines()])
