"""Images of archives as files: written whole and to disk, and read again before one is passed over."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from harness.data.archive_names import IMPOSSIBLE, impossible
from harness.durable import file_sha256, make_folders, sync_folder, unwritable
from harness.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Member:
    """A member of an archive; `open` is ``None`` where it is no image but a link, a folder, or anything else."""

    name: str
    size: int
    open: Callable[[], IO[bytes] | None] | None
    folder: bool = False


@dataclass
class Unpacked:
    """A folder of unpacked images.

    Args:
        folder: is made where it is not there.
        known: path below the folder -> sha256 that its image was prepared with.
    """

    folder: Path
    known: Mapping[str, str] = field(default_factory=dict)
    _holding: set[Path] = field(default_factory=set)

    def __post_init__(self) -> None:
        make_folders(self.folder)
        self._holding.add(self.folder)

    def write(self, archive: Path, member: Member, opened: Callable[[], IO[bytes] | None]) -> None:
        """Write a member under another name and rename it, unless it is there and as it was prepared, or as it comes.

        Raises:
            DataError: if the file system cannot have its name.
            StoreError: names the file that cannot be written.
            Exception: of the archive's reader; one of type ``OSError`` is of the archive, too.
        """
        target = self.folder / member.name
        found = _sha256(target, member.size)
        expected = self.known.get(member.name)
        if found and found == expected:
            self._hold(target.parent)
            return
        source = opened()
        if source is None:
            raise DataError(f"archive member {member.name!r:.200} cannot be read")
        with source:
            # A header may lie about its size: no more than that is read.
            data = source.read(member.size)
        if len(data) != member.size:
            raise EOFError(f"{member.name!r:.200} ends early")
        try:
            if not found or found != hashlib.sha256(data).hexdigest():
                self._replace(target, member.name, data)
            self._hold(target.parent)
        except OSError as error:
            if error.errno in IMPOSSIBLE:
                raise impossible(archive, member.name, error.strerror or str(error)) from error
            raise unwritable(target, error, member.size) from error

    def sync(self) -> None:
        """Bring the names of all images and folders to disk.

        Raises:
            OSError: if it cannot be done.
        """
        for folder in sorted(self._holding, reverse=True):
            sync_folder(folder)
        sync_folder(self.folder.parent)

    def _replace(self, target: Path, name: str, data: bytes) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Its own name may be as long as one can be.
        part = target.with_name(f".{hashlib.sha256(name.encode()).hexdigest()[:16]}.part")
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, target)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise

    def _hold(self, folder: Path) -> None:
        """Note a folder and those above it, whose names go to disk in the end, each once."""
        while folder not in self._holding:
            self._holding.add(folder)
            folder = folder.parent


def _sha256(path: Path, size: int) -> str:
    """Return the hash of a regular file of that size that can be read; else nothing."""
    try:
        if path.is_file() and not path.is_symlink() and path.stat().st_size == size:
            return file_sha256(path)
    except OSError:
        pass
    return ""
