"""Images in a tar or zip archive, unpacked once, safely, beside the prepared dataset."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from harness.data.images import MAX_BYTES
from harness.errors import DataError

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
IMAGES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm")
MAX_TOTAL = 64 * 2**30
"""Bytes that an archive may unpack to: three times MSCOCO."""
MAX_MEMBERS = 1_000_000

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class Member:
    """One image of an archive."""

    name: str
    size: int
    open: Callable[[], IO[bytes] | None]


def is_archive(path: Path) -> bool:
    """Tell by its name whether a file is an archive that `unpack` reads."""
    return path.is_file() and path.name.lower().endswith(SUFFIXES)


def unpack(archive: Path, folder: Path, progress: Progress) -> list[str]:
    """Write the images of an archive below a folder; those that are there whole are passed over.

    Only regular files named as images are taken. Each is written under another name and renamed, so that a process
    that was killed left no half image; the next call goes on.

    Returns:
        Notes on what was left out.

    Raises:
        DataError: if the archive is damaged, a name leaves the folder, or it unpacks to more than `MAX_TOTAL` bytes,
            a member of more than `harness.data.images.MAX_BYTES`, or more than `MAX_MEMBERS` members.
        OSError: if the folder cannot be written.
    """
    left, total, done = 0, 0, 0
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for member in _members(archive):
            if member is None:
                left += 1
                continue
            total, done = total + member.size, done + 1
            if member.size > MAX_BYTES or total > MAX_TOTAL or done + left > MAX_MEMBERS:
                raise DataError(
                    f"{archive}: {member.name!r:.200} is refused: the archive unpacks to more than "
                    f"{MAX_BYTES // 2**20} MiB an image, {MAX_TOTAL // 2**30} GiB, or {MAX_MEMBERS:,} members",
                    hint="Unpack it yourself if you trust it, and name the folder.",
                )
            _write(member, folder)
            progress(done, 0, f"unpacking {archive.name}")
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        EOFError,
        ValueError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise DataError(
            f"{archive} is damaged or no archive that can be read: {error}", hint="Get the file again."
        ) from error
    if not done:
        raise DataError(f"{archive} holds no images")
    return [f"{archive.name}: {left:,} members that are no images left out"] if left else []


def _members(archive: Path) -> Iterator[Member | None]:
    """Yield the images of an archive, and ``None`` for what is left out."""
    yield from _zip(archive) if archive.name.lower().endswith(".zip") else _tar(archive)


def _tar(archive: Path) -> Iterator[Member | None]:
    with tarfile.open(archive, "r|*") as file:
        for info in file:
            if info.isdir():
                continue
            if not info.isreg() or not _image(info.name):
                _check(archive, info.name)
                yield None
                continue
            member = Member(
                name=_check(archive, info.name), size=info.size, open=partial(file.extractfile, info)
            )
            yield member


def _zip(archive: Path) -> Iterator[Member | None]:
    with closing(zipfile.ZipFile(archive)) as file:
        for info in file.infolist():
            if info.is_dir():
                continue
            name = _check(archive, info.filename)
            mode = info.external_attr >> 16
            regular = not stat.S_IFMT(mode) or stat.S_ISREG(mode)
            yield (
                Member(name=name, size=info.file_size, open=partial(file.open, info))
                if regular and _image(name)
                else None
            )


def _image(name: str) -> bool:
    return name.lower().endswith(IMAGES) and not PurePosixPath(name).name.startswith(".")


def _check(archive: Path, name: str) -> str:
    """Return a name that stays below a folder.

    Raises:
        DataError: if it does not: such an archive was made to do harm.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or ":" in path.parts[0]:
        raise DataError(
            f"{archive}: member {name!r:.200} would be written outside the folder; nothing more is read from it",
            hint="Get the archive from its authors.",
        )
    return path.as_posix()


def _write(member: Member, folder: Path) -> None:
    target = folder / member.name
    if target.is_file() and not target.is_symlink() and target.stat().st_size == member.size:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    source = member.open()
    if source is None:
        raise DataError(f"archive member {member.name!r:.200} cannot be read")
    with source, part.open("wb") as file:
        # A header may lie about its size: no more than that is written.
        shutil.copyfileobj(_Bounded(source, member.size), file)
        if file.tell() != member.size:
            raise EOFError(f"{member.name!r:.200} ends early")
    os.replace(part, target)


class _Bounded:
    """Reads at most so many bytes."""

    def __init__(self, source: IO[bytes], size: int) -> None:
        self.source, self.left = source, size

    def read(self, size: int = -1) -> bytes:
        data = self.source.read(self.left if size < 0 else min(size, self.left))
        self.left -= len(data)
        return data
