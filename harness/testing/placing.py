"""Where tensors are made: on another device, be it one that only keeps shapes."""

from __future__ import annotations

_MIXED = ("expected device", "same device", "found at least two devices")


def devices() -> list[str]:
    """Return devices to try, beside the CPU: an accelerator where there is one, else torch's device of shapes."""
    import torch

    if torch.accelerator.is_available():
        accelerator = torch.accelerator.current_accelerator()
        assert accelerator is not None
        return [accelerator.type]
    return ["meta"]


def foreign(error: Exception, device: str) -> str:
    """Return what mixes devices; empty where a device without numbers cannot tell.

    Raises:
        Exception: this very error, if it came up on a real device for another reason.
    """
    told = str(error).split("\n")[0]
    if any(sign in told for sign in _MIXED):
        return f"{type(error).__name__}: {told}"
    if device != "meta":
        raise error
    return ""
