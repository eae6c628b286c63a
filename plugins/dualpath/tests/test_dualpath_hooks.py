"""What the plugin declares can be built as it says, and its declaration loads no torch."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import Any

import pytest
import torch

from harness.api import LossSpec
from harness_dualpath import hooks


def test_declaring_loads_nothing_heavy() -> None:
    code = "import harness_dualpath.hooks, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "harness.api" in loaded
    assert not {"torch", "timm", "gensim", "numpy", "pandas", "PIL"} & set(loaded)


@pytest.mark.parametrize(
    "spec", [*hooks.harness_encoders(), *hooks.harness_losses()], ids=lambda spec: spec.name
)
def test_the_sample_of_each_component_can_be_built(spec: Any) -> None:
    module, _, attribute = spec.target.partition(":")
    target = getattr(importlib.import_module(module), attribute)
    values: dict[str, Any] = {"dim": 8, "captions": ["a dog runs", "two men"], "classes": 4, "seed": 0}
    values["train_features"] = lambda: torch.eye(4)
    named = target.__init__.__kwdefaults__.keys() | target.__init__.__annotations__.keys()
    given = {name: value for name, value in values.items() if name in named}
    component = target(**spec.sample, **given)
    assert isinstance(component, torch.nn.Module)
    if isinstance(spec, LossSpec):
        pairs = torch.randn(4, 8, requires_grad=True), torch.randn(4, 8, requires_grad=True)
        component(*pairs, torch.arange(4)).backward()
        assert all(path.grad is not None and path.grad.isfinite().all() for path in pairs)
    else:
        assert component.state_dict()
