"""With what `harness run` executes a plan: devices, threads, this process or a cluster."""

from __future__ import annotations

import math
import shlex
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.console import say
from harness.cli.device import check_device, check_numerics, device_for
from harness.errors import InputError, nearest

if TYPE_CHECKING:
    from harness.catalog import Catalog
    from harness.cli.options import Place
    from harness.execute import Outcome
    from harness.plan import Plan

EXECUTORS = ("local", "ray")

Devices = Annotated[
    int,
    typer.Option("--devices", min=1, help="GPUs (on a CPU, processes) that share each batch of a run."),
]
Executor = Annotated[
    str, typer.Option("--executor", help="local, or ray: runs side by side on a cluster, or on this machine.")
]
Address = Annotated[
    str,
    typer.Option(
        "--address",
        help="Of a running Ray cluster (else $RAY_ADDRESS, else one is started here).",
        show_default=False,
    ),
]
Accumulate = Annotated[
    str,
    typer.Option(
        "--accumulate",
        help="Parts that a batch is embedded in, its gradient that of the whole; auto: more where memory runs out.",
    ),
]


StalledAfter = Annotated[
    float | None,
    typer.Option(
        "--stalled-after",
        help="Minutes without a step or a batch after which a run is ended and failed (default: no limit).",
        show_default=False,
    ),
]


class Stopper:
    """Turns the first SIGINT or SIGTERM into a checkpoint and a clean end, the second into an end at once."""

    def __init__(self) -> None:
        self.signal = 0

    def install(self) -> None:
        """Take over both signals."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.signal:
            raise KeyboardInterrupt
        self.signal = number
        say("stopping at the next checkpoint; once more to stop at once", style="yellow")


@dataclass(frozen=True, kw_only=True)
class Means:
    """What the command line asks a plan to be executed with; the options tell what each is."""

    device: str = "auto"
    devices: int = 1
    precision: str = "32-true"
    compile: str = ""
    accumulate: str = "1"
    threads: int | None = None
    executor: str = "local"
    address: str = ""
    force: bool = False
    fail_fast: bool = False
    stalled_after: float | None = None

    def check(self) -> None:
        """Refuse what cannot be; nothing heavy is loaded.

        Raises:
            InputError: names the option.
        """
        check_device(self.device)
        check_numerics(self.precision, self.compile)
        if self.accumulate != "auto" and not (self.accumulate.isdecimal() and int(self.accumulate) > 0):
            raise InputError(
                f"--accumulate {self.accumulate}: it takes auto, or a number of parts from 1",
                hint="Use --accumulate auto: a batch is embedded in parts only where memory runs out.",
            )
        if self.accumulate != "1" and (self.devices > 1 or self.compile):
            other = "--devices" if self.devices > 1 else "--compile"
            raise InputError(
                f"--accumulate {self.accumulate} works on one device only, and not compiled",
                hint=f"Leave out --accumulate or {other}.",
            )
        if self.devices > 1 and ":" in self.device:
            raise InputError(
                f"--device {self.device} is one device, and --devices asks for {self.devices}",
                hint="Use --device cuda; CUDA_VISIBLE_DEVICES says which.",
            )
        if self.devices > 1 and self.compile:
            raise InputError(
                f"--compile {self.compile} works on one device only", hint="Leave out --compile or --devices."
            )
        if self.stalled_after is not None and not 0 < self.stalled_after < math.inf:
            raise InputError(
                f"--stalled-after {self.stalled_after:g}: it takes minutes, more than 0",
                hint="Use --stalled-after 60, or leave it out: then there is no limit.",
            )
        if self.executor not in EXECUTORS:
            raise InputError(f"no executor {self.executor!r}{nearest(self.executor, EXECUTORS)}")
        if self.address and self.executor != "ray":
            raise InputError("--address is of a Ray cluster", hint="Add --executor ray.")

    def execute(self, plan: Plan, catalog: Catalog, where: Place) -> tuple[Outcome, ...]:
        """Execute a plan, with progress on standard error; a signal becomes the exit code that shells give it."""
        from harness.accumulation import Parts
        from harness.cli.progress import Watcher
        from harness.errors import Interrupted
        from harness.execute import Workspace
        from harness.execute.provenance import default_threads, source_revision

        stopper = Stopper()
        stopper.install()
        workspace = Workspace(
            home=where.home,
            data=where.data,
            catalog=catalog,
            device=self._device(plan, where),
            # 0 leaves it to a cluster, whose nodes are others.
            threads=self.threads or (0 if self._on_cluster(plan, where) else default_threads()),
            devices=self.devices,
            compile=self.compile,
            parts=Parts(halve=True) if self.accumulate == "auto" else Parts(count=int(self.accumulate)),
            command=shlex.join(["harness", *sys.argv[1:]]),
            revision=source_revision(),
            stopping=lambda: stopper.signal,
            stalled_after=60.0 * (self.stalled_after or 0.0),
        )
        try:
            with Watcher() as watcher:
                return self._executor(plan, where)(
                    plan, workspace, listener=watcher, force=self.force, fail_fast=self.fail_fast
                )
        except Interrupted as stop:
            say("stopped; the same command goes on from the last checkpoint", style="yellow")
            raise typer.Exit(128 + stop.signal) from stop

    def _device(self, plan: Plan, where: Place) -> str:
        if self._on_cluster(plan, where):
            return self.device  # of the cluster's nodes, not of this machine
        return device_for(self.device, plan, where.home, force=self.force, devices=self.devices)

    def _executor(self, plan: Plan, where: Place) -> Callable[..., tuple[Outcome, ...]]:
        if not self._on_cluster(plan, where):
            from harness.execute import execute

            return execute
        from harness.execute import cluster

        return partial(cluster.execute, address=self.address)

    def _on_cluster(self, plan: Plan, where: Place) -> bool:
        """Tell whether a cluster is asked for, and there is something to do for it."""
        from harness.store import Store

        store = Store(where.home)
        todo = self.force or any(not store.finished(run.fingerprint) for run in plan.runs)
        return self.executor == "ray" and todo
