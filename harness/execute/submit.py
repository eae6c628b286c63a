"""Imported runs into leaderboard rows."""

from __future__ import annotations

from pathlib import Path

from harness.errors import InputError
from harness.execute.attempts import public
from harness.execute.rows import identities, intervals_of, keep_ranks, metrics_of
from harness.leaderboard import RESULTS, Ranks, Row, merge_rows, pages_of, read_rows, write
from harness.leaderboard.tables import IMPORTED
from harness.store import Result, Store


def publish_imported(result: Result, store: Store, folder: Path) -> list[Path]:
    """Put an imported run on the leaderboards, in place of an earlier import of its method; return its pages.

    Raises:
        InputError: if it is of another split than test.
    """
    row = row_of_imported(result)
    rows = merge_rows(folder / RESULTS, [row])
    ranks = Ranks(folder)
    keep_ranks(result.fingerprint, store, ranks)
    ranks.drop_orphans(rows)
    write(folder)
    return [folder / page for page in pages_of(row, rows)]


def replaced(result: Result, folder: Path) -> str:
    """Return the fingerprint of the run whose row an import takes the place of; empty if there is none."""
    cell = row_of_imported(result).cell
    old = next((row.fingerprint for row in read_rows(folder / RESULTS) if row.cell == cell), "")
    return "" if old == result.fingerprint else old


def row_of_imported(result: Result) -> Row:
    """Return the row of an imported run: what training cost stays unknown.

    Raises:
        InputError: if it is of another split than test.
    """
    spec = result.spec
    if spec["split"] != "test":
        raise InputError(
            f"run {result.fingerprint} is of split {spec['split']!r}; a leaderboard has test alone"
        )
    labels = {"dataset": result.dataset, "method": spec["method"]}
    if "seed" in spec:
        labels["seed"] = str(spec["seed"])
    return Row(
        matrix=IMPORTED,
        labels=labels,
        experiment=IMPORTED,
        title=spec["method"],
        visual=spec["visual"],
        textual=spec["textual"],
        dataset=result.dataset,
        dataset_title=spec["dataset"]["title"],
        fingerprint=result.fingerprint,
        passport=result.passport,
        seed=spec.get("seed", 0),
        metrics=metrics_of(result.figures),
        intervals=intervals_of(result.figures),
        val_rsum=None,
        images=result.images,
        captions=result.captions,
        parameters=None,
        train_seconds=None,
        peak_memory_bytes=None,
        epochs=None,
        best_epoch=None,
        hardware=result.provenance["hardware"],
        versions=dict(result.provenance["versions"]),
        command=public(result.provenance["command"]),
        date=result.provenance["finished"],
        source_revision=result.provenance["revision"],
        recipe=spec["recipe"],
        protocol=dict(result.protocol),
        evaluators=identities(result.figures),
        source=spec["source"],
    )
