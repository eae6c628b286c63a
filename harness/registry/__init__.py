"""registry.yaml -> validated frozen records."""

from harness.registry.document import KeyPath, read_value
from harness.registry.records import COMPONENT_KINDS, Component, Experiment, Group, Matrix, Stage
from harness.registry.registry import NAME, Registry, find_registry
from harness.registry.values import FILE, expand, file_path

__all__ = [
    "COMPONENT_KINDS",
    "FILE",
    "NAME",
    "Component",
    "Experiment",
    "Group",
    "KeyPath",
    "Matrix",
    "Registry",
    "Stage",
    "expand",
    "file_path",
    "find_registry",
    "read_value",
]
