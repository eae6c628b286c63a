"""What `harness plugin new` writes: where, in which style, and with which registry."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from harness.errors import InputError
from harness.registry import Registry
from harness.scaffold import KINDS, names_of, root_lines, write_plugin
from harness.scaffold.naming import LONGEST

ROOT = Path(__file__).resolve().parents[2]


def ruff(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *arguments, "--no-cache", "."],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("name", ["x", "soft-hinge", "w" * LONGEST], ids=["short", "usual", "longest"])
@pytest.mark.parametrize("workspace", [False, True], ids=["outside", "inside"])
def test_all_are_formatted_and_clean_under_their_own_settings_and_ours(
    tmp_path: Path, name: str, workspace: bool
) -> None:
    for sort in KINDS:
        write_plugin(names_of(name, KINDS[sort].kind), sort, tmp_path / sort, workspace=workspace)
    # Where they would lie, their own folders of sources would be among ours.
    sources = ", ".join(f'"{folder}"' for folder in (ROOT, *(tmp_path / sort / "src" for sort in KINDS)))
    ours = ["--config", str(ROOT / "pyproject.toml"), "--config", f"src = [{sources}]"] if workspace else []
    assert ruff(tmp_path, "check", *ours) == ""
    if name != "w" * LONGEST:  # of which lines are folded otherwise
        assert ruff(tmp_path, "format", "--check", *ours) == ""


@pytest.mark.parametrize("sort", KINDS)
def test_it_is_a_package_with_an_entry_point_and_lower_bounds(tmp_path: Path, sort: str) -> None:
    written = write_plugin(names_of("soft-hinge", KINDS[sort].kind), sort, tmp_path / "new")
    assert sorted(written.files) == sorted(
        str(path.relative_to(tmp_path / "new")) for path in (tmp_path / "new").rglob("*") if path.is_file()
    )
    project = tomllib.loads((tmp_path / "new" / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"] == {"harness.v1": {"soft-hinge": "harness_soft_hinge.hooks"}}
    assert all(">=" in requirement for requirement in project["dependencies"])
    assert not [
        path
        for path in (tmp_path / "new").rglob("*")
        if path.is_file() and "$" in path.read_text(encoding="utf-8")
    ]


@pytest.mark.parametrize("sort", KINDS)
def test_its_registry_extends_ours_by_a_matrix(tmp_path: Path, sort: str) -> None:
    written = write_plugin(names_of("soft-hinge", KINDS[sort].kind), sort, tmp_path / "new")
    text = (tmp_path / "new" / "registry.yaml").read_text(encoding="utf-8")
    assert written.snippet in text
    assert written.snippet in (tmp_path / "new" / "README.md").read_text(encoding="utf-8")
    registry = Registry.load(tmp_path / "new" / "registry.yaml")
    assert "soft-hinge" in registry.matrices
    assert registry.matrices["soft-hinge"].leaderboard, "it ends with a row in a table"
    assert "ablations" in registry.matrices
    alone = tmp_path / "registry.yaml"
    alone.write_text(f"version: 1\nextends: default\n{written.snippet}\n", encoding="utf-8")
    Registry.load(alone)


@pytest.mark.parametrize("workspace", [False, True], ids=["outside", "inside"])
def test_its_readme_tells_of_every_file_that_is_no_formality(tmp_path: Path, workspace: bool) -> None:
    written = write_plugin(names_of("x", "loss"), "loss", tmp_path / "new", workspace=workspace)
    readme = (tmp_path / "new" / "README.md").read_text(encoding="utf-8")
    tree = readme.partition("## What lies where")[2].partition("## What to do next")[0]
    told = {line.split()[0] for line in tree.splitlines() if line.startswith("    ")}
    formal = {"README.md", *(name for name in written.files if name.endswith(("/__init__.py", "/py.typed")))}
    assert told == set(written.files) - formal


def test_what_runs_leave_behind_is_kept_out_of_git(tmp_path: Path) -> None:
    outside = write_plugin(names_of("x", "loss"), "loss", tmp_path / "outside")
    assert ".harness/" in (tmp_path / "outside" / ".gitignore").read_text(encoding="utf-8").splitlines()
    inside = write_plugin(names_of("x", "loss"), "loss", tmp_path / "inside", workspace=True)
    assert set(outside.files) - set(inside.files) == {".gitignore"}  # that of the repository counts there


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    names = names_of("x", "loss")
    full, file, link, empty = (tmp_path / name for name in ("full", "file", "link", "empty"))
    full.mkdir()
    empty.mkdir()
    (full / "mine").touch()
    file.touch()
    link.symlink_to(empty)
    for folder in (full, file, link):
        with pytest.raises(InputError, match="is there and not an empty folder"):
            write_plugin(names, "loss", folder)
    write_plugin(names, "loss", empty)
    with pytest.raises(InputError, match=r"below cannot be written: .*file"):
        write_plugin(names, "loss", file / "below")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file", "full", "link"]
    assert [path.name for path in full.iterdir()] == ["mine"]


def test_what_is_to_be_added_to_the_root_belongs_where_it_says() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    names = names_of("recall", "evaluator")
    lines = root_lines(names)
    assert names.distribution in settings["dependency-groups"]["plugins"]
    assert names.distribution in settings["tool"]["uv"]["sources"]
    path = lines["pyproject.toml, [tool.mypy] mypy_path"]
    assert path in settings["tool"]["mypy"]["mypy_path"]
    forbidden = [c for c in settings["tool"]["importlinter"]["contracts"] if c["type"] == "forbidden"]
    assert any(names.package in contract["forbidden_modules"] for contract in forbidden)
    assert "  recall/" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("sort", KINDS)
def test_it_depends_on_what_it_imports_and_on_nothing_else(tmp_path: Path, sort: str) -> None:
    write_plugin(names_of("x", KINDS[sort].kind), sort, tmp_path / "new")
    project = tomllib.loads((tmp_path / "new" / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    providers = {
        **packages_distributions(),
        "harness": ["retrieval-harness"],
    }  # which is installed in editable form

    def imported(folder: str) -> set[str]:
        trees = [
            ast.parse(path.read_text(encoding="utf-8")) for path in (tmp_path / "new" / folder).rglob("*.py")
        ]
        nodes = [node for tree in trees for node in ast.walk(tree)]
        names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
        tops = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"harness_x"}
        # What nobody here provides stays a name of a module, which is none of a declared distribution.
        return {canonicalize_name(providers.get(top, [top])[0]) for top in tops}

    declared = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    for_tests = project["optional-dependencies"]["test"]
    assert imported("src") == declared
    assert imported("tests") <= declared | {canonicalize_name(Requirement(text).name) for text in for_tests}
    for text in (*project["dependencies"], *for_tests):
        assert Requirement(text).specifier.contains(version(Requirement(text).name), prereleases=True), text
