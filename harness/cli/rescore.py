"""`harness rescore`: figures of stored runs anew, without a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.completion import complete_dataset, complete_evaluator, complete_run
from harness.cli.console import emit, out, plain, say, table
from harness.cli.options import (
    Home,
    Json,
    RegistryFile,
    Strict,
    assignments,
    leaderboards,
    load_catalog,
    load_registry,
    place,
)
from harness.cli.scores import units

if TYPE_CHECKING:
    from harness.catalog import Catalog
    from harness.execute.rescore import Figure, Rescored
    from harness.store import Store

SHOWN = 60
"""Figures that are printed."""


def rescore(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Fingerprints of runs, or their first characters; all runs where none is given.",
            autocompletion=complete_run,
        ),
    ] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            "--dataset",
            "-d",
            help="Runs of this dataset only; may be repeated.",
            show_default=False,
            autocompletion=complete_dataset,
        ),
    ] = None,
    evaluator: Annotated[
        list[str] | None,
        typer.Option(
            "--evaluator",
            "-e",
            help="An evaluator of registry.yaml; may be repeated. Without it, those that each run has figures of.",
            show_default=False,
            autocompletion=complete_evaluator,
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
    registry_file: RegistryFile = None,
    home: Home = None,
) -> None:
    """Compute the figures of stored runs anew, from their stored ranks and embeddings: no model, no image."""
    from harness.cli.bar import Bar
    from harness.errors import InputError
    from harness.execute.rescore import Rescorer
    from harness.store import Store

    if dry_run and publish:
        raise InputError("--dry-run and --publish exclude each other")
    where, registry = place(home), load_registry(registry_file)
    store, catalog = Store(where.home), load_catalog(strict)
    rescorer = Rescorer(
        registry,
        _workspace(where, catalog),
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
        _print(found, catalog, dry_run=dry_run)
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


def _print(found: Sequence[Rescored], catalog: Catalog, *, dry_run: bool) -> None:
    told = [(run, figure) for run in found for figure in _in_order(run)]
    fates = Counter(figure.fate for _, figure in told)
    if len(found) == 1:  # shown whole; of several runs, what is not as it was
        rows = [_row(run, figure, catalog) for run, figure in told]
        title = f"Run {found[0].fingerprint} on {found[0].dataset}: figures before and after"
        _table(title, ["figure", "old", "new", ""], rows)
    else:
        rows = [[r.fingerprint, *_row(r, f, catalog)] for r, f in told if f.fate != "same"]
        _table("Figures before and after", ["run", "figure", "old", "new", ""], rows)
    judged = sum(run.result is not None for run in found)
    runs = f"{judged:,} of {len(found):,} run{'' if len(found) == 1 else 's'} rescored"
    ends = [f"{fates[fate]:,} {fate}" for fate in ("changed", "new", "gone")]
    stored = " Nothing was stored." if dry_run else ""
    line = f"{runs}: {len(told):,} figures, {', '.join(ends)}.{stored}"
    out.print(plain(line), markup=False, soft_wrap=True)


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if rows:
        table(title, columns, rows[:SHOWN], numeric=len(columns) - 3, whole=("run",))
    if len(rows) > SHOWN:
        out.print(plain(f"... and {len(rows) - SHOWN:,} more; --json has all"), markup=False, soft_wrap=True)


def _in_order(run: Rescored) -> list[Figure]:
    """Return the figures of a run as tables have them."""
    from harness.export.readings import evaluators, in_order

    if run.result is None:
        return list(run.figures)
    names = {name: place for place, name in enumerate(evaluators(run.result.figures))}
    places = {name: place for place, name in enumerate(in_order({figure.name for figure in run.figures}))}
    return sorted(run.figures, key=lambda figure: (names[figure.evaluator], places[figure.name]))


def _row(run: Rescored, figure: Figure, catalog: Catalog) -> list[str]:
    fate = "" if figure.fate == "same" else figure.fate
    return [
        f"{figure.evaluator}.{figure.name}",
        *(_value(run, figure, v, catalog) for v in (figure.old, figure.new)),
        fate,
    ]


def _value(run: Rescored, figure: Figure, value: float | None, catalog: Catalog) -> str:
    if value is None or run.result is None:
        return "–"
    beside = [other.name for other in run.figures if other.evaluator == figure.evaluator]
    use = run.result.figures[figure.evaluator].get("use", "")
    found = units(catalog, run.result.images, run.result.captions)
    return found.text(use, figure.name, value, beside, exact=True)


def _json(run: Rescored) -> dict[str, Any]:
    return {
        "run": run.fingerprint,
        "dataset": run.dataset,
        "rescored": run.result is not None,
        "changed": sum(figure.fate == "changed" for figure in run.figures),
        "figures": [
            {
                "evaluator": f.evaluator,
                "figure": f.name,
                "old": f.old,
                "new": f.new,
                "fate": f.fate,
                "interval": f.interval,
            }
            for f in run.figures
        ],
        "notes": list(run.notes),
        "problems": list(run.problems),
    }
