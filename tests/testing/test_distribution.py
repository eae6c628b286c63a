"""`harness plugin check`, the pytest plugin, and plugins as a whole: a distribution that breaks what it can."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.errors import InputError
from harness.testing import check_distribution
from harness.testing.declaring import check_plugin
from harness.testing.distribution import contracts_of

HOOKS = """\
import math

import numpy

import harness.store
import harness.testing.samples
from harness import ranking
from harness.api import LossSpec, hookimpl

@hookimpl
def harness_losses():
    return [
        LossSpec(name="acme-fine", target="acme_mixed.losses:Fine", summary="fine"),
        LossSpec(name="acme-repels", target="acme_mixed.losses:Repels", summary="repels"),
        LossSpec(name="acme-absent", target="acme_mixed.losses:Absent", summary="is not there"),
    ]
"""
LOSSES = """\
from torch import nn
from torch.nn import functional


class Fine(nn.Module):
    def never(self):
        from harness.apiary import bees  # no part of harness.api, though its name begins alike

    def forward(self, image, text, group):
        return 1 - functional.cosine_similarity(image, text).mean()


class Repels(Fine):
    def forward(self, image, text, group):
        return -super().forward(image, text, group)
"""
DIES = """\
import os, sys

if sys.argv[0] == "-c":
    os.write(2, b"no display here\\n")
    os._exit(3)

from harness.api import hookimpl


@hookimpl
def harness_losses():
    return []
"""
TEST = """\
import pytest


@pytest.mark.harness_plugin("acme-mixed")
def test_contract(harness_contract):
    harness_contract.hold()
"""


@pytest.fixture
def mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the distribution `acme-mixed` is installed, and one that raises."""
    site = tmp_path / "site"
    for name, point, files in (
        ("acme_mixed", "acme_mixed.hooks", {"hooks": HOOKS, "losses": LOSSES, "__init__": ""}),
        ("acme_raises", "acme_raises", {"__init__": "raise RuntimeError('boom')"}),
        ("acme_dies", "acme_dies", {"__init__": DIES}),
    ):
        package, info = site / name, site / f"{name}-1.0.dist-info"
        package.mkdir(parents=True)
        info.mkdir()
        for module, text in files.items():
            (package / f"{module}.py").write_text(text)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n"
        )
        (info / "entry_points.txt").write_text(f"[harness.v1]\n{name[5:]} = {point}\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.delenv("HARNESS_PLUGINS", raising=False)
    return site


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, timeout=600
    )


def test_all_that_a_distribution_brings_is_checked(mixed: Path) -> None:
    found = {(v.kind, v.name, v.check, v.sample) for v in check_distribution("Acme.Mixed")}
    assert found == {
        ("plugin", "mixed", "light", ""),
        ("plugin", "mixed", "api", "harness.store"),
        ("plugin", "mixed", "api", "harness.ranking"),
        ("plugin", "mixed", "api", "harness.apiary"),
        *(("loss", "acme-repels", "agreement", f"8 pairs of seed {seed}") for seed in range(3)),
        ("loss", "acme-absent", "build", ""),
    }


def test_a_plugin_that_was_left_out_is_a_violation(mixed: Path) -> None:
    (violation,) = check_distribution("acme-raises")
    assert (violation.kind, violation.check) == ("plugin", "loading")
    assert "RuntimeError: boom" in violation.found
    with pytest.raises(InputError, match=r"no distribution 'acme-mixt'.*did you mean 'acme-mixed'"):
        contracts_of("acme-mixt")


def test_one_that_dies_in_a_process_of_its_own_is_told(mixed: Path) -> None:
    (violation,) = check_distribution("acme-dies")
    assert (violation.check, violation.sample) == ("loading", "in a process of its own")
    assert violation.found == "exit code 3: no display here"


def test_a_list_of_plugins_is_no_fault_of_one_of_them(mixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_PLUGINS", "mixed,recall")
    assert {violation.check for violation in check_plugin("mixed", "acme-mixed")} == {"light", "api"}


def test_the_command_prints_a_table_and_exits_with_1(mixed: Path, tmp_path: Path) -> None:
    done = run(tmp_path, "harness.cli", "plugin", "check", "acme-mixed", "--json")
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert told["violations"] == 8
    results: dict[str, list[Any]] = {c["name"]: c["violations"] for c in told["components"]}
    assert results["acme-fine"] == []
    assert results["acme-absent"][0]["where"] == "the LossSpec of 'acme-absent', and acme_mixed.losses:Absent"
    done = run(tmp_path, "harness.cli", "plugin", "check", "retrieval-harness-recall")
    assert done.returncode == 0, done.stderr
    assert [line.count("kept") for line in done.stdout.splitlines() if "recall" in line][1:] == [1, 1]
    assert "all contracts are kept" in done.stderr
    done = run(tmp_path, "harness.cli", "plugin", "check", "pytest")
    assert done.returncode == 2
    assert "no distribution 'pytest' with a plugin is installed" in done.stderr


def test_the_pytest_plugin_runs_a_test_for_each_component(mixed: Path, tmp_path: Path) -> None:
    (tmp_path / "test_acme.py").write_text(TEST)
    done = run(tmp_path, "pytest", "-q", "--strict-markers", "-p", "no:cacheprovider", "-rA", "--tb=short")
    assert done.returncode == 1
    for name in ("plugin-mixed", "loss-acme-repels", "loss-acme-absent"):
        assert f"FAILED test_acme.py::test_contract[{name}]" in done.stdout
    assert "PASSED test_acme.py::test_contract[loss-acme-fine]" in done.stdout
    assert "E   AssertionError: loss 'acme-repels', check 'agreement': 8 pairs of seed 0" in done.stdout
    (tmp_path / "test_acme.py").write_text(TEST.replace("acme-mixed", "acme-mixt"))
    done = run(tmp_path, "pytest", "-q", "-p", "no:cacheprovider")
    assert "no distribution 'acme-mixt' with a plugin is installed; did you mean 'acme-mixed'?" in done.stdout
    (tmp_path / "test_acme.py").write_text("def test(harness_contract): pass\n")
    done = run(tmp_path, "pytest", "-q", "-p", "no:cacheprovider")
    assert '@pytest.mark.harness_plugin("NAME")' in done.stdout


def test_the_pytest_plugin_costs_nothing_where_it_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(
        "import sys\n\n\ndef test_loaded():\n"
        "    ours = sorted(name for name in sys.modules if name.partition('.')[0] == 'harness')\n"
        "    assert ours == ['harness', 'harness.testing', 'harness.testing.plugin']\n"
        "    assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules)\n"
    )
    done = run(tmp_path, "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    assert done.returncode == 0, done.stdout
