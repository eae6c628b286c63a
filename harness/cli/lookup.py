"""Which run a person means."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from harness.execute.runs import Runs
    from harness.store import Store


def find_run(store: Store, text: str) -> str:
    """Return the fingerprint of the stored run that begins with `text`.

    Raises:
        InputError: if there is none, or more than one.
    """
    return one_of(store.fingerprints(), text, str(store.home))


def one_of(known: list[str], text: str, where: str) -> str:
    """Return the fingerprint among `known` that begins with `text`.

    Raises:
        InputError: if there is none, or more than one; `where` says in which place.
    """
    from harness.errors import InputError, nearest

    found = [fingerprint for fingerprint in known if fingerprint.startswith(text)]
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
        raise InputError(
            f"{len(found)} runs {text!r} in {where}: {shown}", hint="Give more of the fingerprint."
        )
    hint = "" if known else "The store is empty; fill it with: harness run"
    raise InputError(f"no run {text!r} in {where}{nearest(text, known[:20])}", hint=hint)


def all_runs(home: Path, registry_file: Path | None) -> Runs:
    """Return the runs of a store and the rows of the leaderboards; damaged leaderboards are named and left out.

    Args:
        registry_file: of the command line; the leaderboards lie beside the registry.
    """
    from harness.cli.console import say
    from harness.cli.options import leaderboards, load_registry
    from harness.errors import HarnessError
    from harness.execute.runs import Runs
    from harness.store import Store

    store = Store(home)
    try:
        return Runs(store, leaderboards(load_registry(registry_file)))
    except HarnessError as error:
        say(f"rows of the leaderboards are left out: {error.args[0]}", style="yellow")
        return Runs(store)
