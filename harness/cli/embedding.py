"""`harness bench embedding`: what embedding takes of stored runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.bench_options import BenchDevice, BenchThreads, workspace_of
from harness.cli.console import emit, say, table
from harness.cli.device import check_device
from harness.cli.options import (
    Home,
    Json,
    RegistryFile,
    Strict,
    leaderboards,
    load_registry,
    place,
)

if TYPE_CHECKING:
    from harness.store import Result, Store


def embedding(
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="Fingerprints of runs, or their first characters; all runs where none is given."),
    ] = None,
    publish: Annotated[
        bool, typer.Option("--publish", help="Store what is measured, and refresh the rows of these runs.")
    ] = False,
    device: BenchDevice = "auto",
    threads: BenchThreads = None,
    registry_file: RegistryFile = None,
    strict: Strict = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Measure operations and speed of the encoders of stored runs, whole and at test time; a run measures them, too."""
    from harness.cli.bar import Bar
    from harness.durable import Waiting
    from harness.errors import HarnessError
    from harness.execute.remeasure import keep, remeasure
    from harness.execute.republish import republish
    from harness.store import Store

    check_device(device)
    registry, store = load_registry(registry_file), Store(place(home).home)
    workspace = workspace_of(device, threads, strict, home)
    waiting = Waiting(lambda owner: say(f"waiting for {owner}"), lambda: 0)
    chosen, measured, failed = _chosen(store, runs), list[Any](), False
    known: dict[str, dict[str, float]] = {}
    with Bar() as bar:
        for number, fingerprint in enumerate(chosen):
            bar(number, len(chosen), fingerprint)
            try:
                found = remeasure(fingerprint, workspace, store, registry.path.parent, known)
                if publish:
                    keep(found, workspace, store, waiting)
                measured.append(found)
            except HarnessError as error:
                failed = True
                say(
                    f"run {fingerprint}: {error.message}{f' {error.hint}' if error.hint else ''}", style="red"
                )
    pages = republish(measured, (), store, leaderboards(registry)) if publish and measured else []
    if as_json:
        emit({"runs": [_json(result) for result in measured], "leaderboards": [str(page) for page in pages]})
    else:
        _print(measured)
    if failed:
        raise typer.Exit(1)


def _chosen(store: Store, runs: list[str] | None) -> list[str]:
    from harness.cli.lookup import find_run
    from harness.errors import InputError
    from harness.execute.stored import imported

    if runs:
        return list(dict.fromkeys(find_run(store, text) for text in runs))
    # An imported run has no model.
    own = [name for name in store.fingerprints() if not imported(store.result(name).spec)]
    if not own:
        raise InputError(f"no run is stored in {store.home}", hint="Fill it with: harness run")
    return own


def _print(measured: list[Result]) -> None:
    rows = [
        [
            result.fingerprint,
            result.dataset,
            f"{result.spec['image']['name']} + {result.spec['text']['name']}, {result.spec['dim']}",
            f"{result.cost['image_flops'] / 1e9:.2f}",
            f"{result.cost['text_flops'] / 1e6:.2f}",
            f"{result.cost['images_per_second']:,.0f}",
            f"{result.cost['captions_per_second']:,.0f}",
        ]
        for result in measured
    ]
    header = [
        "run",
        "dataset",
        "encoders, dim",
        "GFLOP an image",
        "MFLOP a caption",
        "images/s",
        "captions/s",
    ]
    table("What embedding takes, decoded and tokenised before", header, rows, numeric=3, whole=("run",))


def _json(result: Result) -> dict[str, Any]:
    from harness.execute.efficiency import MEASURED

    return {
        "run": result.fingerprint,
        "dataset": result.dataset,
        **{name: result.cost[name] for name in MEASURED},
    }
