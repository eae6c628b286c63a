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
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).resolve().parent
ROWS: dict[int, dict[str, Any]] = yaml.safe_load((HERE / "rows.yaml").read_text(encoding="utf-8"))
COLUMNS = ("injected", "survived", "lost", "wrong")


@dataclass
class Faults:
    """What a test did to the harness, and what came of it."""

    injected: int = 0
    survived: int = 0
    lost: int = 0
    wrong: int = 0

    def one(self, *, lost: int = 0, wrong: int = 0) -> None:
        """Count a fault, and what it cost."""
        self.injected += 1
        self.lost += lost
        self.wrong += wrong
        self.survived += not (lost or wrong)


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
    request.node.user_properties.append(("faults", asdict(counted)))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    told = dict(report.user_properties)
    if "fault row" not in told:
        return
    if report.when != "teardown":
        _PASSED[report.nodeid] = report.passed
        _CALLED.discard(report.nodeid) if report.skipped else _CALLED.add(report.nodeid)
    elif report.nodeid in _CALLED:
        total = _TOTALS.setdefault(told["fault row"], dict.fromkeys(COLUMNS, 0))
        passed = _PASSED[report.nodeid]
        for column, count in told.get("faults", asdict(Faults(injected=1, survived=1))).items():
            # A test that fails says that not all it did was survived.
            total[column] += count - (column == "survived" and not passed and count > 0)


_TOTALS: dict[int, dict[str, int]] = {}
_PASSED: dict[str, bool] = {}
_CALLED: set[str] = set()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _TOTALS:
        return
    terminalreporter.section("faults")
    terminalreporter.write_line(f"{'':>3} {'injected':>9} {'survived':>9} {'lost':>5} {'wrong':>6}  fault")
    for row in sorted(_TOTALS):
        total = _TOTALS[row]
        terminalreporter.write_line(
            f"{row:>3} {total['injected']:>9,} {total['survived']:>9,} {total['lost']:>5} {total['wrong']:>6}"
            f"  {ROWS[row]['fault']}"
        )
    whole = {column: sum(total[column] for total in _TOTALS.values()) for column in COLUMNS}
    terminalreporter.write_line(
        f"faults injected: {whole['injected']:,}, survived: {whole['survived']:,}, "
        f"results lost: {whole['lost']}, wrong figures: {whole['wrong']}"
    )


LONG = os.environ.get("HARNESS_FAULTS") == "long"


@pytest.fixture(scope="session")
def long() -> bool:
    """Whether there is time for the long loops."""
    return LONG


@dataclass
class Place:
    """A registry, a store and leaderboards in a folder of their own."""

    folder: Path

    @property
    def home(self) -> Path:
        """The store."""
        return self.folder / "home"


@dataclass
class Victim:
    """A forked process of the command line."""

    pid: int
    output: Path
    server: Victims

    def wait(self, timeout: float = 300) -> int:
        """Return its exit code, -9 where it was killed."""
        return self.server.ended(self.pid, timeout)

    def kill_after(self, seconds: float, number: int = 9) -> None:
        """Send a signal after some time, unless it ended before."""
        end = time.monotonic() + seconds
        while self.pid not in self.server.codes and (left := end - time.monotonic()) > 0:
            self.server.listen(left)
        if self.pid not in self.server.codes:
            self.kill(number)

    def kill(self, number: int) -> None:
        """Send a signal; one that is gone is left alone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    @property
    def said(self) -> str:
        """What it printed so far."""
        return self.output.read_text(encoding="utf-8", errors="replace")


@dataclass
class Victims:
    """Starts processes of `harness` from one that has imported everything."""

    process: subprocess.Popen[bytes]
    environment: dict[str, str]
    scratch: Path
    modules: list[str] = field(default_factory=list)
    codes: dict[int, int] = field(default_factory=dict)
    began: list[int] = field(default_factory=list)
    rest: bytes = b""
    count: int = 0
    matrix: str = ""

    def place(self, folder: Path) -> Place:
        """Return the registry, the store and the leaderboards in a folder."""
        return Place(folder)

    def start(
        self, *arguments: str, folder: Path, before: str = "", learn: Path | None = None, **environment: str
    ) -> Victim:
        """Fork a process that runs `harness` with arguments, or only `before`, in a folder."""
        self.count += 1
        output = self.scratch / f"said-{self.count}.txt"
        order = {
            "arguments": arguments,
            "folder": str(folder),
            "environment": self.environment | environment,
            "output": str(output),
            "before": before,
            "modules": self.modules,
            "learn": str(learn) if learn else "",
        }
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()
        while not self.began:
            self.listen(120)
        return Victim(self.began.pop(), output, self)

    def ended(self, pid: int, timeout: float) -> int:
        """Wait for a process; return its exit code."""
        end = time.monotonic() + timeout
        while pid not in self.codes:
            assert time.monotonic() < end, f"process {pid} has not ended"
            self.listen(1)
        return self.codes[pid]

    def listen(self, timeout: float) -> None:
        """Take in what the server answers within some seconds."""
        assert self.process.stdout is not None
        handle = self.process.stdout.fileno()
        if not select.select([handle], [], [], timeout)[0]:
            return
        chunk = os.read(handle, 2**16)
        assert chunk, "the server of victims is gone"
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        for told in map(json.loads, lines):
            if "began" in told:
                self.began.append(told["began"])
            else:
                self.codes[told["ended"]] = told["code"]


@pytest.fixture(scope="session")
def victims(toy_site: Path, toy_text: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victims]:
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
    found = Victims(process, environment, scratch, modules=HEAVY, matrix=_MATRIX)
    (scratch / "registry.yaml").write_text(toy_text + _MATRIX, encoding="utf-8")
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
RUN = ("run", "--matrix", "faulty", "--threads", "1", "--device", "cpu")
_MATRIX = """\
  faulty:
    summary: two runs, a parent, and what follows from closed form
    experiment: toy
    axes:
      variant: {plain: {}, direct: {experiment: direct}, closed: {experiment: closed}, after: {stage: two}}
"""


@pytest.fixture
def place(tmp_path: Path, toy_text: str) -> Callable[..., Place]:
    """Make a folder with the toy registry; `extra` is appended to its matrices."""

    def make(name: str = "here", extra: str = "") -> Place:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "registry.yaml").write_text(toy_text + _MATRIX + extra, encoding="utf-8")
        return Place(folder)

    return make
