"""Imports point down, the core imports no plugin, and nothing happens when a module is imported."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(path for path in (ROOT / "harness").rglob("*.py"))
DERIVED = {ROOT / "harness" / "distributed" / name for name in ("collectives.py", "whole_batch.py")}
"""Classes derived from torch's, imported by functions where several processes share a batch."""


def test_import_contracts_hold() -> None:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 kept, 0 broken" in done.stdout


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_of_the_core_imports_a_heavy_library_at_its_top(path: Path) -> None:
    heavy = {"torch", "timm", "gensim", "pandas", "pyarrow", "sklearn", "scipy", "matplotlib", "numpy"}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not {name.partition(".")[0] for name in names} & (
            heavy - {"torch"} if path in DERIVED else heavy
        )


def test_importing_every_module_prints_nothing_and_writes_nothing(tmp_path: Path) -> None:
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in MODULES
        if path.name != "__main__.py"
    ]
    code = f"""
import importlib, os, signal
before = dict(os.environ), signal.getsignal(signal.SIGTERM)
for name in {names!r}:
    importlib.import_module(name)
assert before == (dict(os.environ), signal.getsignal(signal.SIGTERM))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
