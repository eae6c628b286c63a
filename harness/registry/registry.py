"""The registry as a whole: loaded, checked, and asked for its entries under a profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.registry.axes import read_matrix
from harness.registry.check import check_entries, check_links
from harness.registry.document import KeyPath, Problems, spell
from harness.registry.entries import Entries
from harness.registry.extend import NAME, installed, read_registry
from harness.registry.matrices import inherit_matrices
from harness.registry.records import Component, Experiment, Matrix, Stage


@dataclass(frozen=True, eq=False, kw_only=True)
class Registry:
    """What registry.yaml says.

    Attributes:
        path: the file; relative paths in it start from its folder, and results land beside it.
        datasets: by name, in the order of the file.
        experiments: by name, as they are without a profile.
        matrices: by name.
        default_profile: profile of a prepared dataset that the file does not list.
    """

    path: Path
    datasets: Mapping[str, Component]
    experiments: Mapping[str, Experiment]
    matrices: Mapping[str, Matrix]
    default_profile: str | None
    _entries: Entries = field(repr=False)

    @classmethod
    def load(cls, path: Path) -> Registry:
        """Read a file over those that it extends and check all of it, under every profile.

        Raises:
            RegistryError: lists everything that is wrong, with file, line and key.
        """
        problems = Problems(path)
        document = inherit_matrices(read_registry(path), problems)
        entries = Entries(document)
        check_links(entries, problems)
        problems.check()
        check_entries(entries, problems)
        matrices = {name: read_matrix(entries, name, problems) for name in entries.sections["matrices"]}
        problems.check()
        datasets = {
            name: entries.component("datasets", name, None, problems) for name in entries.sections["datasets"]
        }
        experiments = {
            name: entries.experiment(name, None, problems) for name in entries.sections["experiments"]
        }
        return cls(
            path=path,
            datasets=_present(datasets),
            experiments=_present(experiments),
            matrices=_present(matrices),
            default_profile=document.data.get("default_profile"),
            _entries=entries,
        )

    def names(self, section: str) -> tuple[str, ...]:
        """Return the names of the entries of a section, such as ``evaluators``, in the order of the file."""
        return tuple(self._entries.sections[section])

    def component(self, section: str, name: str, profile: str | None) -> Component:
        """Return an entry of encoders, losses or evaluators under a profile; its name must exist."""
        problems = Problems(self.path)
        component = self._entries.component(section, name, profile, problems)
        problems.check()
        assert component is not None
        return component

    def experiment(self, name: str, profile: str | None) -> Experiment:
        """Return an experiment under a profile; its name must exist."""
        problems = Problems(self.path)
        experiment = self._entries.experiment(name, profile, problems)
        problems.check()
        assert experiment is not None
        return experiment

    def stage(
        self, name: str, profile: str | None, changes: Mapping[str, tuple[Any, KeyPath]] | None = None
    ) -> Stage:
        """Return a stage under a profile.

        Args:
            name: must exist.
            changes: fields that an axis sets, each with its value and the key that sets it.

        Raises:
            RegistryError: if the changes do not fit the stage, at the key that sets them.
        """
        problems = Problems(self.path)
        stage = self._entries.stage(name, profile, problems, changes or {})
        problems.check()
        assert stage is not None
        return stage

    def origin(self, matrix: str, axis: str, label: str, field: str) -> KeyPath:
        """Return the key at which a label of an axis sets a field."""
        at: KeyPath = ("matrices", matrix, "axes", axis)
        if isinstance(self._entries.sections["matrices"][matrix]["axes"][axis], tuple):
            return (*at, list(self.matrices[matrix].axes[axis]).index(label))
        return (*at, label, field)

    def at(self, key: KeyPath) -> str:
        """Return a place for an error message: file, line and key."""
        return f"{self._entries.document.place(key)}: {spell(key)}"


def find_registry(start: Path) -> Path:
    """Return the registry.yaml of a folder or of the nearest one above it, else the installed one.

    Raises:
        RegistryError: if there is none.
    """
    folder = start.absolute()
    for place in (folder, *folder.parents):
        if (place / NAME).is_file():
            return place / NAME
    return installed()


def _present(entries: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType({name: entry for name, entry in entries.items() if entry is not None})
