"""`harness leaderboard`: render the tables from what is committed, or check that they are fresh."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.console import out, plain, say
from harness.cli.options import RegistryFile, leaderboards, load_registry


def leaderboard(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 where a table is stale.")
    ] = False,
    registry_file: RegistryFile = None,
) -> None:
    """Render leaderboards/*.md from leaderboards/results.jsonl and leaderboards/published/."""
    from harness.leaderboard import check as check_tables
    from harness.leaderboard import write

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
