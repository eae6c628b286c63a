"""`harness plugin`: begin a plugin, and hold one to its contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.console import emit, log, out, plain, say, table
from harness.cli.options import Json, Strict, load_catalog

if TYPE_CHECKING:
    from harness.testing import Contract, Violation

app = typer.Typer(help="Begin a plugin, and check one.", no_args_is_help=True)


@app.command()
def check(
    distribution: Annotated[
        str,
        typer.Argument(metavar="DIST", help="An installed distribution, such as retrieval-harness-recall."),
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
            out.print(plain(violation), markup=False, soft_wrap=True)
    if violations:
        raise typer.Exit(1)
    if not as_json:
        say("all contracts are kept. next: write it into registry.yaml, then harness plan --matrix NAME")


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
