"""How long calls take, on devices that work behind as well."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial


def finished(device: str) -> Callable[[], None]:
    """Return what returns once all is done that a device was asked for."""
    if not device.startswith("cuda"):
        return _at_once
    import torch

    return partial(torch.cuda.synchronize, device)


def timed(call: Callable[[], object], calls: int, wait: Callable[[], object]) -> float:
    """Return the seconds of so many calls, above 0, until `wait` returns."""
    wait()
    start = time.perf_counter()
    for _ in range(calls):
        call()
    wait()
    return max(time.perf_counter() - start, 1e-9)


def _at_once() -> None:
    """Return: a CPU is done when it says so."""
