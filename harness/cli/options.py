"""Options that several commands share, and where things are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.completion import complete_cell, complete_dataset, complete_matrix
from harness.cli.console import say

if TYPE_CHECKING:
    from harness.catalog import Catalog
    from harness.plan import Plan
    from harness.registry import Registry

Home = Annotated[
    Path | None,
    typer.Option(
        "--home", help="Folder of the store (else $HARNESS_HOME, else ./.harness).", show_default=False
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print JSON on standard output; messages go to standard error.")
]
Strict = Annotated[bool, typer.Option("--strict", help="A plugin that cannot be loaded is an error.")]
RegistryFile = Annotated[
    Path | None,
    typer.Option(
        "--registry",
        help="A registry file (else $HARNESS_REGISTRY, else registry.yaml here, above, or the installed one).",
        show_default=False,
    ),
]
Matrix = Annotated[
    str,
    typer.Option(
        "--matrix",
        "-m",
        help="A matrix of registry.yaml, see `harness list`.",
        autocompletion=complete_matrix,
    ),
]
Dataset = Annotated[
    list[str] | None,
    typer.Option(
        "--dataset",
        "-d",
        help="Run on this dataset only; may be repeated.",
        show_default=False,
        autocompletion=complete_dataset,
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        help="Keep the cells with axis=label, as in variant=full; may be repeated.",
        show_default=False,
        autocompletion=complete_cell,
    ),
]
Seed = Annotated[
    list[int] | None, typer.Option("--seed", help="Use this seed only; may be repeated.", show_default=False)
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        min=8,
        help="First N images of each split; never reaches a leaderboard.",
        show_default=False,
    ),
]
RequireAll = Annotated[
    bool, typer.Option("--require-all", help="A dataset that is not prepared is an error.")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
Threads = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="CPU threads (default: the cores there are).", show_default=False),
]
Precision = Annotated[
    str, typer.Option("--precision", help="32-true, or bf16-mixed: forward passes of training in bfloat16.")
]
Compile = Annotated[
    str,
    typer.Option(
        "--compile", help="Backend of torch.compile for training, such as inductor.", show_default=False
    ),
]


@dataclass(frozen=True)
class Place:
    """Where results and prepared datasets lie."""

    home: Path
    data: Path


def place(home: Path | None) -> Place:
    """Return home and data root: option, environment, default, in this order."""
    root = home or Path(os.environ.get("HARNESS_HOME") or ".harness")
    data = os.environ.get("HARNESS_DATA")
    return Place(root.absolute(), Path(data).absolute() if data else root.absolute() / "data")


def load_catalog(strict: bool) -> Catalog:
    """Load the installed plugins and name those that were left out."""
    from harness.catalog import Catalog

    catalog = Catalog.load(strict=strict)
    for problem in catalog.problems:
        say(f"plugin left out: {problem.distribution} {problem.version}: {problem.message}", style="yellow")
    return catalog


def registry_path(file: Path | None = None) -> Path:
    """Return the registry: option, environment, registry.yaml of this folder or above, the installed one."""
    from harness.registry import find_registry

    named = file or os.environ.get("HARNESS_REGISTRY")
    return Path(named).absolute() if named else find_registry(Path.cwd())


def load_registry(file: Path | None = None) -> Registry:
    """Load the registry that `registry_path` finds."""
    from harness.registry import Registry

    return Registry.load(registry_path(file))


def leaderboards(registry: Registry) -> Path:
    """Return where tables are kept: beside registry.yaml; for the installed one, in the current folder."""
    import harness

    folder = registry.path.parent
    return (Path.cwd() if folder == Path(harness.__file__).parent else folder) / "leaderboards"


def assignments(pairs: Sequence[str], option: str = "--set") -> dict[str, Any]:
    """Read parameters as ``--set parameter=value`` has them, values by the rules of registry.yaml.

    Raises:
        InputError: names the text that is no assignment, or a parameter that is given twice.
    """
    from harness.errors import InputError
    from harness.registry import read_value

    found: dict[str, Any] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise InputError(f"{option} takes parameter=value, not {pair!r}")
        if key in found:
            raise InputError(f"{option} gives {key!r} twice")
        found[key] = read_value(value, f"{option} {key}")
    return found


def load_plan(
    registry: Registry,
    catalog: Catalog,
    where: Place,
    *,
    matrix: str,
    dataset: list[str] | None,
    only: list[str] | None,
    seed: list[int] | None,
    limit: int | None,
    require_all: bool,
    precision: str = "32-true",
) -> Plan:
    """Make the plan that the shared options ask for, its parameters checked."""
    from harness.build import check_all
    from harness.data import prepared_parts, protocol_of
    from harness.errors import InputError
    from harness.plan import make_plan
    from harness.store import Store

    chosen: dict[str, list[str]] = {}
    for pair in only or []:
        axis, separator, label = pair.partition("=")
        if not separator:
            raise InputError(
                f"--only takes axis=label, not {pair!r}", hint="For example: --only variant=full"
            )
        chosen.setdefault(axis, []).append(label)
    own = [name for name in dataset or () if name not in registry.datasets]
    plan = make_plan(
        registry,
        catalog,
        matrix=matrix,
        protocol_of=lambda part, spec: protocol_of(part, where.data, spec),
        prepared=prepared_parts(where.data, asked=own),
        datasets=dataset,
        only=chosen,
        seeds=seed,
        limit=limit,
        precision=precision,
        require_all=require_all,
    )
    # What is stored was checked when it ran; reading signatures again would import every component.
    store = Store(where.home)
    cells = tuple(cell for cell in plan.cells if not store.finished(cell.run.fingerprint))
    runs = tuple(run for run in plan.runs if not store.finished(run.fingerprint))
    check_all(replace(plan, cells=cells, runs=runs), catalog)
    return plan
