"""A plugin as a whole: what it declares, and what it takes of the harness."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from harness.catalog import ALLOW_LIST
from harness.hookspecs import ENTRY_POINT_GROUP
from harness.testing.violation import Violation

HEAVY = (
    "torch",
    "torchvision",
    "timm",
    "gensim",
    "numpy",
    "pandas",
    "pyarrow",
    "scipy",
    "sklearn",
    "matplotlib",
)
"""Libraries that a declaration may not load: `harness list` would wait for them."""
MAY_IMPORT = ("harness.api", "harness.testing")
"""What a plugin may import of the harness, with all below; all else changes without notice."""
PATIENCE = 600
"""Seconds that a declaration may take to load."""
_ANSWER = "heavy libraries: "
_LOADED = """\
import importlib.metadata, json, sys
from harness.catalog import Catalog
before = set(sys.modules)
Catalog.load(entry_points=importlib.metadata.distribution(sys.argv[1]).entry_points)
print("\\n" + sys.argv[2] + json.dumps(sorted({name for name in sys.argv[3:] if name in sys.modules} - before)))
"""


def check_plugin(plugin: str, distribution: str, problem: str = "") -> Iterator[Violation]:
    """Look at a plugin as a whole: whether it loads, what its declarations load, and what it imports of the harness.

    Args:
        problem: why the catalog left it out, if it did.
    """

    def violation(check: str, sample: str, expected: str, found: str, where: str) -> Violation:
        return Violation(
            kind="plugin",
            name=plugin,
            check=check,
            sample=sample,
            expected=expected,
            found=found,
            where=where,
        )

    if problem:
        where = "the module of its entry point; `harness list --strict` says the same"
        yield violation("loading", "", "a plugin that loads", problem, where)
        return
    loaded = _loaded(distribution)
    if isinstance(loaded, str):
        where = "what runs when the module of its entry point is imported, and what it registers for the exit"
        yield violation("loading", "in a process of its own", "a plugin that loads", loaded, where)
    elif loaded:
        where = "imports at the top of the module of hooks and of what it imports: name a 'target' instead"
        yield violation("light", "", "declarations that load no heavy library", ", ".join(loaded), where)
    for place, module in _foreign(plugin, distribution):
        yield violation(
            "api",
            module,
            f"no other part of the harness than {MAY_IMPORT[0]}",
            f"an import at {place}",
            place,
        )


def _loaded(distribution: str) -> list[str] | str:
    """Return the heavy libraries that a fresh process loads with the declarations, or what it died of."""
    # A list of plugins may name others than this distribution brings, which would be a fault there.
    environment = {key: value for key, value in os.environ.items() if key != ALLOW_LIST}
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter, on our own text
            [sys.executable, "-c", _LOADED, distribution, _ANSWER, *HEAVY],
            env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return f"no end after {PATIENCE} seconds"
    # Whatever a plugin prints itself, before or after.
    answers = [line for line in done.stdout.splitlines() if line.startswith(_ANSWER)]
    if done.returncode or not answers:
        told = (done.stderr.strip().splitlines() or ["nothing on standard error"])[-1]
        return f"exit code {done.returncode}: {told}"
    found: list[str] = json.loads(answers[-1].removeprefix(_ANSWER))
    return found


def _foreign(plugin: str, distribution: str) -> Iterator[tuple[str, str]]:
    """Yield file and line of each import of the harness that no plugin should make, and the module."""
    for point in importlib.metadata.distribution(distribution).entry_points:
        if point.group == ENTRY_POINT_GROUP and point.name == plugin:
            for path in _sources(point.module):
                for line, module in sorted(_imports(_parsed(path))):
                    if _within(module, "harness") and not any(_within(module, part) for part in MAY_IMPORT):
                        yield f"{path}:{line}", module


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _parsed(path: Path) -> ast.AST:
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return ast.Module(body=[], type_ignores=[])  # whoever imports it says so


def _sources(module: str) -> list[Path]:
    spec = importlib.util.find_spec(module.partition(".")[0])
    if spec is None:
        return []
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    alone = [Path(spec.origin)] if not folders and spec.origin else []
    return alone + sorted(path for folder in folders for path in folder.rglob("*.py"))


def _imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            whole = node.module == "harness"
            yield from ((node.lineno, f"harness.{a.name}" if whole else node.module) for a in node.names)
