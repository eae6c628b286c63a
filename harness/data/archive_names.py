"""Names of members of an archive: which of them can be files below a folder, on any file system."""

from __future__ import annotations

import errno
import unicodedata
from pathlib import Path, PurePosixPath

from harness.errors import DataError

LONGEST = 255
"""Bytes of a part of a path, as nearly every file system has it."""
IMPOSSIBLE = frozenset(
    (
        *(
            errno.ENAMETOOLONG,
            errno.EINVAL,
            errno.EILSEQ,
            errno.EEXIST,
            errno.ENOTDIR,
            errno.EISDIR,
            errno.ELOOP,
        ),
        *(errno.ENOTEMPTY, errno.EPROTO),
    )
)
"""What a file system says of a name that it cannot have; of want of space, or of rights, it says other things."""
_UNPACK = "Unpack it yourself, look which of the two is meant, and name the folder."


def checked(archive: Path, name: str) -> str:
    """Return a name that stays below a folder.

    Raises:
        DataError: if it does not, since such an archive was made to do harm, or if no file system takes it.
    """
    path = PurePosixPath(name)
    if (
        not path.parts
        or path.is_absolute()
        or ".." in path.parts
        or "\\" in name
        or "\0" in name
        or ":" in path.parts[0]
    ):
        raise DataError(
            f"{archive}: member {name!r:.200} would be written outside the folder; nothing of it is kept",
            hint="Get the archive from its authors.",
        )
    try:
        longest = max(len(part.encode()) for part in path.parts)
    except UnicodeEncodeError:
        raise DataError(
            f"{archive}: the name of member {name!r:.200} is not UTF-8",
            hint="Unpack it yourself, and name the folder.",
        ) from None
    if longest > LONGEST:
        raise impossible(archive, name, f"{longest:,} bytes in one part of its path, not {LONGEST} at most")
    return path.as_posix()


def impossible(archive: Path, name: str, why: str) -> DataError:
    """Return the error of a member that cannot be a file."""
    return DataError(
        f"{archive}: member {name!r:.200} cannot be a file here: {why}; nothing of the archive is kept",
        hint="Get the archive from its authors, or unpack it yourself under other names, and name the folder.",
    )


class Taken:
    """The names of all archives so far. Two that differ in case alone are one file where a file system ignores it."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[str, Path]] = {}
        self._folders: dict[str, tuple[str, Path]] = {}

    def take(self, archive: Path, name: str) -> None:
        """Take a name that `checked` returned.

        Raises:
            DataError: if it is taken, but for its case, or is that of a folder, or below that of a file.
        """
        key = _folded(name)
        folders = [parent.as_posix() for parent in PurePosixPath(key).parents][:-1]
        if key in self._files:
            raise _taken(archive, name, *self._files[key])
        blocked = self._folders.get(key) or next((self._files[f] for f in folders if f in self._files), None)
        if blocked is not None:
            other, first = blocked
            raise impossible(archive, name, f"{_of(other, first, archive)} is in its way")
        self._files[key] = name, archive
        for folder in folders:
            self._folders.setdefault(folder, (name, archive))


def _taken(archive: Path, name: str, other: str, first: Path) -> DataError:
    """Return the error of a name that another member has; it names both archives where there are two."""
    if other != name:
        return DataError(
            f"{archive}: members {_of(other, first, archive)} and {name!r:.200} differ in case or accents' spelling "
            "alone, and are one file on some file systems; nothing of the archive is kept",
            hint="Unpack it yourself, rename one of them, and name the folder.",
        )
    again = "is there twice" if first == archive else f"stands in {first}, too"
    return DataError(f"{archive}: member {name!r:.200} {again}; nothing of the archive is kept", hint=_UNPACK)


def _of(name: str, archive: Path, other: Path) -> str:
    return f"{name!r:.200}" if archive == other else f"{name!r:.200} of {archive}"


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
