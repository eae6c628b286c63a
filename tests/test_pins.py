"""No version of a library with a known flaw is allowed: the table of docs/security.md, bounds, what is installed."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
TABLE = re.findall(
    r"^\| ([a-z-]+) \| ([\d.]+) \| .*CVE-\d{4}-\d+",
    (ROOT / "docs" / "security.md").read_text(encoding="utf-8"),
    re.M,
)
PROJECTS = (ROOT / "pyproject.toml", *sorted((ROOT / "plugins").glob("*/pyproject.toml")))


def requirements(path: Path) -> Iterator[Requirement]:
    """Yield all requirements of a project: its own, of its extras, of its groups, and what is measured with."""
    whole = tomllib.loads(path.read_text(encoding="utf-8"))
    project = whole["project"]
    lists = [
        project.get("dependencies", []),
        *project.get("optional-dependencies", {}).values(),
        *whole.get("dependency-groups", {}).values(),
        whole.get("tool", {}).get("uv", {}).get("constraint-dependencies", []),
    ]
    for texts in lists:
        yield from map(Requirement, texts)


@pytest.mark.parametrize(("library", "least"), TABLE)
def test_no_bound_lets_a_version_in_that_has_a_known_flaw(library: str, least: str) -> None:
    found = [(path, need) for path in PROJECTS for need in requirements(path) if need.name.lower() == library]
    assert found
    for path, need in found:
        begin = [part.version for part in need.specifier if part.operator in (">=", "==")]
        assert begin, f"{path}: {need} has no lower bound"
        assert max(map(Version, begin)) >= Version(least), f"{path}: {need}, older than {least}"


@pytest.mark.parametrize(("library", "least"), TABLE)
def test_what_is_installed_is_no_older(library: str, least: str) -> None:
    try:
        installed = importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("an extra that is not installed")
    assert Version(installed) >= Version(least)


def test_the_table_has_the_libraries_that_read_what_others_wrote() -> None:
    assert {name for name, _ in TABLE} >= {"torch", "pillow", "pyarrow", "pyyaml", "ray", "filelock"}


def test_the_rules_of_bandit_are_on_where_others_files_are_read() -> None:
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    assert [rule for rule in lint["ignore"] if rule.startswith("S")] == ["S101"]
    own = {pattern for pattern, rules in lint["per-file-ignores"].items() if "S" in rules}
    assert own == {"**/tests/*", "tests/*"}
    assert "ruff check ." in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
