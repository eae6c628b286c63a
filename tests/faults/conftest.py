"""Faults are counted by the row of the promise that they test, and summed up at the end.

`rows.yaml` has the promises. A test says with ``@pytest.mark.fault(ROW)`` which one it holds; tests elsewhere that hold
one are named there. One test is one fault, survived if it passes, unless it counts by itself through `faults`.

    pytest tests/faults                 what lies here
    pytest -m fault                     all that hold a promise, wherever they lie
    HARNESS_FAULTS=long pytest ...      hundreds of kills in place of a dozen
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.faults.processes import MATRIX, RUN, Place, Victims

HERE = Path(__file__).resolve().parent
ROWS: dict[int, dict[str, Any]] = yaml.safe_load((HERE / "rows.yaml").read_text(encoding="utf-8"))
COLUMNS = ("injected", "survived", "lost", "wrong")


@dataclass
class Faults:
    """What a test did to the harness, and what came of it.

    Attributes:
        injected: faults.
        survived: those of them after which everything was as promised.
        lost: results that were there and are gone.
        wrong: figures that are not those of an undisturbed run.
        notes: lines for the summary.
    """

    injected: int = 0
    survived: int = 0
    lost: int = 0
    wrong: int = 0
    notes: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def inject(self, count: int = 1) -> Iterator[None]:
        """Count faults; they are survived if what is asserted within holds, and no loss or wrong figure is counted."""
        self.injected += count
        before = self.lost, self.wrong
        yield
        if (self.lost, self.wrong) == before:
            self.survived += count

    def one(self, *, lost: int = 0, wrong: int = 0) -> None:
        """Count a fault after all that is asserted of it, and what it cost."""
        with self.inject():
            self.lost += lost
            self.wrong += wrong

    def add(self, other: Faults) -> None:
        """Count what another test did, too."""
        for column in COLUMNS:
            setattr(self, column, getattr(self, column) + getattr(other, column))
        self.notes += other.notes

    def told(self) -> str:
        """Return the counts as a line of the summary."""
        return f"{self.injected:>9,} {self.survived:>9,} {self.lost:>5} {self.wrong:>6}"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "fault(row): holds a promise of tests/faults/rows.yaml")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    elsewhere = {name: row for row, promise in ROWS.items() for name in promise.get("elsewhere", ())}
    for item in items:
        name = f"{Path(item.path).name}::{item.name.partition('[')[0]}"
        if name in elsewhere:
            item.add_marker(pytest.mark.fault(elsewhere[name]))
        for marker in item.iter_markers("fault"):
            item.user_properties.append(("fault row", marker.args[0]))


@pytest.fixture
def faults(request: pytest.FixtureRequest) -> Iterator[Faults]:
    """Counts the faults of a test that injects more than one."""
    counted = Faults()
    yield counted
    request.node.user_properties.append(("faults", vars(counted)))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    told = dict(report.user_properties)
    if "fault row" not in told:
        return
    if report.when != "teardown":
        _PASSED[report.nodeid] = report.passed
        _CALLED.discard(report.nodeid) if report.skipped else _CALLED.add(report.nodeid)
    elif report.nodeid in _CALLED:
        counted = Faults(**told.get("faults", {"injected": 1, "survived": 1}))
        if not (_PASSED[report.nodeid] and report.passed):
            # A test that fails says that not all it did was survived, whatever it had counted by then.
            counted.injected = max(counted.injected, 1)
            counted.survived = min(counted.survived, counted.injected - 1)
        _TOTALS.setdefault(told["fault row"], Faults()).add(counted)


_TOTALS: dict[int, Faults] = {}
_PASSED: dict[str, bool] = {}
_CALLED: set[str] = set()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _TOTALS:
        return
    write = terminalreporter.write_line
    terminalreporter.section("faults")
    write(f"{'':>3} {'injected':>9} {'survived':>9} {'lost':>5} {'wrong':>6}  fault")
    whole = Faults()
    for row, total in sorted(_TOTALS.items()):
        whole.add(total)
        write(f"{row:>3} {total.told()}  {ROWS[row]['fault']}")
        for note in total.notes:
            write(f"{'':>36}{note}")
    write(
        f"faults injected: {whole.injected:,}, survived: {whole.survived:,}, "
        f"results lost: {whole.lost}, wrong figures: {whole.wrong}"
    )


LONG = os.environ.get("HARNESS_FAULTS") == "long"


@pytest.fixture(scope="session")
def long() -> bool:
    """Whether there is time for the long loops."""
    return LONG


@pytest.fixture(scope="session")
def victims(
    toy_site: Path, place_in: Callable[..., Place], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Victims]:
    environment = {
        "PYTHONPATH": str(toy_site),
        "HARNESS_PLUGINS": "toy",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
        "TOY_SLEEP": "0",
    }
    process = subprocess.Popen(
        [sys.executable, str(HERE / "victims.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={
            k: v for k, v in (os.environ | environment).items() if k not in ("HARNESS_DATA", "HARNESS_HOME")
        },
    )
    # The first one learns what else a run imports in the end; the server imports that for all that follow.
    scratch = tmp_path_factory.mktemp("scratch")
    found = Victims(process, environment, scratch, modules=HEAVY)
    place_in(scratch)
    first = found.start(*RUN, "--home", str(scratch / "home"), folder=scratch, learn=scratch / "modules.json")
    assert first.wait() == 0, first.said
    found.modules = [
        name
        for name in json.loads((scratch / "modules.json").read_text(encoding="utf-8"))
        if not name.startswith(("harness_toy", "__main__"))
    ]
    assert found.start(folder=scratch).wait() == 0
    yield found
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(60) == 0
    assert process.stdout is not None
    process.stdout.close()


HEAVY = [
    *(
        "harness.cli",
        "harness.execute",
        "torch",
        "safetensors.torch",
        "pandas",
        "pyarrow.parquet",
        "scipy.stats",
    ),
    *("matplotlib.figure", "matplotlib.backends.backend_svg", "tabulate", "torch.utils.data"),
]


@pytest.fixture(scope="session")
def place_in(toy_text: str) -> Callable[..., Place]:
    """Put the toy registry into a folder, with the matrix of the faults and the matrices `extra`."""

    def make(folder: Path, extra: str = "") -> Place:
        folder.mkdir(exist_ok=True)
        (folder / "registry.yaml").write_text(toy_text + MATRIX + extra, encoding="utf-8")
        return Place(folder)

    return make


@pytest.fixture
def place(tmp_path: Path, place_in: Callable[..., Place]) -> Callable[..., Place]:
    """Make a folder with the toy registry; `extra` is appended to its matrices."""
    return lambda name="here", extra="": place_in(tmp_path / name, extra)
