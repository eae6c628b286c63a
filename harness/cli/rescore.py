"""`harness rescore`: figures of stored runs anew, without a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.console import emit, out, plain, say, table
from harness.cli.options import (
    Home,
    Json,
    Strict,
    assignments,
    leaderboards,
    load_catalog,
    load_registry,
    place,
)

if TYPE_CHECKING:
    from harness.execute.rescore import Figure, Rescored
    from harness.store import Store

SHOWN = 60
"""Figures that are printed."""


def rescore(
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="Fingerprints of runs, or their first characters; all runs where none is given."),
    ] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            "--dataset", "-d", help="Runs of this dataset only; may be repeated.", show_default=False
        ),
    ] = None,
    evaluator: Annotated[
        list[str] | None,
        typer.Option(
            "--evaluator",
            "-e",
            help="An evaluator of registry.yaml; may be repeated. Without it, those that each run has figures of.",
            show_default=False,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="A parameter of the evaluator, as in policy=expected; its figures stand beside the others.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compute and print; store nothing.")] = False,
    publish: Annotated[
        bool, typer.Option("--publish", help="Refresh the leaderboard rows of these runs, too.")
    ] = False,
    strict: Strict = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Compute the figures of stored runs anew, from their stored ranks and embeddings: no model, no image."""
    from harness.cli.bar import Bar
    from harness.errors import InputError
    from harness.execute.rescore import Rescorer
    from harness.store import Store

    if dry_run and publish:
        raise InputError("--dry-run and --publish exclude each other")
    where, registry = place(home), load_registry()
    store = Store(where.home)
    rescorer = Rescorer(
        registry,
        _workspace(where, load_catalog(strict)),
        store,
        evaluators=list(dict.fromkeys(evaluator or ())),
        params=assignments(settings or ()),
        write=not dry_run,
        waiting=_waiting(),
    )
    chosen = _chosen(store, runs or (), dataset or ())
    found = []
    with Bar() as bar:
        for number, fingerprint in enumerate(chosen):
            bar(number, len(chosen), fingerprint)
            found.append(rescorer.rescore(fingerprint))
    pages: list[Any] = []
    if publish:
        from harness.execute.republish import republish

        fresh = [run.result for run in found if run.result is not None]
        pages = republish(fresh, rescorer.evaluators, store, leaderboards(registry))
    if as_json:
        emit({"runs": [_json(run) for run in found], "leaderboards": [str(page) for page in pages]})
    else:
        _print(found, dry_run=dry_run)
    for run in found:
        for note in run.notes:
            say(f"run {run.fingerprint}: {note}")
        for problem in run.problems:
            say(f"run {run.fingerprint}: {problem}", style="red")
    if any(run.problems for run in found):
        raise typer.Exit(1)


def _workspace(where: Any, catalog: Any) -> Any:
    from harness.execute import Workspace
    from harness.execute.provenance import default_threads

    return Workspace(
        home=where.home, data=where.data, catalog=catalog, device="cpu", threads=default_threads()
    )


def _waiting() -> Any:
    from harness.durable import Waiting

    return Waiting(lambda owner: say(f"waiting for {owner}"), lambda: 0)


def _chosen(store: Store, runs: Sequence[str], datasets: Sequence[str]) -> list[str]:
    """Return the runs that are meant; one whose result cannot be read is kept, so that it is named."""
    from harness.cli.lookup import find_run
    from harness.errors import InputError, StoreError, nearest

    named = list(dict.fromkeys(find_run(store, text) for text in runs)) or store.fingerprints()
    if not named:
        raise InputError(f"no run is stored in {store.home}", hint="Fill it with: harness run")
    if not datasets:
        return named
    of: dict[str, str | None] = {}
    for fingerprint in named:
        try:
            of[fingerprint] = store.result(fingerprint).dataset
        except StoreError:
            of[fingerprint] = None
    known = {name for name in of.values() if name}
    if strange := [name for name in datasets if name not in known]:
        raise InputError(f"no stored run is of dataset {strange[0]!r}{nearest(strange[0], known)}")
    return [fingerprint for fingerprint, name in of.items() if name is None or name in datasets]


def _print(found: Sequence[Rescored], *, dry_run: bool) -> None:
    told = [(run, figure) for run in found for figure in run.figures]
    fates = Counter(figure.fate for _, figure in told)
    # One run is shown whole, of several what is not as it was.
    shown = told if len(found) == 1 else [pair for pair in told if pair[1].fate != "same"]
    rows = [[run.fingerprint, run.dataset, *_row(figure)] for run, figure in shown[:SHOWN]]
    if rows:
        columns = ["run", "dataset", "figure", "old", "new", ""]
        table("Figures before and after", columns, rows, numeric=3, whole=("run",))
    if len(shown) > SHOWN:
        out.print(plain(f"... and {len(shown) - SHOWN:,} more; --json has all"), markup=False, soft_wrap=True)
    judged = sum(run.result is not None for run in found)
    ends = [f"{fates[fate]:,} {fate}" for fate in ("changed", "new", "gone")]
    stored = " Nothing was stored." if dry_run else ""
    line = f"{judged:,} of {len(found):,} runs rescored: {len(told):,} figures, {', '.join(ends)}.{stored}"
    out.print(plain(line), markup=False, soft_wrap=True)


def _row(figure: Figure) -> list[str]:
    values = ["–" if value is None else f"{value:.6g}" for value in (figure.old, figure.new)]
    fate = "" if figure.fate == "same" else figure.fate
    return [f"{figure.evaluator}.{figure.name}", *values, fate]


def _json(run: Rescored) -> dict[str, Any]:
    return {
        "run": run.fingerprint,
        "dataset": run.dataset,
        "rescored": run.result is not None,
        "changed": sum(figure.fate == "changed" for figure in run.figures),
        "figures": [
            {"evaluator": f.evaluator, "figure": f.name, "old": f.old, "new": f.new, "fate": f.fate}
            for f in run.figures
        ],
        "notes": list(run.notes),
        "problems": list(run.problems),
    }
