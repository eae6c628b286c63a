"""Memory that runs out, of the device or of the machine."""

from __future__ import annotations

import gc
import sys


class RanOutError(MemoryError):
    """Say that memory ran out in another process; `peak` is what that used at most, in bytes."""

    def __init__(self, story: str, peak: int) -> None:
        super().__init__(story)
        self.peak = peak


def is_memory(error: BaseException | None) -> bool:
    """Tell whether memory ran out, of the device or of the machine, somewhere in the chain of causes."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            return True
        if isinstance(error, RuntimeError) and "can't allocate memory" in str(error):
            return True  # torch's allocator for the CPU has no class for it
        error = error.__cause__ or error.__context__
    return False


def release() -> None:
    """Give back what was held when something failed: what comes next may need all of the device."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
