"""The README names every component, parameter and figure."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest

from harness_baselines.hooks import harness_encoders, harness_losses

README = Path(__file__).resolve().parents[1] / "README.md"
GIVEN = {"dim", "captions", "classes", "seed"}


@pytest.mark.parametrize("spec", [*harness_encoders(), *harness_losses()], ids=lambda spec: spec.name)
def test_the_readme_tells_parameters_and_defaults(spec):
    module, _, name = spec.target.partition(":")
    section = README.read_text(encoding="utf-8").split(f"\n## `{spec.name}`")[1].split("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| `")]
    told = {row[0].strip("| `"): row[1].strip("` ") for row in rows if len(row) == 3}
    signature = inspect.signature(getattr(importlib.import_module(module), name)).parameters
    defaults = {key: parameter.default for key, parameter in signature.items() if key not in GIVEN}
    spelled = {True: "true", False: "false", None: "null"}
    assert told == {
        key: spelled[value] if value is None or isinstance(value, bool) else str(value)
        for key, value in defaults.items()
    }
