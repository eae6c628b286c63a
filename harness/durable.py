"""Writes that appear whole or not at all, and locks that the system frees."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from harness.errors import Interrupted, StoreError

failpoint: Callable[[str], None] | None = None
"""Is told each named place before and after a durable write. Tests die there; nothing else sets it."""


def reach(name: str) -> None:
    """Pass a named place at which a kill must do no harm."""
    if failpoint is not None:
        failpoint(name)


@contextlib.contextmanager
def durable(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that appears under `path` only when complete and on disk; a failure leaves what was there.

    What processes that were killed left of earlier writes to `path` is removed.

    Raises:
        StoreError: names the path where it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    size = 0
    try:
        make_folders(path.parent)
        clear_left(path)
        reach(f"before {path.name}")
        with _claimed(temporary) as file:
            try:
                yield file
                file.flush()
            finally:
                size = os.fstat(file.fileno()).st_size
            os.fsync(file.fileno())
            reach(f"written {path.name}")
            temporary.replace(path)
        reach(f"renamed {path.name}")
        sync_folder(path.parent)
        reach(f"after {path.name}")
    except OSError as error:
        raise unwritable(path, error, size) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def clear_left(path: Path) -> None:
    """Remove the temporary files of writes to `path` whose processes are gone: the system has freed their locks."""
    start = f".{path.name}."
    for name in os.listdir(path.parent):
        if not (name.startswith(start) and name.endswith(".tmp")):
            continue
        left = path.with_name(name)
        with contextlib.suppress(OSError), left.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink(missing_ok=True)


@contextlib.contextmanager
def _claimed(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file and hold a lock on it, so that nobody takes it for one that was left."""
    while True:
        with path.open("wb") as file:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)
            # Another process may have cleared it between the two calls.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                    yield file
                    return


def file_sha256(path: Path) -> str:
    """Return the hex digest of a file's bytes, which are never held as a whole."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_folders(folder: Path) -> None:
    """Make a folder, and those above it that are missing, and bring their names to disk: all in it is lost with them.

    Raises:
        OSError: if one cannot be made.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in reversed(missing):
        with contextlib.suppress(PermissionError):  # of a folder that one may write into and not read
            sync_folder(made.parent)


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

    @classmethod
    def by(cls, progress: Callable[[int, int], object], total: int) -> Waiting:
        """Return what tells again and again that nothing of `total` is done yet; `progress` may end it by raising."""

        def asked() -> int:
            progress(0, total)
            return 0

        return cls(tell=lambda owner: None, stopping=asked)


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
        make_folders(path.parent)
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
        with contextlib.suppress(
            OSError
        ):  # it is for people to read, and a full disk must not cost more than itself
            owner.write_text(f"process {os.getpid()} on {os.uname().nodename}")
        yield
    finally:
        lock.release()


def unwritable(path: Path, error: OSError, size: int = 0) -> StoreError:
    """Return the error that names a path which cannot be written.

    Args:
        size: bytes that were written when it failed, where that is known.
    """
    need = ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        place = next((folder for folder in path.parents if folder.exists()), Path("/"))
        need = f"; it needs more than {size:,} bytes, {shutil.disk_usage(place).free:,} are free now"
    return StoreError(
        f"cannot write {path}: {error.strerror or error}{need}",
        hint="Free space or choose another place; results stored earlier are intact.",
    )
