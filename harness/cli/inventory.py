"""`harness list`: what is installed and what the registry names."""

from __future__ import annotations

from typing import get_args

from harness.cli.console import emit, out, say, table
from harness.cli.options import Json, RegistryFile, Strict, load_catalog, load_registry


def list_components(
    as_json: Json = False, strict: Strict = False, registry_file: RegistryFile = None
) -> None:
    """List matrices, experiments, datasets and the components that plugins bring."""
    from harness.specs import Kind

    catalog, registry = load_catalog(strict), load_registry(registry_file)
    components = [(kind, entry) for kind in get_args(Kind) for entry in catalog.entries(kind)]
    if as_json:
        emit(
            {
                "components": [
                    {
                        "kind": kind,
                        "name": entry.spec.name,
                        "summary": entry.spec.summary,
                        "revision": entry.spec.revision,
                        "reference": entry.spec.reference,
                        "distribution": entry.distribution,
                        "version": entry.version,
                    }
                    for kind, entry in components
                ],
                "matrices": {name: matrix.summary for name, matrix in registry.matrices.items()},
                "experiments": {name: experiment.title for name, experiment in registry.experiments.items()},
                "problems": [
                    {"distribution": p.distribution, "version": p.version, "message": p.message}
                    for p in catalog.problems
                ],
            }
        )
        return
    table("Matrices", ["name", "what it does"], [[name, m.summary] for name, m in registry.matrices.items()])
    table("Experiments", ["name", "title"], [[name, e.title] for name, e in registry.experiments.items()])
    table(
        "Components",
        ["kind", "name", "what it is", "from"],
        [[k, e.spec.name, e.spec.summary, f"{e.distribution} {e.version}"] for k, e in components],
    )
    if not components:
        out.print("no plugin is installed")
    say("next: harness plan --matrix ablations    (what it would train)")
