"""Where and when a benchmark ran: machine, versions, source, command."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import sleep

from harness.errors import InputError
from harness.execute.outcome import Workspace
from harness.execute.provenance import default_threads, hardware, versions

BUSY, STIRRING = 1.0, 0.5
"""Load averages a core: above the first a machine does other work, above the second it may."""

WAIT, LOOK = 120, 5
"""Seconds that a measurement waits for an idle machine, and between two looks at its load."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where it was measured.

    Attributes:
        hardware: processor, threads, accelerator.
        cores: that the process could use.
        load: the system's load average of a minute before it began; ``None`` where there is none.
    """

    hardware: str
    device: str
    cores: int
    threads: int
    load: float | None


@dataclass(frozen=True, kw_only=True)
class Origin:
    """All that a table says of where it came from."""

    machine: Machine
    versions: Mapping[str, str]
    revision: str
    date: str
    command: str


def load_average() -> float | None:
    """Return the system's load average of the last minute; ``None`` where there is none."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def wait_idle(cores: int, told: Callable[[str], None]) -> float | None:
    """Return the load average once it has fallen to that of an idle machine, after `WAIT` seconds as it is then."""
    load = load_average()
    if load is None or load <= STIRRING * cores:
        return load
    told(
        f"the load average is {load:.2f} on {cores} cores: waiting up to {WAIT} seconds for it to fall to "
        f"{STIRRING * cores:g}"
    )
    for _ in range(WAIT // LOOK):
        sleep(LOOK)
        load = load_average()
        if load is None or load <= STIRRING * cores:
            break
    return load


def check_idle(load: float | None, cores: int, *, busy: bool) -> str:
    """Hold a machine whose figures are to be written to having no other work.

    Args:
        load: the load average before it began, see `load_average`.
        busy: write them all the same.

    Returns:
        What is to be said of them; empty for a machine that was idle.

    Raises:
        InputError: if it was busy, unless `busy`.
    """
    if load is None or load <= STIRRING * cores:
        return ""
    found = f"the load average was {load:.2f} on {cores} cores before it began"
    if load > BUSY * cores and not busy:
        raise InputError(
            f"{found}: the machine has other work, and figures of a busy machine are not written",
            hint="Wait until it is idle, leave out --write, or try the writing out with --busy.",
        )
    return f"{found}: figures of a busy machine are not to be committed"


def origin_of(workspace: Workspace, packages: Iterable[str], load: float | None) -> Origin:
    """Describe this run.

    Args:
        packages: distributions whose versions matter; one that is not installed is left out.
        load: see `load_average`, from before it began.
    """
    found = versions({})
    for name in packages:
        if name not in found:
            try:
                found[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                continue
    return Origin(
        machine=machine_of(workspace, load),
        versions={name: version for name, version in found.items() if name in ("python", *packages)},
        revision=workspace.revision,
        date=today(),
        command=workspace.command,
    )


def machine_of(workspace: Workspace, load: float | None) -> Machine:
    """Describe the machine."""
    return Machine(
        hardware=hardware(workspace.device, workspace.threads),
        device=workspace.device,
        cores=default_threads(),
        threads=workspace.threads,
        load=load,
    )


def today() -> str:
    """Return the date in UTC."""
    return datetime.now(UTC).date().isoformat()


def signature(machine: Machine, versions: Mapping[str, str], revision: str, date: str, command: str) -> str:
    """Return the line that stands below a table."""
    load = "" if machine.load is None else f", load average {machine.load:.2f} before it began"
    listed = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    source = f" Source {revision}." if revision else ""
    return (
        f"{machine.hardware}, {machine.cores} cores, device {machine.device}{load}. {listed}.{source} {date}: "
        f"`{command}`."
    )
