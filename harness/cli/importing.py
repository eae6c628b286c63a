"""`harness import`: embeddings or ranks of another code, scored and put beside the others."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.completion import complete_dataset, complete_evaluator
from harness.cli.console import emit, out, plain, say, table
from harness.cli.options import (
    Home,
    Json,
    RegistryFile,
    Strict,
    leaderboards,
    load_catalog,
    load_registry,
    place,
)

if TYPE_CHECKING:
    from harness.catalog import Catalog
    from harness.execute.imported import Imported
    from harness.store import Result


def import_file(
    file: Annotated[
        Path,
        typer.Argument(help="embeddings.safetensors or .npz, or ranks.parquet, with the ids of their rows."),
    ],
    method: Annotated[str, typer.Option("--as", help="Name of the method in tables.")],
    dataset: Annotated[
        str,
        typer.Option("--dataset", "-d", help="The dataset, prepared here.", autocompletion=complete_dataset),
    ],
    visual: Annotated[str, typer.Option("--visual", help="Its image path, for tables.")] = "",
    textual: Annotated[str, typer.Option("--textual", help="Its text path, for tables.")] = "",
    source: Annotated[
        str, typer.Option("--source", help="Where it comes from: an address, a paper, a person.")
    ] = "",
    split: Annotated[
        str, typer.Option("--split", help="The split; only test reaches a leaderboard.")
    ] = "test",
    seed: Annotated[
        int | None,
        typer.Option("--seed", help="Seed, where several of one method are imported.", show_default=False),
    ] = None,
    evaluator: Annotated[
        list[str] | None,
        typer.Option(
            "--evaluator",
            "-e",
            help="An evaluator of registry.yaml; may be repeated. Without it, those of the experiments.",
            show_default=False,
            autocompletion=complete_evaluator,
        ),
    ] = None,
    leaderboard: Annotated[
        bool, typer.Option("--leaderboard/--no-leaderboard", help="Put a row on the leaderboards.")
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and score; store nothing.")] = False,
    strict: Strict = False,
    as_json: Json = False,
    registry_file: RegistryFile = None,
    home: Home = None,
) -> None:
    """Score embeddings or ranks that another code wrote; ids are checked and order is never assumed."""
    from harness.durable import Waiting, hold
    from harness.execute import Workspace
    from harness.execute.imported import Submission, examine, keep
    from harness.execute.provenance import default_threads, source_revision
    from harness.store import Store

    where, registry = place(home), load_registry(registry_file)
    workspace = Workspace(
        home=where.home,
        data=where.data,
        catalog=load_catalog(strict),
        device="cpu",
        threads=default_threads(),
        command=_command(file),
        revision=source_revision(),
    )
    given = Submission(
        file=file,
        method=method,
        dataset=dataset,
        split=split,
        visual=visual,
        textual=textual,
        source=source,
        seed=seed,
    )
    imported = examine(given, registry, workspace, list(dict.fromkeys(evaluator or ())))
    pages: list[Path] = []
    if not dry_run:
        store = Store(where.home)
        with hold(
            where.home,
            imported.result.fingerprint,
            Waiting(lambda owner: say(f"waiting for {owner}"), lambda: 0),
        ):
            keep(imported, store)
        if leaderboard and split == "test":
            pages = _publish(imported.result, store, leaderboards(registry))
    if as_json:
        emit(_json(imported, pages))
    else:
        _print(imported.result, workspace.catalog, pages)
    for note in imported.notes:
        say(f"note: {note}")
    if not dry_run:
        say(f"next: harness show {imported.result.fingerprint}")


def _publish(result: Result, store: Any, folder: Path) -> list[Path]:
    from harness.execute.submit import publish_imported, replaced

    if old := replaced(result, folder):
        say(f"note: its row takes the place of that of run {old}, an import of the same name")
    return publish_imported(result, store, folder)


def _command(file: Path) -> str:
    """Return the command line for the record; in which folder the file lay is nobody's business."""
    words = [file.name if Path(word) == file else word for word in sys.argv[1:]]
    return shlex.join(["harness", *words])


def _print(result: Result, catalog: Catalog, pages: Sequence[Path]) -> None:
    from harness.cli.scores import listed, units
    from harness.execute.ranked import passport_of

    rows = listed(result.figures, units(catalog, result.images, result.captions))
    table(f"{result.spec['method']} on {result.dataset}", ["figure", "value"], rows, numeric=1)
    size = f"{result.images:,} images, {result.captions:,} captions"
    lines = [
        f"run {result.fingerprint}: {size}, passport {passport_of(result)}",
        *(f"its row stands in {path}" for path in pages),
    ]
    out.print(plain("\n".join(lines)), markup=False, soft_wrap=True)


def _json(imported: Imported, pages: list[Path]) -> dict[str, Any]:
    from harness.execute.ranked import passport_of

    result = imported.result
    return {
        "run": result.fingerprint,
        "method": result.spec["method"],
        "dataset": result.dataset,
        "passport": passport_of(result),
        "protocol": dict(result.protocol),
        "figures": {name: dict(entry["values"]) for name, entry in result.figures.items()},
        "notes": list(imported.notes),
        "leaderboards": [str(path) for path in pages],
    }
