"""registry.yaml -> validated frozen records."""

from harness.registry.records import Component, Experiment, Group, Matrix, Stage

__all__ = ["Component", "Experiment", "Group", "Matrix", "Stage"]
