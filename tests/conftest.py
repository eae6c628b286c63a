"""A toy plugin, really installed in a folder of its own; a registry of it; runs in this process and in others."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.catalog import Catalog

HERE = Path(__file__).resolve().parent


@pytest.fixture
def disk_full(monkeypatch: pytest.MonkeyPatch) -> Callable[[], AbstractContextManager[Any]]:
    """Make a context in which no content of a file comes to disk; names of new folders do."""
    sync = os.fsync

    def full(handle: int) -> None:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return sync(handle)
        raise OSError(28, "No space left on device")

    @contextmanager
    def filled() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            yield

    return filled


REGISTRY = """\
version: 1
datasets:
  toys: {use: toys, title: Toys}
  twisted: {use: toys, twist: " indeed"}
  listed: {use: listed}
encoders:
  frozen: {use: frozen}
  pixels: {use: pixels}
  words: {use: words}
losses:
  contrast: {use: contrast}
  ridge: {use: ridge}
evaluators:
  recall: {use: hits}
  five: {use: hits, k: 5}
  raising: {use: hits, fault: raises}
stages:
  one: {losses: {contrast: 1}, freeze: [image.backbone.*], epochs: 4, batch: 6, lr: 0.1}
  two: {like: one, after: one, epochs: 2}
  closed: {losses: {ridge: 1}, freeze: [image.backbone.*], epochs: 0}
experiments:
  toy: {title: Toy, dataset: toys, image: frozen, text: words, dim: 8, stage: one, evaluators: [recall]}
  direct: {like: toy, title: Direct, image: pixels}
  closed: {like: toy, title: Ridge, stage: closed}
matrices:
  whole:
    summary: every path
    experiment: toy
    leaderboard: false
    axes:
      variant: {plain: {}, direct: {experiment: direct}, closed: {experiment: closed}, after: {stage: two}}
  one: {summary: a run, experiment: toy, leaderboard: false, axes: {seed: [0]}}
  seeds: {summary: two runs, experiment: toy, leaderboard: false, axes: {seed: [0, 1]}}
"""


@pytest.fixture(scope="session")
def toy_text() -> str:
    """The toy registry as text, for registries that have more than it."""
    return REGISTRY


@pytest.fixture(scope="session")
def toy_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the distribution `acme-toy` is installed; for PYTHONPATH."""
    site = tmp_path_factory.mktemp("site")
    (site / "harness_toy").symlink_to(HERE / "toy" / "harness_toy")
    info = site / "acme_toy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[harness.v1]\ntoy = harness_toy.hooks\n")
    return site


