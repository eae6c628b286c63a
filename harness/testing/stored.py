"""A state through the file format in which the store keeps it."""

from __future__ import annotations

from typing import Any


def round_trip(kept: Any, other: Any) -> str:
    """Store the state of one module and load it into another; return why that fails, or nothing."""
    from safetensors.torch import load, save

    try:
        content = save({name: tensor.contiguous() for name, tensor in kept.state_dict().items()})
        other.load_state_dict(load(content))
    except (RuntimeError, ValueError, TypeError, AttributeError, KeyError) as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return ""
