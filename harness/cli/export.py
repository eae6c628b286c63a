"""`harness export`: results for Every Eval Ever and for model cards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.completion import complete_run
from harness.cli.console import emit, out, plain, say
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
from harness.cli.scores import scales_of

if TYPE_CHECKING:
    from harness.store import Store

FORMATS = ("every-eval-ever", "model-card")


def export(
    form: Annotated[str, typer.Option("--format", help="every-eval-ever or model-card.")],
    to: Annotated[Path, typer.Option("--to", help="Folder that the files are written to.")],
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="Fingerprints of runs, or their first characters.", autocompletion=complete_run),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All stored runs that have figures.")] = False,
    called: Annotated[
        str, typer.Option("--as", help="Name of the method (default: that of its leaderboard row).")
    ] = "",
    organization: Annotated[
        str, typer.Option("--organization", help="Who provides the result (default: unknown).")
    ] = "",
    strict: Strict = False,
    as_json: Json = False,
    registry_file: RegistryFile = None,
    home: Home = None,
) -> None:
    """Write results with passport, versions, command and intervals, a file a run, for other people's collections."""
    from harness.durable import durable
    from harness.errors import HarnessError, InputError, nearest
    from harness.execute.attempts import public
    from harness.execute.ranked import passport_of
    from harness.export import every_eval_ever, facts_of, model_card
    from harness.store import Store

    if form not in FORMATS:
        raise InputError(f"--format {form!r} is unknown{nearest(form, FORMATS)}")
    store = Store(place(home).home)
    chosen = _chosen(store, runs or (), every=every)
    if called and len(chosen) > 1:
        raise InputError(f"--as names one method, and these are {len(chosen)} runs")
    titles, scales = _titles(registry_file), scales_of(load_catalog(strict))
    write = every_eval_ever if form == "every-eval-ever" else model_card
    written, failed = [], False
    for fingerprint in chosen:
        try:
            facts = facts_of(
                store,
                fingerprint,
                name=called or titles.get(fingerprint, ""),
                organization=organization,
                scales=scales,
                public=public,
                passport=passport_of,
            )
            if not facts.scores:
                say(f"run {fingerprint} has no figures", style="" if every else "yellow")
                continue
            name, text = write(facts)
            with durable(to / name) as file:
                file.write(text.encode("utf-8"))
        except HarnessError as error:
            say(f"run {fingerprint}: {error}", style="red")
            failed = True
        else:
            written.append(to / name)
    if as_json:
        emit({"files": [str(path) for path in written]})
    else:
        for path in written:
            out.print(plain(path), markup=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def _chosen(store: Store, runs: Sequence[str], *, every: bool) -> list[str]:
    from harness.cli.lookup import find_run
    from harness.errors import InputError

    if bool(runs) == every:
        raise InputError("name runs, or give --all" if not runs else "--all leaves no run to be named")
    found = store.fingerprints() if every else list(dict.fromkeys(find_run(store, text) for text in runs))
    if not found:
        raise InputError(f"no run is stored in {store.home}", hint="Fill it with: harness run")
    return found


def _titles(registry_file: Path | None) -> dict[str, str]:
    """Return the methods of the leaderboard rows by run."""
    from harness.leaderboard import RESULTS, read_rows

    rows = read_rows(leaderboards(load_registry(registry_file)) / RESULTS)
    return {row.fingerprint: row.title for row in rows}
