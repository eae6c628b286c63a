"""Discovers plugins, calls each one alone, and names those that are left out."""

from __future__ import annotations

import importlib.metadata
import os
import re
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import get_args

from harness.declarations import FaultError, declared
from harness.errors import InputError, PluginError, nearest
from harness.hookspecs import ENTRY_POINT_GROUP
from harness.patience import HangError, limited, patience
from harness.specs import Kind, Spec

ALLOW_LIST = "HARNESS_PLUGINS"
"""Environment variable: the entry points that may load, and no others, with commas; unset allows all."""

KINDS: tuple[Kind, ...] = get_args(Kind)

_GROUPS = re.compile(r"harness\.v\d+")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A component with the plugin that declares it and the distribution that brought the plugin."""

    spec: Spec
    plugin: str
    distribution: str
    version: str


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """A plugin that was loaded, with the kind and name of each of its components."""

    name: str
    distribution: str
    version: str
    components: tuple[tuple[Kind, str], ...]


@dataclass(frozen=True, kw_only=True)
class PluginProblem:
    """A plugin that was left out whole, and why; `traceback` is empty where it raised nothing."""

    plugin: str
    distribution: str
    version: str
    message: str
    traceback: str = ""

    def __str__(self) -> str:
        return f"plugin {self.plugin!r} of {self.distribution} {self.version}: {self.message}"


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """All components of the installed plugins.

    Attributes:
        plugins: the plugins that were loaded.
        problems: the plugins that were left out.
        components: each component by kind and name.
    """

    plugins: tuple[Plugin, ...] = ()
    problems: tuple[PluginProblem, ...] = ()
    components: Mapping[tuple[Kind, str], Entry] = field(default_factory=dict)

    @classmethod
    def load(
        cls, *, strict: bool = False, entry_points: Iterable[importlib.metadata.EntryPoint] | None = None
    ) -> Catalog:
        """Load the plugins that are installed, by distribution and name.

        Args:
            strict: make a plugin that would be left out an error.
            entry_points: what to look through instead of everything that is installed.

        Raises:
            PluginError: if `HARNESS_PLUGINS` names a plugin that is not installed, or `HARNESS_PLUGIN_SECONDS` no
                number; if `strict`, of any fault.
        """
        points = _installed() if entry_points is None else entry_points
        candidates = [_Candidate(point) for point in points if _GROUPS.fullmatch(point.group)]
        loading = _Loading(patience())
        for candidate in _allowed(sorted(candidates, key=_order)):
            loading.add(candidate)
        if strict and loading.problems:
            raise PluginError(
                "\n".join(map(str, loading.problems)), hint="Repair or uninstall it, or run without --strict."
            )
        return cls(
            plugins=tuple(loading.plugins),
            problems=tuple(loading.problems),
            components=MappingProxyType(loading.components),
        )

    def plain(self) -> Catalog:
        """Return it in types that another process can be sent."""
        return replace(self, components=dict(self.components))

    def entries(self, kind: Kind) -> tuple[Entry, ...]:
        """Return the components of a kind, by name."""
        return tuple(self.components[key] for key in sorted(self.components) if key[0] == kind)

    def find(self, kind: Kind, name: str) -> Entry:
        """Return a component.

        Raises:
            InputError: with the nearest name, and the plugins that were left out.
        """
        try:
            return self.components[kind, name]
        except KeyError:
            valid = [entry.spec.name for entry in self.entries(kind)]
            left_out = "".join(f"\nLeft out: {problem}" for problem in self.problems)
            raise InputError(
                f"no plugin declares {kind} {name!r}{nearest(name, valid)}",
                hint=f"`harness list` shows what is installed.{left_out}",
            ) from None


class _Candidate:
    def __init__(self, point: importlib.metadata.EntryPoint) -> None:
        self.point, self.name = point, point.name
        metadata = point.dist.metadata if point.dist is not None else None
        # A damaged METADATA file leaves out either field.
        self.distribution = str((metadata and metadata["Name"]) or "an unknown distribution")
        self.version = str((metadata and metadata["Version"]) or "of unknown version")

    def problem(self, message: str, trace: str = "") -> PluginProblem:
        return PluginProblem(
            plugin=self.name,
            distribution=self.distribution,
            version=self.version,
            message=message,
            traceback=trace,
        )


class _Loading:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.plugins: list[Plugin] = []
        self.problems: list[PluginProblem] = []
        self.components: dict[tuple[Kind, str], Entry] = {}

    def add(self, candidate: _Candidate) -> None:
        """Load one plugin, or note why not."""
        if candidate.point.group != ENTRY_POINT_GROUP:
            self.problems.append(
                candidate.problem(
                    f"is written for {candidate.point.group}; this harness loads {ENTRY_POINT_GROUP}: "
                    "install a matching version of either"
                )
            )
            return
        try:
            with limited(self.seconds):
                specs = declared(candidate.point)
            found = self._unique(candidate, specs)
        except FaultError as fault:
            self.problems.append(candidate.problem(str(fault)))
            return
        except HangError as error:
            self.problems.append(candidate.problem(str(error), traceback.format_exc()))
            return
        except KeyboardInterrupt:
            raise
        except (
            BaseException
        ) as error:  # SystemExit too: a plugin's sys.exit(0) must not end a run with success
            message = f"raised {type(error).__name__}: {error}"
            self.problems.append(candidate.problem(message, traceback.format_exc()))
            return
        self.components |= found
        self.plugins.append(
            Plugin(
                name=candidate.name,
                distribution=candidate.distribution,
                version=candidate.version,
                components=tuple(found),
            )
        )

    def _unique(
        self, candidate: _Candidate, declared: list[tuple[Kind, Spec]]
    ) -> dict[tuple[Kind, str], Entry]:
        for plugin in self.plugins:
            if plugin.name == candidate.name:
                raise FaultError(f"{plugin.distribution} {plugin.version} has a plugin of this name already")
        found: dict[tuple[Kind, str], Entry] = {}
        for kind, spec in declared:
            if (kind, spec.name) in found:
                raise FaultError(f"declares {kind} {spec.name!r} twice")
            if other := self.components.get((kind, spec.name)):
                raise FaultError(
                    f"declares {kind} {spec.name!r}, which {other.distribution} {other.version} declares; "
                    f"uninstall either, or name the plugins to load in {ALLOW_LIST}"
                )
            found[kind, spec.name] = Entry(
                spec=spec,
                plugin=candidate.name,
                distribution=candidate.distribution,
                version=candidate.version,
            )
        return found


def _installed() -> list[importlib.metadata.EntryPoint]:
    points = importlib.metadata.entry_points()
    return [point for group in points.groups for point in points.select(group=group)]


def _order(candidate: _Candidate) -> tuple[str, str]:
    return candidate.distribution.lower(), candidate.name


def _allowed(candidates: list[_Candidate]) -> list[_Candidate]:
    text = os.environ.get(ALLOW_LIST)
    if text is None:
        return candidates
    names = {name.strip() for name in text.split(",")} - {""}
    installed = {candidate.name for candidate in candidates}
    if unknown := sorted(names - installed):
        listed = "; ".join(f"no plugin {name!r} is installed{nearest(name, installed)}" for name in unknown)
        raise PluginError(f"{ALLOW_LIST}: {listed}", hint=f"Correct or unset {ALLOW_LIST}.")
    return [candidate for candidate in candidates if candidate.name in names]
