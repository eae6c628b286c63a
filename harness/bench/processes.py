"""Processes of Python code: commands of the harness, and others that import what those imported and do nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import RunError

MAIN = "from harness.cli import main\nmain()"
"""A command of the harness; its arguments follow."""
_TELL = (
    "import atexit, json, os, sys\n"
    "atexit.register(lambda: open(os.environ['BENCH_MODULES'], 'w').write(json.dumps(list(sys.modules))))\n"
)
_IMPORT = (
    "import importlib, json, os\n"
    "for name in json.load(open(os.environ['BENCH_MODULES'])):\n"
    "    try:\n"
    "        importlib.import_module(name)\n"
    "    except BaseException:\n"
    "        pass\n"
)


@dataclass(frozen=True)
class Processes:
    """Runs Python code in a folder, each time in a process of its own."""

    folder: Path

    def run(self, code: str, *arguments: str, modules: Path | None = None) -> str:
        """Run code and return what it printed.

        Args:
            modules: a file that gets the names of the modules that were loaded at its end.

        Raises:
            RunError: with the end of what it said, if it fails.
        """
        return self._run(code if modules is None else _TELL + code, arguments, modules)

    def imported(self, modules: Path) -> None:
        """Import the modules that `run` wrote down, in the same order, and do nothing else.

        Raises:
            RunError: if that ends the process.
        """
        self._run(_IMPORT, (), modules)

    def _run(self, code: str, arguments: Sequence[str], modules: Path | None) -> str:
        told = {} if modules is None else {"BENCH_MODULES": str(modules)}
        done = subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-c", code, *arguments],
            cwd=self.folder,
            env={**os.environ, **told},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            what = f"harness {' '.join(arguments)}" if code.endswith(MAIN) else repr(code)
            raise RunError(f"{what} ended with {done.returncode}: {' '.join(done.stderr.split())[-500:]}")
        return done.stdout


def names_of(modules: Path) -> list[str]:
    """Return the modules that `Processes.run` wrote down, in the order of their import."""
    names: list[str] = json.loads(modules.read_text(encoding="utf-8"))
    return [name for name in names if name != "__main__"]
