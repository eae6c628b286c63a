"""Images in a tar or zip archive, unpacked once, safely, beside the prepared dataset."""

from __future__ import annotations

import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Self

from harness.data.archive_names import Taken, checked
from harness.data.checks import number
from harness.data.images import MAX_BYTES
from harness.data.unpacked import Member, Unpacked
from harness.errors import DataError

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
IMAGES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm")
MAX_TOTAL = 64 * 2**30
"""Bytes that archives may unpack to, images or not: three times MSCOCO."""
MAX_MEMBERS = 1_000_000
MAX_HEADER = 2**20
"""Bytes of what a tar tells of a member beside its header, such as a long name: read at once."""

Progress = Callable[[int, int, str], None]


def is_archive(path: Path) -> bool:
    """Tell by its name whether a file is an archive that `unpack` reads."""
    return path.is_file() and path.name.lower().endswith(SUFFIXES)


def check_places(source: Path, files: Sequence[Path], archives: Sequence[Path]) -> None:
    """Check that what a user named is there: a folder or archives of images, and annotation files.

    Args:
        source: the folder, or the first archive.
        files: annotation files, or folders of them.
        archives: more archives.

    Raises:
        DataError: names what is not.
    """
    kinds = ", ".join(SUFFIXES)
    if not source.is_dir() and not is_archive(source):
        raise DataError(
            f"{source} is neither a folder nor an archive ({kinds})",
            hint="--from names the folder of the dataset; --images that of its images, or archives of them.",
        )
    others = [str(path) for path in (source, *archives) if not is_archive(path)] if archives else []
    if others:
        raise DataError(
            f"of several places of images each is an archive ({kinds}), not {', '.join(others)}",
            hint="Images in folders: name the folder that holds them all.",
        )
    lacking = [str(file) for file in files if not file.exists()]
    if lacking:
        raise DataError(f"no such annotation file: {', '.join(lacking)}")


def unpack(
    archives: Sequence[Path], folder: Path, progress: Progress, known: Mapping[str, str] | None = None
) -> list[str]:
    """Write the images of archives below a folder, and to disk; those that are there whole are passed over.

    Only regular files named as images are taken. Each is written under another name and renamed, so that a process
    that was killed left no half image; the next call goes on. What is there is read again and compared, and written
    anew where it is damaged. Archives that are refused leave nothing but what a prepared dataset refers to.

    Args:
        folder: is of these very archives, and of nothing else.
        progress: called with images done, 0 as their number is not known, and what is being done.
        known: path below the folder -> sha256, of the dataset that is prepared from it; ``None`` where there is none.

    Returns:
        Notes on what was left out.

    Raises:
        DataError: if an archive is damaged or cannot be read, a name leaves the folder, cannot be a file, or stands
            twice in the archives but for its case, or they unpack to more than `MAX_TOTAL` bytes, images or not, an
            image of more than `harness.data.images.MAX_BYTES`, or more than `MAX_MEMBERS` members.
        StoreError, OSError: if the folder cannot be written.
    """
    count, taken = Count(), Taken()
    notes = []
    place = Unpacked(folder, known or {})
    try:
        for archive in archives:
            left = _unpack(archive, place, count, taken, progress)
            if left:
                notes.append(f"{archive.name}: {number(left, 'member')} left out, links or no images")
    except DataError:
        if known is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    place.sync()
    return notes


@dataclass
class Count:
    """Members and bytes of all archives so far."""

    members: int = 0
    images: int = 0
    size: int = 0


def _unpack(archive: Path, place: Unpacked, count: Count, taken: Taken, progress: Progress) -> int:
    """Write the images of one archive; return the number of members that are none."""
    left, before = 0, count.images
    try:
        for member in _members(archive):
            _count(archive, member, count)
            if member.open is None:
                left += not member.folder
                continue
            taken.take(archive, member.name)
            count.images += 1
            place.write(archive, member, member.open)
            progress(count.images, 0, f"unpacking {archive.name}")
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError,
            NotImplementedError, RuntimeError) as error:  # fmt: skip
        raise _damaged(archive, error) from error
    except OSError as error:
        if error.errno is None:  # bz2's word for it
            raise _damaged(archive, error) from error
        raise DataError(f"cannot read {archive}: {error.strerror or error}") from error
    if count.images == before:
        raise DataError(f"{archive} holds no images")
    return left


def _damaged(archive: Path, error: Exception) -> DataError:
    return DataError(
        f"{archive} is damaged or no archive that can be read: {error}", hint="Get the file again."
    )


def _count(archive: Path, member: Member, count: Count) -> None:
    """Count a member before anything of it is read: what is left out of a compressed archive is decompressed, too.

    Raises:
        DataError: if the archives are too large with it.
    """
    count.members += 1
    count.size += member.size
    if (
        count.size > MAX_TOTAL
        or count.members > MAX_MEMBERS
        or (member.open is not None and member.size > MAX_BYTES)
    ):
        raise DataError(
            f"{archive}: {member.name!r:.200} is refused: the archive unpacks to more than "
            f"{MAX_BYTES // 2**20} MiB an image, {MAX_TOTAL // 2**30} GiB, or {MAX_MEMBERS:,} members",
            hint="Unpack it yourself if you trust it, and name the folder.",
        )


def _members(archive: Path) -> Iterator[Member]:
    """Yield the members of an archive; what must be decompressed to pass one over is its size."""
    yield from _zip(archive) if archive.name.lower().endswith(".zip") else _tar(archive)


def _tar(archive: Path) -> Iterator[Member]:
    with tarfile.open(archive, "r|*", tarinfo=_Whole) as file:
        for info in file:
            if info.isdir():
                yield Member(name=info.name, size=0, open=None, folder=True)
                continue
            name = checked(archive, info.name)
            image = info.isreg() and _image(name)
            skipped = info.isreg() or info.type not in tarfile.SUPPORTED_TYPES
            yield Member(
                name=name,
                size=info.size if skipped else 0,
                open=partial(file.extractfile, info) if image else None,
            )


class _Whole(tarfile.TarInfo):
    """A header that is there whole: tarfile takes half of one for the end of the archive."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.TruncatedHeaderError as error:  # type: ignore[attr-defined]  # typeshed lacks it
            raise tarfile.ReadError(f"it ends early ({error})") from error

    def _proc_member(self, tarfile_: tarfile.TarFile) -> Self:
        # Headers of headers are read whole, before anybody can ask for their size.
        if self.type in _LONG and self.size > MAX_HEADER:
            raise tarfile.ReadError(f"a header of {self.size:,} bytes")
        found: Self = super()._proc_member(tarfile_)  # type: ignore[misc]  # typeshed lacks it
        return found


_LONG = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)


def _zip(archive: Path) -> Iterator[Member]:
    with closing(zipfile.ZipFile(archive)) as file:
        # Not is_dir(), which fails on an empty name.
        files = [info for info in file.infolist() if not info.filename.endswith("/")]
        names = [checked(archive, info.filename) for info in files]  # all of them, before one is written
        for info, name in zip(files, names, strict=True):
            mode = info.external_attr >> 16
            regular = not stat.S_IFMT(mode) or stat.S_ISREG(mode)
            image = regular and _image(name)
            yield Member(
                name=name,
                size=info.file_size if image else 0,
                open=partial(file.open, info) if image else None,
            )


def _image(name: str) -> bool:
    return name.lower().endswith(IMAGES) and not PurePosixPath(name).name.startswith(".")
