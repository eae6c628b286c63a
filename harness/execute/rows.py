"""Outcomes into leaderboard rows and learning curves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.execute.outcome import Outcome
from harness.leaderboard import Row, merge_rows, read_rows, write, write_curves
from harness.store import Store

ROWS = "results.jsonl"


def publish_rows(outcomes: Sequence[Outcome], *, home: Path, folder: Path) -> list[Path]:
    """Merge measured cells into `folder`, redraw learning curves and tables; return the files that changed.

    Args:
        outcomes: cells of whole runs; those without a result are passed over.
        folder: the leaderboards; ``results.jsonl`` in it is their source.
    """
    done = [outcome for outcome in outcomes if outcome.result is not None]
    folder.mkdir(parents=True, exist_ok=True)
    merge_rows(folder / ROWS, [row_of(outcome) for outcome in done])
    store = Store(home)
    for dataset in sorted({outcome.cell.run.dataset.name for outcome in done}):
        # Every curve of the dataset that the committed rows still speak of, not only those of this command.
        stored = [row for row in read_rows(folder / ROWS) if row.dataset == dataset]
        first = {row.title: row for row in reversed(stored) if store.finished(row.fingerprint)}
        histories = {title: _history(store, row.fingerprint) for title, row in sorted(first.items())}
        trained = {title: rows for title, rows in histories.items() if len(rows) > 1}
        if trained:
            write_curves(folder, dataset, trained)
    return write(folder)


def row_of(outcome: Outcome) -> Row:
    """Return the leaderboard row of a cell that has a result."""
    cell, result = outcome.cell, outcome.result
    if result is None:
        raise ValueError("a failed cell has no row")
    metrics = {
        f"{evaluator.name}.{figure}": float(value)
        for evaluator in cell.evaluators
        for figure, value in result.figures[evaluator.name]["values"].items()
    }
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
        metrics=metrics,
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
        command=result.provenance["command"],
        date=result.provenance["finished"],
        source_revision=result.provenance["revision"],
        recipe=replace(cell.run, seed=0, parent=None).fingerprint,
        limit=result.limit,
    )


def _history(store: Store, fingerprint: str) -> list[dict[str, float]]:
    text = store.checked(fingerprint, "history.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
