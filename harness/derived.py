"""What components derive from the features of the train images, such as clusters: computed once, and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from harness.durable import Waiting, durable, hold
from harness.errors import TrainingError

if TYPE_CHECKING:
    from torch import Tensor


def load_derived(
    home: Path,
    features: str,
    key: str,
    compute: Callable[[], Tensor],
    waiting: Waiting | None = None,
) -> Tensor:
    """Return what `compute` returns; it is called only where no cache of the store has it, undamaged.

    Args:
        features: address of the features that it is derived from, see `harness.features.feature_key`.
        key: names all else that determines it.
        waiting: what to do while another process computes it.

    Raises:
        TrainingError: if `compute` returns no tensor.
        StoreError: if it cannot be written.
        Interrupted: `waiting` was asked to give up.
    """
    import torch

    origin = f"derived 1\0{features}\0{key}"
    path = home / "derived" / f"{hashlib.sha256(origin.encode()).hexdigest()[:32]}.safetensors"
    # One process computes it, the others wait and then read it.
    with hold(home, f"derived-{path.stem}", waiting):
        # Left by a process that was killed: this one holds the lock.
        for left in path.parent.glob(f".{path.name}.*.tmp"):
            left.unlink()
        found = _read(path)
        if found is None:
            found = compute()
            if not isinstance(found, torch.Tensor):
                raise TrainingError(
                    f"what is to be remembered as {key!r} is a {type(found).__name__}, no tensor"
                )
            found = found.detach().cpu().contiguous()
            _write(path, found, key)
        return found


def intact(path: Path) -> bool:
    """Tell whether a stored tensor is what was written."""
    return _read(path) is not None


def _read(path: Path) -> Tensor | None:
    """Return a stored tensor, or ``None`` if it is missing or not what was written."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensor: Tensor = file.get_tensor("value")
            whole = (file.metadata() or {}).get("sha256") == _sha256(tensor)
    except (OSError, SafetensorError):
        return None
    return tensor if whole else None


def _write(path: Path, tensor: Tensor, key: str) -> None:
    from safetensors.torch import save

    with durable(path) as file:
        file.write(save({"value": tensor}, metadata={"key": key, "sha256": _sha256(tensor)}))


def _sha256(tensor: Tensor) -> str:
    import torch

    digest = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)} ".encode())
    digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
