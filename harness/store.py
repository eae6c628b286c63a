"""The store: `runs/<fingerprint>/`, written in a temporary place, renamed when complete, checked by its manifest.

<home>/runs/<fingerprint>/   result.json spec.json history.jsonl ranks.parquet queries.npz
                             *.safetensors manifest.json
<home>/work/<fingerprint>/   checkpoint of a run in progress
<home>/failures/             traceback of the last failure of a run
<home>/features/             cached outputs of frozen parts
<home>/locks/                one file a lock; the system frees it when its process ends
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.durable import Waiting, durable, hold, make_folders, reach, sync_folder, unwritable
from harness.errors import Interrupted, StoreError
from harness.manifest import MANIFEST, SCHEMA, checked, damage, listed, refuse_newer, seal, write_json
from harness.queries import FILE as QUERIES
from harness.queries import Queries, read_queries

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one run gave. Figures are fractions and ranks as the evaluators return them.

    Attributes:
        spec: the resolved run, as it was fingerprinted.
        passport: hash of `protocol`: what the figures may be compared with.
        protocol: its parts, see `harness.passport`; empty in results of versions that kept the hash alone.
        figures: evaluator -> {"revision": int, "params": {...}, "values": {figure: float}}.
        val_rsum: rSum on val of the weights that were kept, 0..600; ``None`` where another code trained them.
        cost: seconds, bytes and counts: train_seconds, peak_memory_bytes, parameters, ...; empty where nobody told.
        provenance: versions, hardware, source revision, command, time.
    """

    fingerprint: str
    spec: Mapping[str, Any]
    dataset: str
    passport: str
    images: int
    captions: int
    limit: int | None
    figures: Mapping[str, Mapping[str, Any]]
    val_rsum: float | None
    epochs: int
    best_epoch: int
    cost: Mapping[str, float]
    provenance: Mapping[str, Any]
    notes: Sequence[str] = field(default_factory=tuple)
    protocol: Mapping[str, str] = field(default_factory=dict)
    schema: int = SCHEMA


