"""Writes that appear whole or not at all, and locks that the system frees."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from harness.errors import Interrupted, StoreError


@contextlib.contextmanager
def durable(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that appears under `path` only when complete and on disk; a failure leaves what was there.

    Raises:
        StoreError: names the path where it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    """Return the hex digest of a file's bytes, which are never held as a whole."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to disk: a rename is durable only then."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@dataclass(frozen=True)
class Waiting:
    """What to do while another process holds a lock.

    Args:
        tell: is told the owner, once.
        stopping: returns the number of a signal that asks to give up, or 0.
    """

    tell: Callable[[str], None]
    stopping: Callable[[], int]


@contextlib.contextmanager
def hold(home: Path, name: str, waiting: Waiting | None = None) -> Iterator[None]:
    """Hold the lock `name` of a store.

    Raises:
        StoreError: if the store cannot be written.
        Interrupted: `waiting` was asked to give up.
    """
    import filelock

    path = home / "locks" / f"{name}.lock"
    owner = path.with_suffix(".owner")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path.parent, error) from error
    lock = filelock.FileLock(path)
    told = False
    while True:
        try:
            lock.acquire(timeout=0.5 if told else 0)
            break
        except filelock.Timeout:
            if waiting is not None:
                if not told:
                    waiting.tell(owner.read_text() if owner.exists() else "another process")
                if signal := waiting.stopping():
                    raise Interrupted(signal) from None
            told = True
        except OSError as error:
            raise unwritable(path, error) from error
    try:
        owner.write_text(f"process {os.getpid()} on {os.uname().nodename}")
        yield
    finally:
        lock.release()


def unwritable(path: Path, error: OSError) -> StoreError:
    """Return the error that names a path which cannot be written."""
    return StoreError(
        f"cannot write {path}: {error.strerror or error}",
        hint="Free space or choose another place with --home; results stored earlier are intact.",
    )
