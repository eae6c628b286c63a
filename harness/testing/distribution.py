"""All that an installed distribution brings, held to its contract."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from harness.catalog import Catalog, Plugin
from harness.errors import InputError, nearest
from harness.specs import Kind
from harness.testing.contracts import check_component
from harness.testing.declaring import check_plugin
from harness.testing.violation import Violation


@dataclass(frozen=True, kw_only=True)
class Contract:
    """One component of a distribution, or a plugin of it as a whole.

    Attributes:
        problem: why the plugin was left out, if it was.
    """

    kind: Kind | Literal["plugin"]
    name: str
    distribution: str
    catalog: Catalog
    problem: str = ""

    def violations(self) -> list[Violation]:
        """Return what is wrong, nothing if all is well."""
        if self.kind == "plugin":
            return list(check_plugin(self.name, self.distribution, self.problem))
        return check_component(self.kind, self.name, catalog=self.catalog)

    def hold(self) -> None:
        """Pass if all is well.

        Raises:
            AssertionError: lists what is wrong.
        """
        __tracebackhide__ = True
        found = self.violations()
        if found:
            raise AssertionError("\n".join(map(str, found)))


def contracts_of(distribution: str, catalog: Catalog | None = None) -> list[Contract]:
    """Return what there is to check of a distribution; nothing is built or imported beyond its declarations.

    Raises:
        InputError: if it brings no plugin, or is not installed.
    """
    catalog = Catalog.load() if catalog is None else catalog
    found = []
    for problem in catalog.problems:
        if _same(problem.distribution, distribution):
            found.append(_whole(problem.plugin, problem.distribution, catalog, problem.message))
    for plugin in catalog.plugins:
        if _same(plugin.distribution, distribution):
            found.append(_whole(plugin.name, plugin.distribution, catalog))
            found += _components(plugin, catalog)
    if not found:
        known = {each.distribution for each in catalog.plugins} | {
            each.distribution for each in catalog.problems
        }
        raise InputError(
            f"no distribution {distribution!r} with a plugin is installed{nearest(distribution, known)}",
            hint="`harness list` shows what is installed. A new one: uv pip install -e DIR",
        )
    return found


def check_distribution(distribution: str, *, catalog: Catalog | None = None) -> list[Violation]:
    """Hold all plugins and components of a distribution to their contracts.

    Raises:
        InputError: if it brings no plugin, or is not installed.
    """
    return [violation for each in contracts_of(distribution, catalog) for violation in each.violations()]


def _whole(plugin: str, distribution: str, catalog: Catalog, problem: str = "") -> Contract:
    return Contract(kind="plugin", name=plugin, distribution=distribution, catalog=catalog, problem=problem)


def _components(plugin: Plugin, catalog: Catalog) -> Iterator[Contract]:
    for kind, name in plugin.components:
        yield Contract(kind=kind, name=name, distribution=plugin.distribution, catalog=catalog)


def _same(one: str, other: str) -> bool:
    """Tell whether two names are those of one distribution (PEP 503)."""
    return re.sub(r"[-_.]+", "-", one).lower() == re.sub(r"[-_.]+", "-", other).lower()
