"""`harness plugin`: begin a plugin, and hold one to its contract."""

from __future__ import annotations

import os
import shlex
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.completion import complete_distribution, complete_kind, complete_modality
from harness.cli.console import emit, log, out, plain, say, table
from harness.cli.options import Json, Strict, load_catalog

if TYPE_CHECKING:
    from harness.specs import Kind
    from harness.testing import Contract, Violation

_KINDS: Mapping[str, Kind] = {
    "loss": "loss",
    "encoder": "encoder",
    "dataset": "dataset",
    "evaluator": "evaluator",
}

app = typer.Typer(help="Begin a plugin, and check one.", no_args_is_help=True)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the plugin and its component, such as my-loss.")],
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            "-k",
            help="loss, encoder, dataset or evaluator.",
            show_default=False,
            autocompletion=complete_kind,
        ),
    ],
    modality: Annotated[
        str | None,
        typer.Option(
            "--modality",
            help="Of an encoder: image (the default) or text.",
            show_default=False,
            autocompletion=complete_modality,
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            help="Folder to write, not there or empty (default: NAME here; in a checkout of the harness plugins/NAME).",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a package with a working loss, encoder, dataset or evaluator, its tests, README and registry."""
    from harness.scaffold import commands, names_of, root_lines, write_plugin

    sort = _sort(kind, modality)
    names = names_of(name, _KINDS[kind], load_catalog(strict=False))
    root = _checkout(Path.cwd())
    folder = (to or (root / "plugins" / names.name if root else Path(names.name))).absolute()
    workspace = _checkout(folder.parent) if folder.parent.name == "plugins" else None
    inside = workspace is not None and folder.parent == workspace / "plugins"
    written = write_plugin(names, sort, folder, workspace=inside)
    for file in written.files:
        _line(str(Path(os.path.relpath(folder)) / file))
    if inside:
        _line("\nto add to the root of the repository:")
        for where, line in root_lines(names).items():
            _line(f"  {where}:\n    {line}")
    _line("\nof a registry.yaml, to use it:")
    _line(textwrap.indent(written.snippet, "  "))
    _line("\nnext:")
    start = os.path.relpath(folder.parents[1] if inside else folder)
    for command in ([] if start == "." else [f"cd {shlex.quote(start)}"]) + [
        *commands(names, workspace=inside)
    ]:
        _line(f"  {command}")


@app.command()
def check(
    distribution: Annotated[
        str,
        typer.Argument(
            metavar="DIST",
            help="An installed distribution, such as retrieval-harness-recall.",
            autocompletion=complete_distribution,
        ),
    ],
    as_json: Json = False,
    strict: Strict = False,
) -> None:
    """Hold every component of an installed distribution to the contract of its kind; exit code 1 with violations."""
    from harness.testing.distribution import contracts_of

    contracts = contracts_of(distribution, load_catalog(strict))
    found: list[tuple[Contract, list[Violation]]] = []
    for place, contract in enumerate(contracts, 1):
        with log.status(plain(f"{place} of {len(contracts)}: {contract.kind} {contract.name}")):
            found.append((contract, contract.violations()))
    violations = [violation for _, some in found for violation in some]
    if as_json:
        emit(_document(contracts[0].distribution, found))
    else:
        rows = [[contract.kind, contract.name, _result(some)] for contract, some in found]
        table(f"Contracts of {contracts[0].distribution}", ["kind", "name", "result"], rows)
        for violation in violations:
            _line(str(violation))
    if violations:
        raise typer.Exit(1)
    if not as_json:
        say("all contracts are kept. next: write it into registry.yaml, then harness plan --matrix NAME")


def _sort(kind: str, modality: str | None) -> str:
    from harness.errors import InputError, nearest

    if kind not in _KINDS:
        raise InputError(f"--kind is {kind!r}{nearest(kind, _KINDS)}")
    if kind != "encoder" and modality is not None:
        raise InputError(f"--modality is that of an encoder; a {kind} has none", hint="Leave it out.")
    if modality not in (None, "image", "text"):
        raise InputError(f"--modality is {modality!r}{nearest(modality, ('image', 'text'))}")
    return (modality or "image") if kind == "encoder" else kind


def _checkout(place: Path) -> Path | None:
    """Return the root of the harness's repository, if a folder lies in one."""
    import tomllib

    for folder in (place, *place.parents):
        try:
            with (folder / "pyproject.toml").open("rb") as file:
                project = tomllib.load(file).get("project", {})
        except (OSError, tomllib.TOMLDecodeError):
            continue
        if isinstance(project, dict) and project.get("name") == "retrieval-harness":
            return folder
    return None


def _line(text: str) -> None:
    out.print(plain(text), markup=False, soft_wrap=True)


def _result(violations: list[Violation]) -> str:
    if not violations:
        return "kept"
    names = dict.fromkeys(violation.check for violation in violations)
    return f"{len(violations)} violation{'' if len(violations) == 1 else 's'}: {', '.join(names)}"


def _document(distribution: str, found: list[tuple[Contract, list[Violation]]]) -> dict[str, Any]:
    import dataclasses

    return {
        "distribution": distribution,
        "violations": sum(len(some) for _, some in found),
        "components": [
            {
                "kind": contract.kind,
                "name": contract.name,
                "violations": [dataclasses.asdict(violation) for violation in some],
            }
            for contract, some in found
        ],
    }
