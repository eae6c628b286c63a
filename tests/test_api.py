"""The surface that plugins build on: whole, documented, light, and as the docs name it."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness import api

ROOT = Path(__file__).resolve().parents[1]
VALUES = {"ENTRY_POINT_GROUP", "SPLITS", "Policy", "hookimpl"}


def test_all_is_what_the_module_imports() -> None:
    tree = ast.parse(Path(api.__file__).read_text(encoding="utf-8"))
    imported = {
        name.asname or name.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module != "__future__"
        for name in node.names
    }
    assert set(api.__all__) == imported
    assert len(api.__all__) == len(set(api.__all__))


@pytest.mark.parametrize("name", sorted(set(api.__all__) - VALUES))
def test_every_class_and_function_is_documented_with_its_methods(name: str) -> None:
    thing = getattr(api, name)
    assert inspect.isclass(thing) or inspect.isfunction(thing)
    first = (thing.__doc__ or "").splitlines()[0]
    assert first
    assert not first.startswith(f"{name}(")  # what a dataclass writes by itself
    for attribute, member in vars(thing).items() if inspect.isclass(thing) else ():
        if inspect.isfunction(member) and not attribute.startswith("_"):
            assert member.__doc__, f"{name}.{attribute}"


def test_values() -> None:
    assert api.ENTRY_POINT_GROUP == "harness.v1"
    assert api.SPLITS == ("train", "val", "test")


def test_plugins_of_this_repository_import_the_surface_and_nothing_below() -> None:
    pattern = re.compile(r"^\s*(?:from|import)\s+(harness(?:\.\w+)*)\b", re.MULTILINE)
    sources = [*ROOT.glob("plugins/*/src/**/*.py"), *(ROOT / "tests" / "toy").rglob("*.py")]
    assert len(sources) > 20
    for path in sources:
        used = set(pattern.findall(path.read_text(encoding="utf-8")))
        assert used <= {"harness.api"}, path


def test_importing_it_is_cheap() -> None:
    code = "import sys, harness.api; print(sorted({'torch', 'numpy', 'pandas', 'rich', 'typer'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
