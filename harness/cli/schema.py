"""`harness schema`: the JSON Schema of registry.yaml, for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.console import emit, say
from harness.cli.options import Strict, load_catalog

if TYPE_CHECKING:
    from harness.catalog import Entry
    from harness.specs import Kind


def schema(
    to: Annotated[
        Path | None, typer.Option("--to", help="Write it into this file.", show_default=False)
    ] = None,
    strict: Strict = False,
) -> None:
    """Print the JSON Schema of registry.yaml, with the installed components and their parameters, for editors."""
    from harness.registry import COMPONENT_KINDS
    from harness.registry.schema import registry_schema

    catalog = load_catalog(strict)
    found = registry_schema(
        {
            section: {entry.spec.name: _parameters(entry, kind) for entry in catalog.entries(kind)}
            for section, kind in COMPONENT_KINDS.items()
        }
    )
    if to is None:
        emit(found)
        return
    from harness.durable import durable

    with durable(to.absolute()) as file:
        file.write((json.dumps(found, indent=1) + "\n").encode("utf-8"))
    say(f"written: {to}\nthe first line of a registry beside it: # yaml-language-server: $schema={to.name}")


def _parameters(entry: Entry, kind: Kind) -> dict[str, dict[str, Any]] | None:
    """Return the parameters of a component, ``None`` where it cannot be imported: its entries are then not checked."""
    from harness import signature
    from harness.build import settable
    from harness.errors import PluginError

    try:
        found = settable(entry, kind)
    except PluginError as error:
        say(f"its parameters are not checked: {error.message}", style="yellow")
        return None
    return {name: signature.schema(parameter.annotation) for name, parameter in found.items()}