@pytest.fixture
def toy_catalog(toy_site: Path, toy_log: ToyLog, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """The toy plugin and no other."""
    monkeypatch.syspath_prepend(toy_site)
    monkeypatch.delenv("HARNESS_PLUGINS", raising=False)
    found = importlib.metadata.distributions(path=[str(toy_site)])
    catalog = Catalog.load(entry_points=[point for each in found for point in each.entry_points])
    assert catalog.problems == ()
    return catalog


@dataclass
class ToyLog:
    """What the toy plugin wrote down, over all processes."""

    path: Path

    def events(self, start: str = "") -> list[str]:
        """Return the events that begin so, in order."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return [line for line in lines if line.startswith(start)]

    def clear(self) -> None:
        """Forget what was written."""
        self.path.unlink(missing_ok=True)


@pytest.fixture
def toy_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ToyLog:
    path = tmp_path / "toy.log"
    monkeypatch.setenv("TOY_LOG", str(path))
    monkeypatch.delenv("TOY_SLEEP", raising=False)
    return ToyLog(path)


@pytest.fixture
def toy_registry(tmp_path: Path) -> Callable[..., Path]:
    """Write registry.yaml, with replacements each of which must occur; returns its path."""

    def write(*changes: tuple[str, str]) -> Path:
        text = REGISTRY
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        folder = tmp_path / "registry"
        folder.mkdir(exist_ok=True)
        (folder / "registry.yaml").write_text(text, encoding="utf-8")
        return folder / "registry.yaml"

    return write


@dataclass
class Listening:
    """A listener that remembers; `at` is called with each phase, done and total."""

    told: list[tuple[Any, ...]] = field(default_factory=list)
    at: Callable[[str, int, int], None] = lambda phase, done, total: None

    def started(self, index: int, total: int, run: Any, cell: Any) -> None:
        self.told.append(("started", index, total, run.fingerprint))

    def progress(self, phase: str, done: int, total: int, note: str) -> None:
        self.told.append(("progress", phase, done, total))
        self.at(phase, done, total)

    def finished(self, outcome: Any) -> None:
        self.told.append(("finished", outcome.status))

    def note(self, text: str) -> None:
        self.told.append(("note", text))


@dataclass
class Toy:
    """Plans and executes matrices of the toy registry, in this process."""

    catalog: Catalog
    home: Path
    write: Callable[..., Path]
    listener: Listening = field(default_factory=Listening)

    def plan(self, *changes: tuple[str, str], matrix: str = "whole", **options: Any) -> Any:
        from harness.data import protocol_of
        from harness.plan import make_plan
        from harness.registry import Registry

        return make_plan(
            Registry.load(self.write(*changes)),
            self.catalog,
            matrix=matrix,
            protocol_of=lambda part, spec: protocol_of(part, self.home / "data", spec),
            **options,
        )

    def workspace(self, **fields: Any) -> Any:
        from harness.execute import Workspace

        values: dict[str, Any] = {"catalog": self.catalog, "device": "cpu", "threads": 1, **fields}
        return Workspace(home=self.home, data=self.home / "data", **values)

    def execute(self, plan: Any, *, force: bool = False, fail_fast: bool = False, **fields: Any) -> Any:
        from harness.execute import execute

        workspace = self.workspace(**fields)
        return execute(plan, workspace, listener=self.listener, force=force, fail_fast=fail_fast)


@pytest.fixture
def toy(toy_catalog: Catalog, toy_registry: Callable[..., Path], tmp_path: Path) -> Toy:
    return Toy(toy_catalog, tmp_path / "home", toy_registry)


@dataclass
class Command:
    """The command line in a process of its own, in the folder of the toy registry."""

    folder: Path
    environment: dict[str, str]

    def start(self, *arguments: str, before: str = "", **environment: str) -> subprocess.Popen[str]:
        """Start `harness` with arguments; `before` is Python that runs first."""
        code = f"{before}\nfrom harness.cli import main\nmain()"
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str, before: str = "", **environment: str) -> tuple[int, str, str]:
        """Run to the end; return exit code, standard output and standard error."""
        process = self.start(*arguments, before=before, **environment)
        out, err = process.communicate(timeout=180)
        return process.returncode, out, err


@pytest.fixture
def command(toy_site: Path, toy_log: ToyLog, toy_registry: Callable[..., Path], tmp_path: Path) -> Command:
    environment = {
        **os.environ,
        "PYTHONPATH": str(toy_site),
        "HARNESS_PLUGINS": "toy",
        "HARNESS_HOME": str(tmp_path / "home"),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
    }
    environment.pop("HARNESS_DATA", None)
    return Command(toy_registry().parent, environment)


@pytest.fixture
def inside(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Run the command line in this process, which is faster; the same three values. The store is HARNESS_HOME."""
    from harness.cli import main

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for name in ("HARNESS_PLUGINS", "HARNESS_DATA"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["harness", *map(str, arguments)])
        capfd.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capfd.readouterr()

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def invoke(
    command: Command,
    toy_catalog: Catalog,
    inside: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process, in the folder of the toy registry."""
    monkeypatch.chdir(command.folder)
    for name in ("HARNESS_PLUGINS", "HARNESS_HOME", "COLUMNS"):
        monkeypatch.setenv(name, command.environment[name])
    return inside
