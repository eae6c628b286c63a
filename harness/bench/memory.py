"""Memory that a call takes beyond what was held before it."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
from pathlib import Path

from harness.execute.provenance import PeakMemory
from harness.execute.timing import finished


class ExtraMemory:
    """Measure by how many bytes memory rises at its highest after construction.

    That is memory allocated on an accelerator, resident memory on a CPU, of which what had been freed before is given
    back to the system first, so that it cannot be used again unseen. The kernel and the allocator keep the peak:
    nothing runs beside what is measured. Construction takes some tenths of a second, which no one should time.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._before: int | None = None
        if device.startswith("cuda"):
            import torch

            self._before = torch.cuda.memory_allocated(device)
        elif sys.platform == "linux":
            gc.collect()
            with contextlib.suppress(OSError, AttributeError):  # another C library than GNU's
                ctypes.CDLL(None).malloc_trim(0)
            self._before = resident()
        self._peak = PeakMemory(device)

    def bytes(self) -> int | None:
        """Return the rise, 0 or more; ``None`` where the system keeps no peak that can be reset: Linux does."""
        finished(self._device)()
        return None if self._before is None else max(self._peak.bytes() - self._before, 0)

    def peak(self) -> int:
        """Return the memory at its highest, with what was held before."""
        finished(self._device)()
        return self._peak.bytes()


def resident() -> int:
    """Return the resident memory of this process in bytes, on Linux."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * _page()


def _page() -> int:
    import resource

    return resource.getpagesize()
