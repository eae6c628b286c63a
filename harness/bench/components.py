"""Entries of registry.yaml as parts that can be built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.catalog import Catalog
from harness.errors import InputError, nearest
from harness.plan import Part
from harness.plan.files import files_of
from harness.registry import COMPONENT_KINDS, Component, Registry


def part_of(
    registry: Registry, catalog: Catalog, section: str, component: Component, params: Mapping[str, Any]
) -> Part:
    """Return the part of an entry with other parameters.

    Raises:
        InputError: names the entry whose file is not there.
    """
    spec = catalog.find(COMPONENT_KINDS[section], component.use).spec
    try:
        files = files_of(params, registry.path.parent)
    except InputError as error:
        place = registry.at((section, component.name))
        raise InputError(f"{place}: {error.message}", hint=error.hint) from error
    return Part(
        name=component.name,
        use=component.use,
        revision=spec.revision,
        params=params,
        title=component.title,
        files=files,
    )


def check_profile(registry: Registry, profile: str | None) -> None:
    """Refuse a profile that is not there.

    Raises:
        InputError: with the nearest name.
    """
    profiles = registry.names("profiles")
    if profile is not None and profile not in profiles:
        raise InputError(f"{registry.path} has no profile {profile!r}{nearest(profile, profiles)}")
