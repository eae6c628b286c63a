"""The component under test, made anew as often as a check likes: by its name, or from a live one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.build import build
from harness.catalog import Catalog
from harness.errors import InputError
from harness.plan import Part
from harness.specs import Kind, Spec
from harness.testing.state import preserved


@dataclass(frozen=True, eq=False, kw_only=True)
class Made:
    """How a component is made.

    Attributes:
        name: of the component, or of the class of a live one.
        spec: its declaration; ``None`` of a live one.
        make: makes it from a seed of torch's random state. Another seed gives other weights.
        part: name, revision and parameters of one that was given by its name.
        catalog: where it was looked up.
    """

    name: str
    make: Callable[[int], Any]
    spec: Spec | None = None
    part: Part | None = None
    catalog: Catalog | None = None


def made(
    kind: Kind,
    component: object,
    *,
    params: Mapping[str, Any] | None,
    catalog: Catalog | None,
    values: Mapping[str, Any],
) -> Made:
    """Return how a component is made; it is made once, so that what does not fit is told now.

    Args:
        component: the name of an installed one, or a live one, which is copied.
        params: of an installed one; ``None`` takes the `sample` of its declaration.
        values: what the harness would give it, see `harness.protocols`.

    Raises:
        InputError: if there is no such component, its parameters do not fit, or a live one comes with parameters.
        PluginError: if the plugin cannot be imported or lacks a method.
        RunError: if it cannot be built.
    """
    if isinstance(component, str):
        found = _named(kind, component, params, Catalog.load() if catalog is None else catalog, values)
    elif params:
        raise InputError(f"a live {kind} has its parameters already", hint="Leave out 'params'.")
    else:
        found = Made(name=type(component).__name__, make=lambda seed: _copied(component, seed))
    with preserved():
        found.make(0)
    return found


def _named(
    kind: Kind, name: str, params: Mapping[str, Any] | None, catalog: Catalog, values: Mapping[str, Any]
) -> Made:
    spec = catalog.find(kind, name).spec
    given = dict(spec.sample if params is None else params)
    part = Part(name=name, use=name, revision=spec.revision, params=given)

    def make(seed: int) -> Any:
        import torch

        torch.manual_seed(seed)
        return build(part, kind, catalog, **values)

    return Made(name=name, make=make, spec=spec, part=part, catalog=catalog)


def _copied(live: object, seed: int) -> Any:
    """Copy a live component; a seed other than 0 gives it other weights."""
    import torch

    twin: Any = copy.deepcopy(live)
    if seed and isinstance(twin, torch.nn.Module):
        torch.manual_seed(seed)
        for tensor in twin.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(torch.rand_like(tensor))  # variances stay above 0
    return twin
