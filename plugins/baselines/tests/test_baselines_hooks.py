"""What the package declares can be built, and it knows nothing but harness.api."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import harness_baselines
from harness_baselines.hooks import harness_encoders, harness_losses

CAPTIONS = ("A black dog runs.", "A white dog sleeps.", "Two girls play with a dog", "A red car")
GIVEN = {"dim": 3, "captions": CAPTIONS, "seed": 0}
SOURCES = sorted(Path(harness_baselines.__file__).parent.glob("*.py"))


def built(spec):
    module, _, name = spec.target.partition(":")
    target = getattr(importlib.import_module(module), name)
    known = inspect.signature(target).parameters
    values = {key: value for key, value in GIVEN.items() if key in known}
    return target(**values, **spec.sample)


@pytest.mark.parametrize("spec", [*harness_encoders(), *harness_losses()], ids=lambda spec: spec.name)
def test_a_sample_can_be_built(spec):
    assert isinstance(built(spec), torch.nn.Module)


@pytest.mark.parametrize("spec", harness_encoders(), ids=lambda spec: spec.name)
def test_an_encoder_restores_its_state(spec):
    torch.manual_seed(1)
    first = built(spec)
    torch.manual_seed(2)
    second = built(spec)
    batch = torch.stack([first.prepare(caption, training=False) for caption in CAPTIONS])
    first.train()
    first(batch)  # moves the statistics of batch normalisation
    second.load_state_dict(first.state_dict())
    first.eval()
    second.eval()
    assert first(batch).shape == (4, 3)
    assert torch.equal(first(batch), second(batch))


def test_the_harness_is_known_by_its_api_alone():
    imported = set()
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module)
    assert {name for name in imported if name.startswith("harness")} == {
        "harness.api",
        *(
            f"harness_baselines.{source.stem}"
            for source in SOURCES
            if f"harness_baselines.{source.stem}" in imported
        ),
    }


def test_declaring_loads_no_library():
    code = "import sys, harness_baselines.hooks as h; h.harness_encoders(); h.harness_losses(); print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "timm", "scipy", "sklearn", "numpy", "PIL"} & set(output.stdout.split())


@pytest.mark.parametrize(
    "spec", [spec for spec in harness_losses() if spec.name != "cca"], ids=lambda spec: spec.name
)
def test_a_loss_reads_nothing_back_from_its_device(spec):
    # A fake tensor has no numbers: what reads one, where a GPU would have to be waited for, fails.
    with FakeTensorMode(), torch.device("cuda"):
        loss = built(spec).train()
        pairs = [torch.ones(6, 4, device="cuda") for _ in range(2)]
        assert loss(*pairs, torch.arange(6, device="cuda")).device.type == "cuda"
        assert {figure.device.type for figure in loss.figures().values()} == {"cuda"}
