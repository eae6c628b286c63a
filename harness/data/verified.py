"""Whether a prepared dataset is still what was prepared."""

from __future__ import annotations

import hashlib
from pathlib import Path

from harness.data import folder as folders
from harness.data.images import ImageError, read
from harness.data.inspections import Progress, each_told, silent
from harness.data.manifest import (
    MANIFEST,
    RECORDS,
    StoredRecord,
    count,
    protocol_hash,
    read_manifest,
    read_records,
)
from harness.errors import DataError, nearest


def verify(name: str, root: Path, progress: Progress | None = None) -> list[str]:
    """Hash the manifest, the records and every image file again; return the problems, each naming its file.

    Raises:
        DataError: if no dataset of that name was prepared.
    """
    folder = folders.find(root, name)
    if folder is None:
        raise DataError(
            f"dataset {name!r} is not prepared in {root}{nearest(name, folders.names(root))}",
            hint=f"harness data prepare {name} --from DIR",
        )
    try:
        manifest = read_manifest(folder)
        stored = read_records(folder, manifest)
    except DataError as error:
        return [str(error)]
    problems = []
    if protocol_hash(stored) != manifest.protocol or count(s.record for s in stored) != manifest.counts:
        problems.append(f"{folder / MANIFEST}: protocol or counts do not follow from {RECORDS}")
    source = Path(manifest.source)
    if not source.is_dir():
        return [*problems, f"{source}: the source folder is gone"]
    real = source.resolve()

    def check(item: StoredRecord) -> str:
        try:
            found = hashlib.sha256(read(folders.locate(real, item.record.file))).hexdigest()
        except ImageError as fault:
            return f"{source / item.record.file}: {fault}"
        if found == item.sha256:
            return ""
        return f"{source / item.record.file}: sha256 {found[:16]}, prepared with {item.sha256[:16]}"

    return problems + [
        problem for problem in each_told(check, stored, progress or silent, "checking images") if problem
    ]
