"""registry.yaml -> validated frozen records."""

from harness.registry.document import KeyPath, read_value
from harness.registry.extend import DEFAULT, NAME, entry_names, installed
from harness.registry.records import COMPONENT_KINDS, Component, Experiment, Group, Matrix, Stage
from harness.registry.registry import Registry, find_registry
from harness.registry.values import FILE, expand, file_path

__all__ = [
    "COMPONENT_KINDS",
    "DEFAULT",
    "FILE",
    "NAME",
    "Component",
    "Experiment",
    "Group",
    "KeyPath",
    "Matrix",
    "Registry",
    "Stage",
    "entry_names",
    "expand",
    "file_path",
    "find_registry",
    "installed",
    "read_value",
]
