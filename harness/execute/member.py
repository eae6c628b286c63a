"""One of the processes that train a run together: joins them, takes its part, and tells the process that asked it."""

from __future__ import annotations

import contextlib
import datetime
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from harness.collapse import Look
from harness.data import open_dataset
from harness.distributed import Team
from harness.errors import Interrupted, RunError
from harness.execute.assemble import open_galleries
from harness.execute.outcome import Workspace, moving
from harness.execute.provenance import peak_bytes
from harness.execute.run import perform, start_model
from harness.execute.settings import settle
from harness.execute.stacks import show_stacks_when_asked
from harness.memory import is_memory
from harness.plan import RunSpec
from harness.step import Numerics
from harness.store import Store
from harness.task import Task
from harness.train import train

LOOPBACK = {"linux": "lo", "darwin": "lo0"}
VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """The environment of the process that asks: that of a fork server is older."""

    variables: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    folder: str = field(default_factory=os.getcwd)

    def take_over(self) -> None:
        """Put this process into them; what components print is no output of ours, and signals reach who asked."""
        os.environ.clear()
        os.environ.update(self.variables)
        os.chdir(self.folder)
        os.dup2(2, 1)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


@dataclass(frozen=True)
class Invitation:
    """What a process is to take part in.

    Attributes:
        rank: its number, from 0; the first validates, stores and tells how far it is.
        size: number of processes.
        folder: where they meet.
        workspace: of the run; its `stopping` is not asked.
    """

    rank: int
    size: int
    folder: Path
    spec: RunSpec
    workspace: Workspace
    surroundings: Surroundings = field(default_factory=Surroundings)


def take_part(invitation: Invitation, pipe: Connection[Any, Any], stop: Any) -> None:
    """Train together with the others; `pipe` is told ``done``, ``failed`` or ``interrupted`` at the end.

    Args:
        stop: its `value` is the number of a signal that asks for the end, or 0.
    """
    _settle_in(invitation)
    try:
        with flushing():
            _work(invitation, pipe, stop)
        pipe.send(("done",))
        return
    except Interrupted as end:
        pipe.send(("interrupted", end.signal))
    # A component is somebody else's code: whatever it raises, it is told.
    except BaseException as error:
        story = "".join(traceback.format_exception(error))
        peak = peak_bytes(invitation.workspace.device) if is_memory(error) else None
        pipe.send(("failed", time.monotonic(), sendable(error), story, peak))
    # Not to wait for others, which may be gone.
    pipe.close()
    os._exit(1)


def _settle_in(invitation: Invitation) -> None:
    invitation.surroundings.take_over()
    if invitation.workspace.device != "cpu":
        # One device for each, so that all call it cuda.
        there = os.environ.get(VISIBLE, "")
        names = there.split(",") if there else [str(number) for number in range(invitation.size)]
        os.environ[VISIBLE] = names[invitation.rank]
    end_with_parent()
    show_stacks_when_asked()


@contextlib.contextmanager
def flushing() -> Iterator[None]:
    """Write out what components printed within: a process that says that it has ended may be killed at once."""
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # nobody reads it, or somebody closed it
                stream.flush()


def end_with_parent() -> None:
    """End this process when the one that asked it is gone."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(invitation: Invitation, pipe: Connection[Any, Any], stop: Any) -> None:
    import torch.distributed as dist

    teller = Teller(pipe)
    workspace = replace(invitation.workspace, stopping=lambda: stop.value, beat=teller.beat)
    team = Team(invitation.rank, invitation.size)
    if sys.platform in LOOPBACK:  # all are on this machine
        os.environ.setdefault("GLOO_SOCKET_IFNAME", LOOPBACK[sys.platform])
    dist.init_process_group(
        "gloo" if workspace.device == "cpu" else "cpu:gloo,cuda:nccl",
        store=dist.FileStore(str(invitation.folder / "meeting"), team.size),  # type: ignore[attr-defined]
        rank=team.rank,
        world_size=team.size,
        # The process that asked ends them all when one dies; a look at val, for which they wait, may take long.
        timeout=datetime.timedelta(days=7),
    )
    store = Store(workspace.home)
    if team.lead:
        teller.beat()
        perform(invitation.spec, replace(workspace, stopping=moving(workspace)), store, teller, team)
    else:
        _follow(invitation.spec, workspace, store, team)
    dist.destroy_process_group()


def _follow(spec: RunSpec, workspace: Workspace, store: Store, team: Team) -> None:
    """Train with the first process, whose checkpoint, looks at val and results are those of all."""
    settle(workspace)
    dataset = open_dataset(spec.dataset, workspace.data, workspace.catalog)
    splits = {"train": dataset.split("train", spec.limit)}
    model, part, unsaved = start_model(spec, workspace, dataset, splits["train"], store, _silent)
    gallery = open_galleries(spec, workspace, dataset, splits, model, part, _silent)["train"]
    train(
        Task(
            model=model,
            split=splits["train"],
            images=gallery.images,
            texts=gallery.texts,
            stage=spec.stage,
            seed=spec.seed,
            unsaved=unsaved,
            validate=lambda: Look(rsum=0.0),
            checkpoint=store.work(spec.fingerprint) / "checkpoint.pt",
            progress=_silent,
            note=lambda text: None,
            stopping=lambda: 0,
            numerics=Numerics(precision=spec.precision, compile=workspace.compile),
            parts=workspace.parts,
            team=team,
        )
    )


class Teller:
    """A `harness.execute.Listener` that tells another process; runs and cells begin and end there."""

    SECONDS = 0.2
    """Between two signs of life."""

    def __init__(self, pipe: Connection[Any, Any]) -> None:
        self.pipe, self.last = pipe, 0.0

    def tell(self, what: str, *told: Any) -> None:
        """Send something, by its kind."""
        self.last = time.monotonic()
        self.pipe.send((what, *told))

    def beat(self) -> None:
        """Give a sign of life, unless one was given just now."""
        if time.monotonic() - self.last > self.SECONDS:
            self.tell("beat")

    def started(self, *_: Any) -> None:
        """Say nothing: it is known there."""

    def finished(self, *_: Any) -> None:
        """Say nothing: it is known there."""

    def progress(self, phase: str, done: int, total: int, note: str) -> None:
        """Say how far a phase is."""
        self.tell("progress", phase, done, total, note)

    def note(self, text: str) -> None:
        """Say something that a person should know."""
        self.tell("note", text)


def sendable(error: BaseException) -> BaseException:
    """Return an error that another process can read, of the same type where that is possible."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own, of a moment ago
    except Exception:
        return RunError(f"{type(error).__name__}: {error}")
    return error


def _silent(phase: str, done: int, total: int, note: str) -> None:
    """Tell nobody."""
