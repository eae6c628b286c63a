"""Where prepared datasets lie, and how one takes another's place while one of them can always be read."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.data.images import AbsentError
from harness.data.manifest import MANIFEST, RECORDS
from harness.durable import durable, make_folders, reach, sync_folder
from harness.errors import DataError, StoreError
from harness.specs import valid_name

# "~" stands in no dataset's name, so that what belongs to "a" is not taken for what belongs to "a.b".
_PREVIOUS = ".{name}~previous"
_NEW = ".{name}~new~"
_LOCK = ".{name}~lock"
_JOURNAL = ".{name}~seen.jsonl"


def find(root: Path, name: str) -> Path | None:
    """Return the folder of a prepared dataset, or ``None``.

    A prepare that died between its two renames leaves the earlier data under a hidden name; they are
    still read.

    Raises:
        DataError: if `name` cannot be the name of a dataset.
    """
    check_name(name)
    for folder in (root / name, root / _PREVIOUS.format(name=name)):
        if (folder / MANIFEST).is_file():
            return folder
    return None


def names(root: Path) -> list[str]:
    """List the prepared datasets below `root`."""
    if not root.is_dir():
        return []
    found = {path.name for path in root.iterdir() if valid_name(path.name) and path.is_dir()}
    hidden = {path.name[1 : -len("~previous")] for path in root.glob(".*~previous")}
    return sorted(name for name in found | hidden if valid_name(name) and find(root, name))


def half(root: Path) -> list[str]:
    """List the folders below `root` that hold a dataset's records and no manifest: nothing reads one."""
    found = (path.parent.name for path in root.glob(f"[!.]*/{RECORDS}"))
    return sorted(name for name in found if valid_name(name) and not find(root, name))


def check_name(name: str) -> None:
    """Refuse a name that could leave the data root.

    Raises:
        DataError: if it is malformed.
    """
    if not valid_name(name):
        raise DataError(f"dataset name {name[:80]!r} is not 1-64 of a-z, 0-9, '.', '_', '-'")


def journal(root: Path, name: str) -> Path:
    """Return the file that keeps what a prepare of `name` has seen of images, until one succeeds."""
    check_name(name)
    return root / _JOURNAL.format(name=name)


def unpacked(root: Path, name: str, archives: Sequence[Path]) -> Path:
    """Return the folder for images of `name` that came in these archives; changed ones have another folder.

    Raises:
        DataError: if an archive is gone.
    """
    check_name(name)
    try:
        seen = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in archives]
    except OSError as error:
        raise DataError(f"cannot read {error.filename}: {error.strerror}") from error
    key = hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:16]
    return _images(root, name) / key


def clear_unpacked(root: Path, name: str, source: Path) -> None:
    """Remove unpacked images of `name` that are not in `source`: nothing refers to them any more."""
    folder = _images(root, name)
    if folder.is_dir() and not folder.is_symlink():
        for other in folder.iterdir():
            if not source.is_relative_to(other):
                shutil.rmtree(other, ignore_errors=True)
        if not any(folder.iterdir()):
            folder.rmdir()


def _images(root: Path, name: str) -> Path:
    return root / f"{name}~images"


@contextlib.contextmanager
def locked(root: Path, name: str) -> Iterator[None]:
    """Hold the dataset for one process and clear what a killed one left; its lock the system has freed.

    Raises:
        DataError: if another process holds it, or if a folder of that name is not a prepared dataset.
        StoreError: if `root` cannot be written.
    """
    import filelock

    check_name(name)
    try:
        make_folders(root)
        with filelock.FileLock(root / _LOCK.format(name=name), timeout=0):
            folder, previous = root / name, root / _PREVIOUS.format(name=name)
            if previous.exists() and not folder.exists():
                previous.rename(folder)
            for left in root.glob(_NEW.format(name=name) + "*"):
                shutil.rmtree(left)
            if previous.exists():
                shutil.rmtree(previous)
            _refuse_foreign(folder)
            yield
    except filelock.Timeout:
        raise DataError(
            f"another process is preparing {name!r} in {root}", hint="Wait until it has ended."
        ) from None
    except OSError as error:
        raise StoreError(f"cannot write {error.filename or root}: {error.strerror or error}") from error


def replace(root: Path, name: str, files: Mapping[str, bytes]) -> None:
    """Write the files of a dataset beside it, make them durable, and rename them into place.

    Raises:
        StoreError, OSError: names what cannot be written; what was there before is as it was.
    """
    folder, previous = root / name, root / _PREVIOUS.format(name=name)
    fresh = Path(tempfile.mkdtemp(prefix=_NEW.format(name=name), dir=root))
    try:
        for file, data in files.items():
            with durable(fresh / file) as stream:
                stream.write(data)
        fresh.chmod(0o777 & ~umask())
        sync_folder(fresh)
        reach("before dataset")
        if folder.exists():
            folder.rename(previous)
        reach("renamed dataset")
        fresh.rename(folder)
        sync_folder(root)
        reach("after dataset")
    except BaseException:
        if previous.exists() and not folder.exists():
            previous.rename(folder)
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    if previous.exists():
        shutil.rmtree(previous)


def plain(path: Path) -> Path:
    """Return an absolute path without ``..``; links in it stay, unless it has some."""
    absolute = path.absolute()
    return absolute.resolve() if ".." in absolute.parts else absolute


def locate(source: Path, file: str) -> Path:
    """Return the real path of `file` below the real path `source`.

    Raises:
        AbsentError: if it is absolute, climbs with ``..``, or follows a link out of `source`.
    """
    if not file or "\0" in file:
        raise AbsentError("the path of its file is empty" if not file else "the path of its file holds NUL")
    if Path(file).is_absolute() or ".." in Path(file).parts:
        raise AbsentError(f"path {file!r} leaves the source folder")
    try:
        real = (source / file).resolve()
    except (OSError, RuntimeError) as error:
        raise AbsentError(f"path {file!r} cannot be followed ({error})") from error
    if not real.is_relative_to(source):
        raise AbsentError(f"path {file!r} is a link out of the source folder")
    return real


def _refuse_foreign(folder: Path) -> None:
    """Refuse to replace a folder that holds anything else: it may be the user's only copy."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise DataError(f"{folder} is in the way: not a folder of a prepared dataset")
    if folder.is_dir():
        others = sorted(path.name for path in folder.iterdir() if path.name not in (MANIFEST, RECORDS))
        if others:
            raise DataError(
                f"{folder} holds {others[0]!r} and is not a folder of a prepared dataset; it is left alone",
                hint="Choose another name with --as, or another data root with HARNESS_DATA.",
            )


def umask() -> int:
    """Return the mode bits that new files and folders of this process do not get."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
