"""`harness bench startup`: how long the command line takes before it does anything, and when all is stored."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from harness.bench.contest import Contender, Rounds, contest
from harness.bench.origin import load_average, origin_of
from harness.bench.processes import MAIN, Processes, names_of
from harness.bench.render import clock
from harness.bench.report import Fact, Group, Ratio, Report
from harness.bench.rounds import spread
from harness.registry import Registry

HEAVY = ("torch", "timm", "gensim", "pandas", "scipy", "matplotlib")
"""Libraries that take longer to import than all else that help and lists need."""
HELP, EMPTY, BARE, LIST, CACHED, IMPORTS = (
    "harness --help",
    "empty typer program --help",
    "python -c pass",
    "harness list",
    "cached run",
    "its imports",
)
MATRIX = "cached"
"""Name of the matrix in the registry that is written for it: the one that was asked for, with tables."""
EMPTY_PROGRAM = "import typer\napp = typer.Typer()\n@app.command()\ndef main() -> None: ...\napp()"
PACKAGES = ("typer", "rich", "click", "pydantic", "torch", "pandas")
ABOUT = (
    "Processes from start to end. The empty program is a typer application of one command. The cached run is that of a "
    "matrix whose runs are all stored, tables rendered; it is compared with a process that imports the same modules "
    "in the same order and does nothing."
)


@dataclass(frozen=True, kw_only=True)
class StartupBench(Rounds):
    """What to measure.

    Attributes:
        registry: its `matrix` is trained once, in a temporary store.
    """

    registry: Registry
    matrix: str = "smoke"


def measure(bench: StartupBench, told: Callable[[str], None]) -> Report:
    """Time processes that load little, and the run of a matrix that is stored.

    Raises:
        RunError: if a command fails.
    """
    load = load_average()
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        groups = _Startup(bench, Path(folder)).groups(told)
    return Report(
        benchmark="startup",
        section="startup",
        heading="Start-up",
        about=ABOUT,
        groups=tuple(groups),
        origin=origin_of(bench.workspace, PACKAGES, load),
    )


class _Startup:
    def __init__(self, bench: StartupBench, folder: Path) -> None:
        self.bench, self.folder = bench, folder
        self.modules, self.processes = folder / "modules.json", Processes(folder)
        # One of its own, so that tables are rendered beside it and not into the checkout.
        own = {
            "version": 1,
            "extends": str(bench.registry.path.absolute()),
            "matrices": {MATRIX: {"like": bench.matrix, "leaderboard": True}},
        }
        (folder / "registry.yaml").write_text(json.dumps(own), encoding="utf-8")

    def groups(self, told: Callable[[str], None]) -> list[Group]:
        """Measure both: what needs no store, and what finds all in it."""
        light = contest(
            "loads little",
            [
                self._contender(HELP, MAIN, "--help"),
                self._contender(EMPTY, EMPTY_PROGRAM, "--help"),
                self._contender(LIST, MAIN, "list"),
                self._contender(BARE, "pass"),
            ],
            self.bench,
            ratios=[Ratio(over=HELP, under=EMPTY, most=1.6), Ratio(over=LIST, under=EMPTY)],
        )
        loaded = {name: self.loaded(*arguments) for name, arguments in ((HELP, ["--help"]), (LIST, ["list"]))}
        heavy = {name: [h for h in HEAVY if h in modules] for name, modules in loaded.items()}
        told(f"training {self.bench.matrix} once")
        run = ["run", "--matrix", MATRIX, "--threads", str(self.bench.workspace.threads)]
        run += ["--home", str(self.folder / "home")]
        self.processes.run(MAIN, *run)
        self.loaded(*run)  # leaves the names for the process that imports alone
        stored = contest(
            f"all of {self.bench.matrix} is stored",
            [
                self._contender(CACHED, MAIN, *run),
                Contender(name=IMPORTS, call=lambda: self.processes.imported(self.modules), weigh=False),
            ],
            self.bench,
            ratios=[Ratio(over=CACHED, under=IMPORTS)],
        )
        pairs = zip(stored.seconds(CACHED), stored.seconds(IMPORTS), strict=True)
        beyond = spread([cached - imports for cached, imports in pairs]).median
        goal = "yes" if beyond <= 1 else "no"
        return [
            replace(
                light,
                facts=tuple(
                    Fact(name=f"of {', '.join(HEAVY)}, {name} loads", value=", ".join(found) or "none")
                    for name, found in heavy.items()
                ),
            ),
            replace(
                stored,
                facts=(
                    Fact(
                        name="beyond its imports",
                        value=f"{clock(max(beyond, 0.0))} (to reach: at most 1 s: {goal})",
                    ),
                ),
            ),
        ]

    def _contender(self, name: str, code: str, *arguments: str) -> Contender:
        return Contender(name=name, call=lambda: self.processes.run(code, *arguments), weigh=False)

    def loaded(self, *arguments: str) -> list[str]:
        """Run a command and return the modules that were loaded at its end, in the order of their import."""
        self.processes.run(MAIN, *arguments, modules=self.modules)
        return names_of(self.modules)
