"""`harness leaderboard`: render the tables from what is committed, check that they are fresh, or take one elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.completion import complete_table
from harness.cli.console import out, plain, say
from harness.cli.options import RegistryFile, leaderboards, load_registry

app = typer.Typer(invoke_without_command=True)


@app.callback()
def leaderboard(
    context: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 where a table is stale.")
    ] = False,
    registry_file: RegistryFile = None,
) -> None:
    """Render leaderboards/*.md from leaderboards/results.jsonl and leaderboards/published/."""
    from harness.errors import InputError
    from harness.leaderboard import check as check_tables
    from harness.leaderboard import write

    if context.invoked_subcommand is not None:
        if check:
            raise InputError("--check goes with no other word", hint="Type: harness leaderboard --check")
        context.obj = registry_file
        return
    folder = leaderboards(load_registry(registry_file))
    if check:
        stale = check_tables(folder)
        for line in stale:
            say(line, style="red")
        if stale:
            say("next: harness leaderboard")
            raise typer.Exit(1)
        out.print(plain(f"{folder}: every table is fresh"), markup=False, soft_wrap=True)
        return
    for path in write(folder):
        out.print(plain(path), markup=False, soft_wrap=True)


@app.command()
def export(
    context: typer.Context,
    table: Annotated[
        str,
        typer.Argument(
            help="Name of a page of leaderboards/, such as flickr8k.", autocompletion=complete_table
        ),
    ],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="csv, html, latex or json (default: by the ending of --output, else csv).",
            show_default=False,
        ),
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option("--output", help="File to write (default: standard output).", show_default=False),
    ] = None,
    registry_file: RegistryFile = None,
) -> None:
    """Write the table of a benchmark for other programs: published and measured rows, figures as numbers."""
    from harness.durable import durable
    from harness.errors import InputError, nearest
    from harness.export.tables import ENDINGS, FORMS
    from harness.leaderboard.benchmark import benchmark

    form = form or ENDINGS.get(output.suffix.lower() if output else ".csv", "")
    if not form:
        raise InputError(
            f"the ending of {output} names no form", hint=f"Give --format {'|'.join(FORMS)}, or another name."
        )
    if form not in FORMS:
        raise InputError(f"--format {form!r} is unknown{nearest(form, FORMS)}")
    folder = leaderboards(load_registry(registry_file or context.obj))
    if output is not None and output.resolve().is_relative_to(folder.resolve()):
        raise InputError(
            f"{output} lies among the tables that are rendered, and the files they are rendered from",
            hint="Choose a place outside.",
        )
    written = FORMS[form](benchmark(folder, table)).encode("utf-8")
    if output is None:
        typer.echo(written, nl=False)
        return
    with durable(output) as file:
        file.write(written)
    out.print(plain(output), markup=False, soft_wrap=True)
