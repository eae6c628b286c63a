"""The two files of a prepared dataset: ``manifest.json`` and ``records.jsonl``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.data.lists import ListFile
from harness.errors import DataError
from harness.plan import Part, canonical
from harness.protocols import SPLITS, Record

SCHEMA = 3
_FIRST, _SECOND = 1, 2
"""What manifests without `annotations`, and those without `archives`, stay, so that an older harness reads them."""
MANIFEST = "manifest.json"
RECORDS = "records.jsonl"


@dataclass(frozen=True, kw_only=True)
class StoredRecord:
    """A record with what was seen of its image file.

    Args:
        record: the annotation.
        sha256: hex digest of the image file.
        size: bytes of the image file.
        mtime_ns: when it was last written, in nanoseconds.
        width: pixels, upright.
        height: pixels, upright.
    """

    record: Record
    sha256: str
    size: int
    mtime_ns: int
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a prepared dataset is, where it came from, and the hashes that prove it.

    Args:
        name: of the dataset and of its folder.
        use: component that read it.
        revision: of that component.
        params: parameters of that component.
        source: absolute path of the folder that holds the images.
        counts: by split the numbers of ``images`` and ``captions``.
        notes: what was left out or decided, for people.
        protocol: sha256 over splits, image and caption ids, caption texts and image hashes: the passport.
        records_sha256: sha256 of ``records.jsonl``.
        created: UTC, ISO 8601.
        harness: version that prepared it.
        annotations: absolute paths of the annotation files that were named apart from the source; mostly none.
        archives: absolute paths of the archives that the images were unpacked from into the source; mostly none.
        unchanged: true where `prepare` found everything as it was and wrote nothing; not stored.
        lists: files beside the dataset with names in full where a note tells the first few; not stored.
    """

    name: str
    use: str
    revision: int
    params: Mapping[str, Any]
    source: str
    counts: Mapping[str, Mapping[str, int]]
    notes: tuple[str, ...]
    protocol: str
    records_sha256: str
    created: str
    harness: str
    annotations: tuple[str, ...] = ()
    archives: tuple[str, ...] = ()
    unchanged: bool = field(default=False, compare=False)
    lists: tuple[ListFile, ...] = field(default=(), compare=False)

    def to_json(self) -> str:
        """Return the text of ``manifest.json``; its last key is a checksum over the others."""
        body = asdict(self)
        del body["unchanged"], body["lists"]
        for key in ("annotations", "archives"):
            if not body[key]:
                del body[key]
        body["schema"] = SCHEMA if self.archives else _SECOND if self.annotations else _FIRST
        body["checksum"] = _checksum(body)
        return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


def count(records: Iterable[Record]) -> dict[str, dict[str, int]]:
    """Count images and captions of each split, in the order of `SPLITS`."""
    counts = {split: {"images": 0, "captions": 0} for split in SPLITS}
    for record in records:
        counts[record.split]["images"] += 1
        counts[record.split]["captions"] += len(record.captions)
    return counts


def protocol_hash(stored: Iterable[StoredRecord]) -> str:
    """Hash splits, image ids, caption ids and texts, image hashes and tags, in the order of the records."""
    digest = hashlib.sha256(b"harness protocol 1\n")
    for item in stored:
        record = item.record
        captions = [[f"{record.image}#{k}", text] for k, text in enumerate(record.captions)]
        row = [record.split, record.image, item.sha256, captions, sorted(record.tags.items())]
        digest.update(json.dumps(row, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()


def records_text(stored: Iterable[StoredRecord]) -> bytes:
    """Return the bytes of ``records.jsonl``: one record a line."""
    lines = (
        json.dumps(
            {
                "image": item.record.image,
                "split": item.record.split,
                "captions": item.record.captions,
                "file": item.record.file,
                "tags": dict(item.record.tags),
                "sha256": item.sha256,
                "size": item.size,
                "mtime_ns": item.mtime_ns,
                "width": item.width,
                "height": item.height,
            },
            ensure_ascii=False,
        )
        for item in stored
    )
    return "".join(f"{line}\n" for line in lines).encode()


def differences(part: Part, manifest: Manifest) -> str:
    """Say in what a prepared dataset differs from the part that asks for it; empty if in nothing."""
    if manifest.use != part.use:
        return f"it was prepared by {manifest.use!r}, not by {part.use!r}"
    if manifest.revision != part.revision:
        return f"it was prepared by revision {manifest.revision} of {part.use!r}, now {part.revision}"
    if canonical(dict(manifest.params)) != canonical(dict(part.params)):
        return f"it was prepared with {_told(manifest.params)}, and its entry in the registry has {_told(part.params)}"
    return ""


def other_parameters(part: Part, manifest: Manifest) -> bool:
    """Tell whether it is parameters alone that a prepared dataset differs in."""
    same = (manifest.use, manifest.revision) == (part.use, part.revision)
    return same and canonical(dict(manifest.params)) != canonical(dict(part.params))


def reconcile(part: Part, manifest: Manifest, command: str) -> str:
    """Say how a prepared dataset and its entry come together again; `command` prepares it as the entry says."""
    if not other_parameters(part, manifest):
        return command
    return (
        "Write the parameters that it was prepared with into that entry, or prepare it with those of the "
        f"entry: {command}; with --as NAME it becomes a dataset of its own."
    )


def _told(params: Mapping[str, Any]) -> str:
    """Write parameters as registry.yaml has them."""
    return (
        ", ".join(f"{key}: {json.dumps(value)}" for key, value in sorted(params.items())) or "no parameters"
    )


def read_manifest(folder: Path) -> Manifest:
    """Read and check ``manifest.json``.

    Raises:
        DataError: if it is missing, damaged, or of a newer version.
    """
    path = folder / MANIFEST
    try:
        body = json.loads(path.read_bytes())
        schema = body.get("schema") if isinstance(body, dict) else None
        if isinstance(schema, int) and schema > SCHEMA:
            raise DataError(f"{path} has schema {schema}, this harness reads up to {SCHEMA}")
        if schema not in (_FIRST, _SECOND, SCHEMA) or body.pop("checksum") != _checksum(body):
            raise DataError(f"{path} is damaged: its checksum does not match")
        del body["schema"]
        lists = {key: tuple(body.get(key, ())) for key in ("notes", "annotations", "archives")}
        return Manifest(**{**body, **lists})
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged: {error}") from error


def read_records(folder: Path, manifest: Manifest) -> tuple[StoredRecord, ...]:
    """Read ``records.jsonl`` and check it against the manifest.

    Raises:
        DataError: if it is missing or damaged.
    """
    path = folder / RECORDS
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != manifest.records_sha256:
        raise DataError(
            f"{path} is damaged: sha256 {found[:16]}, the manifest says {manifest.records_sha256[:16]}"
        )
    return tuple(_stored(json.loads(line)) for line in data.split(b"\n") if line)


def _stored(row: Mapping[str, Any]) -> StoredRecord:
    record = Record(
        image=row["image"],
        split=row["split"],
        captions=tuple(row["captions"]),
        file=row["file"],
        tags=row["tags"],
    )
    return StoredRecord(
        record=record,
        sha256=row["sha256"],
        size=row["size"],
        mtime_ns=row["mtime_ns"],
        width=row["width"],
        height=row["height"],
    )


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(dict(body)).encode()).hexdigest()
