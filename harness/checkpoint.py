"""Checkpoints of a training: the newest and the one before it, each with a checksum of what it holds."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.durable import durable, reach
from harness.errors import StoreError

COPIES = 3
"""Checkpoints on disk at most: two, and the one that is being written."""
_DIGEST = "sha256"
_UNREADABLE = (OSError, RuntimeError, ValueError, EOFError, TypeError, KeyError, AttributeError)


def previous(path: Path) -> Path:
    """Return where the checkpoint before that of `path` lies."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint under `path`; what lay there becomes the one before it. One of them is always whole.

    Args:
        content: tensors, numbers, text, and lists and dicts of them.

    Raises:
        StoreError: if it cannot be written; the older ones are as they were.
    """
    import torch

    with durable(path) as file:
        torch.save({**content, _DIGEST: _sha256(content)}, file)
        _keep(path)


def _keep(path: Path) -> None:
    """Give the newest checkpoint the name of the one before it as well, in one step."""
    if not path.exists():
        return
    second = path.with_name(f".{path.name}.second.tmp")
    second.unlink(missing_ok=True)
    try:
        os.link(path, second)
    except OSError:  # a file system without links: for a moment there is the one before alone
        second = path
    second.replace(previous(path))
    reach(f"second {path.name}")


def read(path: Path) -> dict[str, Any]:
    """Read one checkpoint; nothing in it can run code.

    Raises:
        StoreError: if it is damaged, or no checkpoint.
    """
    import torch

    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        # One of an earlier version has none.
        expected = content.pop(_DIGEST, None)
        if expected is not None and expected != _sha256(content):
            raise ValueError("its checksum does not match")
    except pickle.UnpicklingError as error:
        # The library's own text says how to load it all the same, which would run whatever code is in it.
        raise StoreError("it is damaged, or no checkpoint of the harness") from error
    except _UNREADABLE as error:
        raise StoreError((str(error) or type(error).__name__).splitlines()[0]) from error
    return content


def candidates(
    path: Path, refuse: Callable[[Path, str, bool], None]
) -> Iterator[tuple[Path, bool, dict[str, Any]]]:
    """Yield the checkpoints that can be read, the newest first: file, whether there is another, content.

    Args:
        refuse: is told of each that cannot: its file, the cause, and whether there is another.
    """
    there = [file for file in (path, previous(path)) if file.exists()]
    for position, file in enumerate(there, 1):
        another = position < len(there)
        try:
            content = read(file)
        except StoreError as error:
            refuse(file, error.message, another)
        else:
            yield file, another, content


def _sha256(value: Any) -> str:
    digest = hashlib.sha256()
    _feed(digest.update, value)
    return digest.hexdigest()


def _feed(update: Callable[[Any], None], value: Any) -> None:
    import torch

    if isinstance(value, torch.Tensor):
        update(f"{value.dtype} {tuple(value.shape)} ".encode())
        update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    elif isinstance(value, Mapping):
        update(f"{{{len(value)} ".encode())
        for key, item in value.items():
            _feed(update, key)
            _feed(update, item)
    elif isinstance(value, (list, tuple)):
        update(f"[{len(value)} ".encode())
        for item in value:
            _feed(update, item)
    else:
        update(f"{value!r} ".encode())
