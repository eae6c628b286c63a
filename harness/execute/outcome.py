"""What an execution is given and what it tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from harness.accumulation import Parts
from harness.catalog import Catalog
from harness.plan import Cell, RunSpec
from harness.store import Result


def never() -> int:
    """Return 0: nobody asks for the end. It has a name, so that it can go to another process."""
    return 0


def still() -> None:
    """Do nothing: nobody asks whether a run moves."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Workspace:
    """Where and with what runs are made.

    Args:
        home: the store.
        data: root of prepared datasets.
        catalog: the installed plugins.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: CPU threads of a run; part of what makes figures equal to the bit.
        devices: how many processes share a run, each with a device and its part of the threads; figures differ by
            rounding.
        compile: backend of torch.compile for the steps of training; empty compiles nothing.
        parts: in how many a batch of training is embedded.
        command: the command line, for the record.
        revision: source revision, for the record.
        stopping: returns the number of a signal that asks for the end, or 0.
        stalled_after: seconds without a step, a batch or a word after which a run is ended, each of which then has a
            process of its own; 0 sets no limit.
        beat: is called where a run moves.
    """

    home: Path
    data: Path
    catalog: Catalog
    device: str
    threads: int
    devices: int = 1
    compile: str = ""
    parts: Parts = field(default_factory=Parts)
    command: str = ""
    revision: str = ""
    stopping: Callable[[], int] = never
    stalled_after: float = 0.0
    beat: Callable[[], None] = still

    @property
    def own_threads(self) -> int:
        """CPU threads of one process."""
        return max(self.threads // self.devices, 1)


def moving(workspace: Workspace) -> Callable[[], int]:
    """Return the `stopping` of a workspace for whoever asks it at each step, which is a sign of life."""

    def ask() -> int:
        workspace.beat()
        return workspace.stopping()

    return ask


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcome:
    """What became of one cell.

    Attributes:
        status: ``cached`` was in the store, ``skipped`` was not begun, since another failed.
        error: cause on one line, empty unless failed.
        hint: what to do about it, on one line; empty where nobody knows.
        traceback: file with the whole story of a failure.
        provenance: of a failure: ``finished``, when it failed, ``command`` and ``revision``.
    """

    cell: Cell
    status: Literal["done", "cached", "failed", "skipped"]
    result: Result | None = None
    error: str = ""
    hint: str = ""
    traceback: Path | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0


class Listener(Protocol):
    """Is told what happens, for progress bars and logs."""

    def started(self, index: int, total: int, run: RunSpec, cell: Cell | None) -> None:
        """Say that run `index` (from 1) of `total` starts; `cell` is the first that wants it."""
        ...

    def progress(self, phase: str, done: int, total: int, note: str) -> None:
        """Say how far a phase is."""
        ...

    def finished(self, outcome: Outcome) -> None:
        """Say what became of a cell."""
        ...

    def note(self, text: str) -> None:
        """Say something that a person should know."""
        ...


@runtime_checkable
class Turning(Protocol):
    """A listener that can follow several runs at once."""

    def turn(self, run: RunSpec) -> None:
        """Say that what is told next is of this run, which started before."""
        ...
