"""registry.yaml -> validated frozen records."""

from harness.registry.records import Component, Experiment, Group, Matrix, Stage
from harness.registry.values import FILE, expand, file_path

__all__ = ["FILE", "Component", "Experiment", "Group", "Matrix", "Stage", "expand", "file_path"]
