"""What the plugin declares."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.metadata import entry_points

from harness.api import ENTRY_POINT_GROUP, DatasetSpec, EvaluatorSpec
from harness_shapes import hooks
from harness_shapes.dataset import Shapes


def test_the_plugin_is_found_by_its_entry_point() -> None:
    (point,) = entry_points(group=ENTRY_POINT_GROUP, name="shapes")
    assert point.load() is hooks


def test_it_declares_a_dataset_and_an_evaluator() -> None:
    (dataset,), (evaluator,) = hooks.harness_datasets(), hooks.harness_evaluators()
    assert isinstance(dataset, DatasetSpec)
    assert dataset.embedded
    assert isinstance(evaluator, EvaluatorSpec)
    for spec in (dataset, evaluator):
        module, attribute = spec.target.split(":")
        assert callable(getattr(import_module(module), attribute))
    assert len(Shapes(**dataset.sample).annotations(None).records) == 64


def test_declaring_loads_nothing_heavy() -> None:
    program = "import sys, harness_shapes.hooks; print(*{'numpy', 'PIL', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
