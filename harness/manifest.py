"""The manifest of a stored run: the sha256 of each of its files, by which damage is noticed."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from harness.durable import file_sha256, sync_folder
from harness.errors import StoreError

SCHEMA = 2
"""Of results and manifests as they are written now; older ones are read."""
MANIFEST = "manifest.json"


def seal(folder: Path, known: Mapping[str, str]) -> None:
    """Bring all files of a folder to disk, and then the manifest that has their checksums.

    Args:
        known: name -> sha256 of files that are not to be read again.
    """
    files = {}
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            os.fsync(file.fileno())
        files[path.name] = known.get(path.name) or file_sha256(path)
    write_json(folder / MANIFEST, {"schema": SCHEMA, "files": files})
    sync_folder(folder)


def damage(folder: Path, names: Collection[str] | None = None) -> list[str]:
    """Return the files of a run, of `names` or of all, that are missing or whose sha256 is not the manifest's.

    A manifest that was altered is told too, whatever is asked for.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
        manifest = json.loads(content)
        files, schema = manifest["files"], manifest["schema"]
        if schema > SCHEMA:
            return [f"{folder / MANIFEST}: of a newer version (schema {schema}, known: {SCHEMA})"]
        if schema not in range(1, SCHEMA + 1) or _json(manifest) != content:
            raise ValueError("it was altered")
        files = dict(files)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [f"{folder / MANIFEST}: {error}"]
    return [
        str(folder / name)
        for name, expected in files.items()
        if (names is None or name in names)
        and (not (folder / name).is_file() or file_sha256(folder / name) != expected)
    ]


def checked(folder: Path, name: str) -> Path:
    """Return the path of a file whose checksum was verified now.

    Raises:
        StoreError: names the file if it is missing or damaged.
    """
    path, files = folder / name, listed(folder)
    if name not in files or not path.is_file() or file_sha256(path) != files[name]:
        raise StoreError(f"{path} is missing or damaged", hint="Run it again with --force.")
    return path


def listed(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file by name, as the manifest has them.

    Raises:
        StoreError: if it cannot be read.
    """
    try:
        return dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{folder / MANIFEST} is missing or damaged: {error}", hint="Run it again with --force."
        ) from error


def unlisted(folder: Path) -> list[Path]:
    """Return what lies beside the files of a run and stands in no manifest; nothing where that cannot be read."""
    try:
        names = {MANIFEST, *listed(folder)}
    except StoreError:
        return []
    return sorted(path for path in folder.iterdir() if path.name not in names)


def refuse_newer(folder: Path) -> None:
    """Make sure that a stored run, if there is one, may be replaced.

    Raises:
        StoreError: if it was written by a newer version.
    """
    for name in (MANIFEST, "result.json"):
        path = folder / name
        try:
            schema = json.loads(path.read_bytes())["schema"]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # none, or a damaged one
        if isinstance(schema, int) and schema > SCHEMA:
            raise StoreError(
                f"{path} was written by a newer version (schema {schema}, known: {SCHEMA}); it is left as it is",
                hint="Update the harness, or choose another store with --home.",
            )


def write_json(path: Path, value: Any) -> None:
    """Write a file and bring it to disk."""
    with path.open("wb") as file:
        file.write(_json(value))
        file.flush()
        os.fsync(file.fileno())


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False).encode()