class Store:
    """Finished runs and the checkpoints of those in progress.

    Args:
        home: folder of the store; made when first written to.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.runs = home / "runs"

    def finished(self, fingerprint: str) -> bool:
        """Tell whether a complete result is there."""
        return (self.runs / fingerprint / MANIFEST).is_file()

    def fingerprints(self) -> list[str]:
        """Return the fingerprints of all finished runs, sorted; what a killed process left between two is mended."""
        self.sweep()
        return sorted(path.parent.name for path in self.runs.glob(f"*/{MANIFEST}"))

    def half(self) -> list[str]:
        """Return the names of the folders below `runs` that have no manifest, sorted: no run is read from one."""
        return sorted(
            path.name for path in self.runs.glob("[!.]*") if path.is_dir() and not self.finished(path.name)
        )

    def result(self, fingerprint: str) -> Result:
        """Read a result.

        Raises:
            StoreError: if it is missing, unreadable, or written by a newer version.
        """
        path = self.runs / fingerprint / "result.json"
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            newer = raw["schema"] > SCHEMA
            if not newer:
                return Result(**raw)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"cannot read {path}: {error}", hint="Run it again with --force.") from error
        raise StoreError(f"{path} was written by a newer version (schema {raw['schema']}, known: {SCHEMA})")

    def folder(self, fingerprint: str) -> Path:
        """Return the folder of a finished run."""
        return self.runs / fingerprint

    def damage(self, fingerprint: str, names: Collection[str] | None = None) -> list[str]:
        """Return the stored files, of `names` or of all, that are missing or whose sha256 is not the manifest's.

        A manifest that was altered is told too, whatever is asked for.
        """
        return damage(self.runs / fingerprint, names)

    def checked(self, fingerprint: str, name: str) -> Path:
        """Return the path of a stored file whose checksum was verified now.

        Raises:
            StoreError: names the file if it is missing or damaged.
        """
        return checked(self.runs / fingerprint, name)

    def weights(self, fingerprint: str) -> dict[str, Tensor]:
        """Read the weights that a run kept, by parameter name."""
        from safetensors.torch import load_file

        return dict(load_file(self.checked(fingerprint, "weights.safetensors")))

    def queries(self, fingerprint: str) -> Queries | None:
        """Read the ranks of every query that a run keeps; ``None`` where it keeps none.

        Raises:
            StoreError: names the file if it is damaged.
        """
        if not (self.runs / fingerprint / QUERIES).is_file():
            return None
        return read_queries(self.checked(fingerprint, QUERIES))

    def publish(self, result: Result, write: Callable[[Path], None]) -> None:
        """Store a run: `write` puts its files into a temporary folder, which then takes its place in one rename.

        The checkpoint that it was made from goes.
        """
        self._replace(result, write)
        shutil.rmtree(self.work(result.fingerprint), ignore_errors=True)

    def _replace(
        self, result: Result, write: Callable[[Path], None], kept: Mapping[str, str] | None = None
    ) -> None:
        """Put what `write` writes in the place of a run; `kept` has the sha256 of what it links unread."""
        from safetensors import SafetensorError

        temporary = self.runs / f".{result.fingerprint}.{os.getpid()}"
        try:
            reach("before run")
            make_folders(self.runs)
            temporary.mkdir()
            write(temporary)
            write_json(temporary / "spec.json", result.spec)
            write_json(temporary / "result.json", dataclasses.asdict(result))
            seal(temporary, kept or {})
            reach("sealed run")
            final, old = self.runs / result.fingerprint, temporary.with_suffix(".old")
            if final.exists():
                final.rename(old)
                reach("aside run")
            temporary.rename(final)
            reach("renamed run")
            sync_folder(self.runs)
            reach("after run")
            _remove(old)
        except OSError as error:
            raise unwritable(self.runs, error, _size(temporary)) from error
        except SafetensorError as error:
            # Its library writes by itself, and tells the system's error in its text.
            found = re.search(r"\(os error (\d+)\)", str(error))
            cause = (
                OSError(int(found[1]), os.strerror(int(found[1])))
                if found
                else OSError(errno.EIO, str(error))
            )
            raise unwritable(self.runs, cause, _size(temporary)) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def update(self, result: Result, write: Callable[[Path], None] | None = None) -> None:
        """Replace the figures of a stored run, and the files that `write` writes; its other files stay.

        They keep the checksums that they were stored with: what was damaged since stays known as damaged. So does the
        checkpoint of an attempt to make it again.

        Raises:
            StoreError: if the manifest or a file that it names is gone.
        """
        folder = self.runs / result.fingerprint
        kept = {n: sha for n, sha in listed(folder).items() if n not in ("result.json", "spec.json")}

        def fill(temporary: Path) -> None:
            if write is not None:
                write(temporary)
            for name in list(kept):
                if (temporary / name).exists():
                    del kept[name]
                elif not (folder / name).is_file():
                    raise StoreError(f"{folder / name} is missing", hint="Run it again with --force.")
                else:
                    _link(folder / name, temporary / name)

        self._replace(result, fill, kept)

    def work(self, fingerprint: str) -> Path:
        """Return the folder of a run in progress."""
        return self.home / "work" / fingerprint

    def recover(self, fingerprint: str) -> None:
        """Mend or clear what a killed process left of a run; call it with the run's lock held."""
        final = self.runs / fingerprint
        for left in sorted(self.runs.glob(f".{fingerprint}.*")):
            if left.suffix == ".old" and not final.exists():
                left.rename(final)
            else:
                _remove(left)

    def left(self) -> list[Path]:
        """Return the folders of runs that are being written, or whose process was killed."""
        return sorted(self.runs.glob(".*.*"))

    def sweep(self) -> None:
        """Mend or clear what killed processes left of any run; one that a living process holds is passed over."""
        for fingerprint in {path.name.split(".")[1] for path in self.left()}:
            at_once = Waiting(lambda owner: None, lambda: 1)
            # A store that cannot be written is read as it is.
            with contextlib.suppress(Interrupted, StoreError, OSError), hold(self.home, fingerprint, at_once):
                self.recover(fingerprint)

    def begin(self, fingerprint: str, *, force: bool) -> None:
        """Drop a checkpoint that this attempt must not go on from; call it with the run's lock held.

        A forced attempt goes on from a forced one alone, which was interrupted; one that is not forced, from any.

        Raises:
            StoreError: if what is stored was written by a newer version: it is not to be replaced.
        """
        refuse_newer(self.runs / fingerprint)
        work = self.work(fingerprint)
        mark = work / "forced"
        if force and not mark.exists():
            shutil.rmtree(work, ignore_errors=True)
            with durable(mark):
                pass
        elif not force and self.finished(fingerprint):
            shutil.rmtree(work, ignore_errors=True)

    def record_failure(self, fingerprint: str, text: str) -> Path:
        """Keep the traceback of a failed run; return its file."""
        path = self.home / "failures" / f"{fingerprint}.txt"
        with durable(path) as file:
            file.write(text.encode("utf-8", "backslashreplace"))
        return path


def _link(source: Path, target: Path) -> None:
    """Give a file a second name, or a copy where the file system has no such links or is another one."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copyfile(source, target)


_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EXDEV, errno.EMLINK)


def _remove(folder: Path) -> None:
    """Remove the folder of a run that was replaced; of one that is a link to somewhere else, the link alone."""
    if folder.is_symlink():
        folder.unlink(missing_ok=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*"))
