"""For plugin authors: adversaries that every evaluator is held against."""

from __future__ import annotations

from harness.testing.adversaries import ADVERSARIES, Adversary
from harness.testing.check import check_evaluator
from harness.testing.violation import Violation

__all__ = ["ADVERSARIES", "Adversary", "Violation", "check_evaluator"]
