"""For plugin authors: the contract of every kind of component, and adversaries that every evaluator is held against.

pytest loads `harness.testing.plugin` wherever the harness is installed. So nothing is imported here before it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.testing.adversaries import ADVERSARIES, Adversary
    from harness.testing.check import check_evaluator
    from harness.testing.contract import Check
    from harness.testing.contracts import CONTRACTS, check_component
    from harness.testing.datasets import check_dataset
    from harness.testing.distribution import Contract, check_distribution
    from harness.testing.encoders import check_encoder
    from harness.testing.losses import check_loss
    from harness.testing.violation import Violation

_MODULES = {
    "ADVERSARIES": "adversaries",
    "CONTRACTS": "contracts",
    "Adversary": "adversaries",
    "Check": "contract",
    "Contract": "distribution",
    "Violation": "violation",
    "check_component": "contracts",
    "check_dataset": "datasets",
    "check_distribution": "distribution",
    "check_encoder": "encoders",
    "check_evaluator": "check",
    "check_loss": "losses",
}

__all__ = [
    "ADVERSARIES",
    "CONTRACTS",
    "Adversary",
    "Check",
    "Contract",
    "Violation",
    "check_component",
    "check_dataset",
    "check_distribution",
    "check_encoder",
    "check_evaluator",
    "check_loss",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
