"""Every evaluator that is installed is held against every adversary, with its defaults and as the registry sets it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.catalog import Catalog
from harness.registry import Registry
from harness.testing import check_evaluator

ROOT = Path(__file__).resolve().parents[2]
CATALOG = Catalog.load()


def cases() -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return component and parameters by a name to read: all defaults, then the entries that set some."""
    found: dict[str, tuple[str, Mapping[str, Any]]] = {
        entry.spec.name: (entry.spec.name, {}) for entry in CATALOG.entries("evaluator")
    }
    registry = Registry.load(ROOT / "registry.yaml")
    for name in registry.names("evaluators"):
        entry = registry.component("evaluators", name, None)
        if entry.params:
            found[f"entry {name}"] = (entry.use, entry.params)
    # What the entries do not set, and what others may.
    found |= {
        f"recall {params}": ("recall", params)
        for params in ({"policy": "expected"}, {"k": (1, 2, 100)}, {"folds": 12, "policy": "expected"})
    }
    return found


CASES = cases()


@pytest.mark.parametrize("case", CASES)
def test_no_adversary_finds_anything(case: str) -> None:
    name, params = CASES[case]
    assert [str(violation) for violation in check_evaluator(name, params=params, catalog=CATALOG)] == []


def test_all_evaluators_of_this_repository_are_among_them() -> None:
    assert CATALOG.problems == ()
    assert {"recall", "twins", "cxc", "eccv-caption", "expert-judgments"} <= set(CASES)
    assert "entry recall-1k" in CASES
