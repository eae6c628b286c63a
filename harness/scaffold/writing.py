"""Templates to files."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from harness.data.folder import umask
from harness.errors import InputError
from harness.hookspecs import ENTRY_POINT_GROUP
from harness.scaffold.naming import Names
from harness.specs import Kind

_TEMPLATES = Path(__file__).resolve().parent / "templates"
TORCH, NUMPY = "torch>=2.11,!=2.13.0", "numpy>=2.0"


@dataclass(frozen=True, kw_only=True)
class Sort:
    """One sort of plugin.

    Attributes:
        kind: of the component.
        summary: one line of what the component does.
        sentence: the same as the end of a sentence.
        requires: what the package depends on, beside the harness.
        tests: what its tests depend on, beside that and pytest.
    """

    kind: Kind
    summary: str
    sentence: str
    requires: str
    tests: str = ""


KINDS: Mapping[str, Sort] = {
    "loss": Sort(
        kind="loss",
        summary="Mean hinge over all wrong pairs of the batch",
        sentence="the mean hinge over all wrong pairs of a batch",
        requires=TORCH,
    ),
    "image": Sort(
        kind="encoder",
        summary="A small convolutional network over pixels",
        sentence="a small convolutional network over pixels",
        requires=TORCH,
        tests=NUMPY,
    ),
    "text": Sort(
        kind="encoder",
        summary="The mean of hashed words' embeddings",
        sentence="the mean of hashed words' embeddings",
        requires=TORCH,
    ),
    "dataset": Sort(
        kind="dataset",
        summary="Generated stripes in two colours, three captions an image",
        sentence="generated stripes in two colours, with three captions an image",
        requires=NUMPY,
    ),
    "evaluator": Sort(
        kind="evaluator",
        summary="Mean reciprocal rank in both directions",
        sentence="the mean reciprocal rank in both directions",
        requires=NUMPY,
    ),
}
"""What can be begun: a kind, or of an encoder its modality."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """A plugin that was written.

    Attributes:
        folder: where it lies.
        files: its files, below it.
        snippet: the lines of a registry that name the component.
    """

    names: Names
    folder: Path
    files: tuple[str, ...]
    snippet: str


def write_plugin(names: Names, sort: str, folder: Path, *, workspace: bool = False) -> Written:
    """Write a plugin into a folder that is not there or empty; all of it, or nothing.

    Args:
        sort: a key of `KINDS`.
        workspace: it becomes a member of the harness's own workspace, whose settings of checks count for it.

    Raises:
        InputError: if the folder holds something, is no folder, or cannot be written.
    """
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise InputError(
            f"{folder} is there and not an empty folder", hint="Name another one with --to, or move it away."
        )
    files, snippet = _files(names, sort, workspace)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{names.name}-", dir=folder.parent))
        try:
            for name, text in files.items():
                path = partial / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            partial.chmod(0o777 & ~umask())
            os.replace(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written: {error.strerror or error}: {error.filename or folder}",
            hint="Name another folder with --to.",
        ) from error
    return Written(names=names, folder=folder, files=tuple(files), snippet=snippet)


def commands(names: Names, *, workspace: bool) -> tuple[str, ...]:
    """Return the commands from a new package to a row of a table, in its folder, or in the root of the workspace."""
    if workspace:
        own = f"plugins/{names.name}"
        return (
            "uv sync",
            f"uv run pytest {own}",
            f"uv run harness plugin check {names.distribution}",
            f"uv run harness run --matrix {names.name} --registry {own}/registry.yaml",
        )
    return (
        'uv pip install -e ".[test]"',
        "pytest",
        f"harness plugin check {names.distribution}",
        f"harness run --matrix {names.name}",
    )


def root_lines(names: Names) -> Mapping[str, str]:
    """Return what a plugin in the harness's own repository adds to its root: file and section -> lines."""
    return {
        "pyproject.toml, [dependency-groups] plugins": f'"{names.distribution}",',
        "pyproject.toml, [tool.uv.sources]": f"{names.distribution} = {{ workspace = true }}",
        "pyproject.toml, [tool.mypy] mypy_path": f":plugins/{names.name}/src",
        "pyproject.toml, [[tool.importlinter.contracts]] forbidden_modules": f'"{names.package}",',
        "README.md, the tree, below plugins/": f"  {names.name + '/':<20}what it holds",
    }


def _files(names: Names, sort: str, workspace: bool) -> tuple[dict[str, str], str]:
    """Return the files by their path below the folder, and the snippet of a registry."""
    told = KINDS[sort]
    module = told.kind
    fields = {
        "name": names.name,
        "distribution": names.distribution,
        "package": names.package,
        "class": names.cls,
        "title": f'"{names.name}"',
        "kind": told.kind,
        "module": module,
        "summary": told.summary,
        "sentence": told.sentence,
        "group": ENTRY_POINT_GROUP,
        "version": importlib.metadata.version("retrieval-harness"),
        "requires": f'    "{told.requires}",\n',
        "tests": f'"{told.tests}", ' if told.tests else "",
    }
    fields["settings"] = _filled("common/workspace" if workspace else "common/settings", fields)
    snippet = _filled(f"{sort}/entries", fields).rstrip()
    fields["snippet"] = snippet
    fields["advice"] = _filled(f"{sort}/advice", fields).rstrip()
    fields["commands"] = "\n".join(commands(names, workspace=workspace))
    files = {
        "pyproject.toml": "common/pyproject.toml",
        "README.md": "common/README.md",
        "registry.yaml": "",
        f"src/{names.package}/__init__.py": "common/init",
        f"src/{names.package}/hooks.py": f"{sort}/hooks",
        f"src/{names.package}/{module}.py": f"{sort}/component",
        f"src/{names.package}/py.typed": "",
        f"tests/test_{names.package}.py": f"{sort}/test",
    }
    if not workspace:
        files[".gitignore"] = "common/gitignore"
    fields["tree"] = _tree(names, told.kind, workspace)
    texts = {path: _filled(template, fields) if template else "" for path, template in files.items()}
    texts["registry.yaml"] = (
        "# Entries over those of the harness, which `extends: default` brings.\nversion: 1\nextends: default\n\n"
        f"{snippet}\n{_filled(f'{sort}/matrix', fields)}"
    )
    return texts, snippet


def _tree(names: Names, kind: str, workspace: bool) -> str:
    source, tests = f"src/{names.package}", f"tests/test_{names.package}.py"
    rows = {
        "pyproject.toml": "the package; its entry point is how the harness finds it",
        f"{source}/hooks.py": f"what it declares: name, place, summary and reference of the {kind}",
        f"{source}/{kind}.py": f"the {kind} itself",
        tests: "its contract, and what only you know of it",
        "registry.yaml": "its parameters, and a matrix that runs it",
    }
    if not workspace:
        rows[".gitignore"] = "what runs leave behind, and is not to be committed"
    width = max(map(len, rows)) + 2
    return "\n".join(f"    {path:<{width}}{about}" for path, about in rows.items())


def _filled(template: str, fields: Mapping[str, str]) -> str:
    text = (_TEMPLATES / f"{template}.tmpl").read_text(encoding="utf-8")
    return Template(text).substitute(fields)
