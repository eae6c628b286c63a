"""Memory that a call takes beyond what was held before it."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
from collections.abc import Callable
from pathlib import Path

from harness.execute.provenance import PeakMemory
from harness.execute.timing import finished


def extra_memory(call: Callable[[], object], device: str) -> int | None:
    """Call once and return by how many bytes memory rose at its highest, 0 or more.

    That is memory allocated on an accelerator, resident memory on a CPU, of which what had been freed before is given
    back to the system first, so that it cannot be used again unseen. ``None`` where the system keeps no peak that can
    be reset: it does so on Linux.
    """
    if device.startswith("cuda"):
        import torch

        before = torch.cuda.memory_allocated(device)
    elif sys.platform == "linux":
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):  # another C library than GNU's
            ctypes.CDLL(None).malloc_trim(0)
        before = resident()
    else:
        call()
        return None
    peak = PeakMemory(device)
    call()
    finished(device)()
    return max(peak.bytes() - before, 0)


def resident() -> int:
    """Return the resident memory of this process in bytes, on Linux."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * _page()


def _page() -> int:
    import resource

    return resource.getpagesize()
