"""The device and the numerics that a command is asked to use."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import InputError, nearest

if TYPE_CHECKING:
    from harness.plan import Plan


def check_device(wanted: str) -> None:
    """Refuse what names no device; nothing heavy is loaded.

    Raises:
        InputError: with the nearest name.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:(0|[1-9][0-9]*))?", wanted):
        raise InputError(
            f"no device {wanted!r}{nearest(wanted, ('auto', 'cpu', 'cuda', 'cuda:0'))}",
            hint="Use auto, cpu, cuda or cuda:N; see `harness doctor`.",
        )


def find_device(wanted: str, devices: int = 1) -> str:
    """Return the device: ``auto`` is the first accelerator that is there, else the CPU.

    Args:
        devices: how many of them there must be; a CPU is any number.

    Raises:
        InputError: if it is not there.
    """
    import torch

    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "auto":
        wanted = "cuda" if there else "cpu"
    if wanted != "cpu" and devices > max(there, 1):
        raise InputError(
            f"--devices asks for {devices} GPUs, and {there} are there",
            hint="Lower --devices, or see `harness doctor`.",
        )
    if wanted != "cpu" and int(wanted.partition(":")[2] or 0) >= there:
        raise InputError(f"device {wanted!r} is not there", hint="Use --device cpu, or see `harness doctor`.")
    return wanted


def device_for(wanted: str, plan: Plan, home: Path, *, force: bool = False, devices: int = 1) -> str:
    """Return the device for a plan; one that is stored whole needs no torch to find out.

    Raises:
        InputError: if it is not there.
    """
    from harness.store import Store

    if not force and all(Store(home).finished(run.fingerprint) for run in plan.runs):
        return "cpu"
    return find_device(wanted, devices)


def check_numerics(precision: str, compiled: str) -> None:
    """Refuse a precision or a compiler that is not there.

    Raises:
        InputError: with the nearest name.
    """
    from harness.step import Numerics

    Numerics(precision=precision)
    if compiled:
        import torch

        known = [*torch.compiler.list_backends(), "eager", "aot_eager"]
        if compiled not in known:
            raise InputError(
                f"torch {torch.__version__} has no compiler {compiled!r}{nearest(compiled, known)}"
            )
