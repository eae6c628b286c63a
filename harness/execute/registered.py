"""Datasets and evaluators of registry.yaml as parts, outside of any matrix."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.catalog import Catalog
from harness.data import prepared_parts
from harness.errors import InputError, nearest
from harness.plan import Part
from harness.plan.files import files_of
from harness.registry import Registry

EVALUATORS = "evaluators"


def dataset_part(name: str, registry: Registry, catalog: Catalog, data: Path) -> Part:
    """Return a dataset that the registry lists, or one that was prepared in `data`.

    Raises:
        InputError: if there is none of that name; names the nearest one.
    """
    entry = registry.datasets.get(name)
    if entry is not None:
        return Part(
            name=name,
            use=entry.use,
            revision=catalog.find("dataset", entry.use).spec.revision,
            params=entry.params,
            title=entry.title or name,
            files=files_of(entry.params, registry.path.parent),
        )
    prepared = prepared_parts(data, asked=[name])
    if name not in prepared:
        raise InputError(
            f"there is no dataset {name!r}{nearest(name, {*registry.datasets, *prepared})}",
            hint=f"To use a folder of your own: harness data prepare folder --from DIR --as {name}",
        )
    return prepared[name]


def evaluator_part(
    name: str,
    registry: Registry,
    catalog: Catalog,
    dataset: str,
    params: Mapping[str, Any] | None = None,
) -> Part:
    """Return an evaluator of the registry as it is for a dataset.

    Args:
        params: replace parameters of it; it is then called by them, as in ``recall (policy: "expected")``.

    Raises:
        InputError: if the registry has none of that name, or no plugin declares its component.
    """
    known = registry.names(EVALUATORS)
    if name not in known:
        raise InputError(
            f"{registry.path} has no evaluator {name!r}{nearest(name, known)}",
            hint="Add it to the section evaluators, as in  recall-1k: {use: recall, folds: 5}",
        )
    entry = registry.component(EVALUATORS, name, profile_of(registry, dataset))
    changes = dict(params or {})
    told = ", ".join(f"{key}: {json.dumps(value)}" for key, value in sorted(changes.items()))
    return evaluator_of(
        f"{name} ({told})" if told else name,
        entry.use,
        {**entry.params, **changes},
        registry,
        catalog,
        title=entry.title,
    )


def evaluator_of(
    name: str, use: str, params: Mapping[str, Any], registry: Registry, catalog: Catalog, *, title: str = ""
) -> Part:
    """Return an evaluator by its component, of the revision that is installed.

    Raises:
        InputError: if no plugin declares the component, or a file that its parameters name is missing.
    """
    return Part(
        name=name,
        use=use,
        revision=catalog.find("evaluator", use).spec.revision,
        params=params,
        title=title or name,
        files=files_of(params, registry.path.parent),
    )


def usual_evaluators(registry: Registry, dataset: str) -> tuple[str, ...]:
    """Return the evaluators that any experiment has on a dataset, in the order of the file."""
    profile = profile_of(registry, dataset)
    experiments = [registry.experiment(name, profile) for name in registry.experiments]
    return tuple(dict.fromkeys(name for experiment in experiments for name in experiment.evaluators))


def profile_of(registry: Registry, dataset: str) -> str | None:
    """Return the profile of a dataset; the default one of a dataset that the registry does not list."""
    entry = registry.datasets.get(dataset)
    return registry.default_profile if entry is None else entry.profile
