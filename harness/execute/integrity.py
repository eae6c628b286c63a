"""Everything in a store read again and compared with its checksums; what is damaged is named, with what mends it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness import checkpoint, decoded, derived, features
from harness.data import prepare_again, verify
from harness.data.folder import find, half, names
from harness.data.manifest import MANIFEST as DATA_MANIFEST
from harness.errors import HarnessError, StoreError
from harness.execute.then import command_of
from harness.leaks import looks
from harness.manifest import MANIFEST, unlisted
from harness.store import Store

CACHES: Mapping[str, tuple[str, Callable[[Path], bool]]] = {
    "features": ("*/*.safetensors", features.intact),
    "decoded": ("*/*.safetensors", decoded.intact),
    "derived": ("*.safetensors", derived.intact),
    looks.FOLDER: ("*/*.npz", looks.intact),
}
"""Folder of the store -> pattern of its files, and what tells whether one is what was written."""

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class Damage:
    """A file that is not what was written.

    Args:
        kind: ``run``, ``checkpoint``, ``dataset``, or the name of a cache.
        path: the file, or the folder where several are meant.
        problem: what is wrong with it.
        repair: the command that mends it, or what mends it by itself.
    """

    kind: str
    path: str
    problem: str
    repair: str


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What was read.

    Args:
        counts: kind -> files, of datasets their number.
        damages: what is not what was written.
        strays: temporary folders and files of writes that never ended; the next write to their place clears them.
    """

    counts: Mapping[str, int]
    damages: tuple[Damage, ...]
    strays: tuple[Path, ...] = field(default=())


def examine(
    home: Path,
    data: Path,
    commands: Mapping[str, str],
    progress: Progress | None = None,
    datasets: Mapping[str, str] | None = None,
) -> Examined:
    """Read every file of a store and of the prepared datasets; none of them is changed.

    What killed processes left of runs is mended or cleared before, under their locks, as whenever runs are listed; a
    store that cannot be written is read as it is.

    Args:
        data: root of the prepared datasets.
        commands: fingerprint -> the command that does a run again.
        datasets: name -> the command that prepares a dataset again; those that are not named get one by their manifest.
        progress: called with things read, things in all, and what is read.
    """
    tell = progress or _silent
    store = Store(home)
    fingerprints = sorted([*store.fingerprints(), *store.half()])
    checkpoints = sorted(store.home.glob("work/*/checkpoint*.pt"))
    cached = {kind: sorted((home / kind).glob(pattern)) for kind, (pattern, _) in CACHES.items()}
    prepared = sorted([*names(data), *half(data)])
    total = len(fingerprints) + len(checkpoints) + sum(map(len, cached.values())) + len(prepared)
    counts = {"run": 0, "checkpoint": len(checkpoints), "dataset": len(prepared)} | {
        kind: len(paths) for kind, paths in cached.items()
    }
    damages: list[Damage] = []
    done = 0

    def step(kind: str, found: Iterator[Damage]) -> None:
        nonlocal done
        tell(done, total, f"reading {kind}")
        damages.extend(found)
        done += 1

    for fingerprint in fingerprints:
        counts["run"] += sum(1 for _ in store.folder(fingerprint).iterdir())
        step("runs", _run(store, fingerprint, commands))
    for path in checkpoints:
        step("checkpoints", _checkpoint(path))
    for kind, paths in cached.items():
        for path in paths:
            step(kind, _cache(kind, path))
    for name in prepared:
        step("datasets", _dataset(name, data, (datasets or {}).get(name) or prepare_again(data, name)))
    tell(total, total, "done")
    strays = [*store.left(), *(path for path in home.rglob(".*.tmp") if not path.is_relative_to(data))]
    return Examined(counts=counts, damages=tuple(damages), strays=tuple(strays))


def _run(store: Store, fingerprint: str, commands: Mapping[str, str]) -> Iterator[Damage]:
    again = commands.get(fingerprint) or _own_command(store, fingerprint)
    if not store.finished(fingerprint):
        path = str(store.folder(fingerprint) / MANIFEST)
        yield Damage(kind="run", path=path, problem="missing", repair=again)
        return
    for found in store.damage(fingerprint):
        path, _, problem = found.partition(f"{MANIFEST}: ") if f"{MANIFEST}: " in found else (found, "", "")
        yield Damage(
            kind="run",
            path=f"{path}{MANIFEST}" if problem else path,
            problem=problem
            or ("its sha256 is not that of the manifest" if Path(path).is_file() else "missing"),
            repair=again,
        )
    for path_ in unlisted(store.folder(fingerprint)):
        yield Damage(
            kind="run",
            path=str(path_),
            problem="stands in no manifest",
            repair=f"rm {'-r ' if path_.is_dir() and not path_.is_symlink() else ''}{shlex.quote(str(path_))}",
        )


def _own_command(store: Store, fingerprint: str) -> str:
    """Return the command that a run of no matrix at hand was made by, as far as it can still be read."""
    try:
        command = command_of(store.result(fingerprint))
    except (HarnessError, TypeError, AttributeError):
        command = ""
    if command:
        return command
    folder = shlex.quote(str(store.folder(fingerprint)))
    return f"no matrix of this registry has it; once it is not needed: rm -r {folder}"


def _checkpoint(path: Path) -> Iterator[Damage]:
    try:
        checkpoint.read(path)
    except StoreError as error:
        yield Damage(
            kind="checkpoint",
            path=str(path),
            problem=error.message,
            repair="the run goes on from the one before it, or starts anew, by itself",
        )


def _cache(kind: str, path: Path) -> Iterator[Damage]:
    if not CACHES[kind][1](path):
        yield Damage(
            kind=kind,
            path=str(path),
            problem="not what was written",
            repair="whatever reads it next makes it anew by itself",
        )


def _dataset(name: str, data: Path, again: str) -> Iterator[Damage]:
    if find(data, name) is None:
        path = str(data / name / DATA_MANIFEST)
        yield Damage(kind="dataset", path=path, problem="missing", repair=again)
        return
    try:
        problems = verify(name, data)
    except HarnessError as error:
        problems = [error.message]
    for problem in problems:
        yield Damage(
            kind="dataset",
            path=str(data / name),
            problem=problem,
            repair=f"restore the file if it is an image, else: {again}",
        )


def _silent(done: int, total: int, note: str) -> None:
    """Tell nobody."""
