"""`harness doctor --store`: is everything that is stored what was written?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from harness.cli.bar import Bar
from harness.cli.console import emit, out, say, table
from harness.cli.options import Place
from harness.cli.summary import Asked, given

if TYPE_CHECKING:
    from harness.catalog import Catalog
    from harness.execute.integrity import Damage
    from harness.registry import Registry


def examine_store(
    where: Place, registry: Registry, catalog: Catalog, *, as_json: bool, options: Mapping[str, Any]
) -> None:
    """Read all of a store again, name what is damaged and what mends it; exit code 1 if anything is.

    Args:
        options: that the command line gave and a repair needs as well.
    """
    from harness.execute.integrity import examine

    commands = commands_of(where, registry, catalog, options)
    with Bar() as bar:
        examined = examine(where.home, where.data, commands, bar, preparing(where, registry, options))
    if as_json:
        emit(
            {
                "home": str(where.home),
                "examined": dict(examined.counts),
                "damaged": [asdict(damage) for damage in examined.damages],
                "left": [str(path) for path in examined.strays],
            }
        )
    else:
        damaged = [damage.kind for damage in examined.damages]
        rows = [[kind, f"{count:,}", damaged.count(kind)] for kind, count in examined.counts.items()]
        table(f"{where.home}: read again", ["what", "files", "damaged"], rows, numeric=1)
    for damage, others in _together(examined.damages):
        more = f" (and {others:,} more in its folder; --json names them)" if others else ""
        say(f"damaged: {damage.path}: {damage.problem}{more}", style="red")
        say(f"  mended by: {damage.repair}", style="cyan")
    for path in examined.strays:
        say(f"left by a process that was killed, or being written now: {path}", style="yellow")
    if examined.damages:
        raise typer.Exit(1)
    if not as_json:
        out.print("every stored file is what was written", markup=False)


def _together(damages: Sequence[Damage]) -> Iterator[tuple[Damage, int]]:
    """Yield each damage; of shards of one cache, which are mended together, the first and how many more there are."""
    from harness.execute.integrity import CACHES

    for _, group in groupby(damages, lambda d: Path(d.path).parent if d.kind in CACHES else d):
        first, *others = group
        yield first, len(others)


def preparing(where: Place, registry: Registry, options: Mapping[str, Any]) -> Mapping[str, str]:
    """Return for every prepared dataset the command that prepares it again, in the store that was examined."""
    from harness.data import prepare_again
    from harness.data.folder import half, names

    words = "".join(f" {shlex.quote(word)}" for word in given(options))
    held = [*names(where.data), *half(where.data)]
    return {name: prepare_again(where.data, name, registry.datasets) + words for name in held}


def commands_of(
    where: Place, registry: Registry, catalog: Catalog, options: Mapping[str, Any]
) -> Mapping[str, str]:
    """Return for every run of the registry's matrices the command that does it, and no other cell."""
    from harness.data import prepared_parts, protocol_of
    from harness.errors import HarnessError
    from harness.plan import make_plan

    found: dict[str, str] = {}
    prepared = prepared_parts(where.data)
    for matrix in registry.matrices:
        try:
            plan = make_plan(
                registry,
                catalog,
                matrix=matrix,
                protocol_of=lambda part, spec: protocol_of(part, where.data, spec),
                prepared=prepared,
            )
        except HarnessError:
            continue  # a matrix that cannot be planned has no run to do again
        asked = Asked(matrix=matrix, dataset=False, seed=False, options=dict(options))
        parents = {run.fingerprint: run.parent for run in plan.runs}
        for cell in plan.cells:
            run: str | None = cell.run.fingerprint
            while run is not None:
                found.setdefault(run, asked.alone(cell))
                run = parents[run]
    return found
