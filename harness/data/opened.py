"""An open dataset: splits, pixels and the hash of every image, whether it was prepared or is generated."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from harness.build import build
from harness.data import folder as folders
from harness.data.checks import check_records
from harness.data.images import ImageError, decode, read
from harness.data.manifest import (
    Manifest,
    StoredRecord,
    differences,
    read_manifest,
    read_records,
    reconcile,
)
from harness.data.prepared import annotations_of, dataset_spec
from harness.errors import DataError, nearest
from harness.plan import canonical
from harness.protocols import SPLITS, GeneratedDataset, Record, Split
from harness.specs import DatasetSpec

if TYPE_CHECKING:
    from harness.catalog import Catalog
    from harness.plan import Part
    from harness.protocols.datasets import Pixels


class Images(Protocol):
    """Where the images of an open dataset come from."""

    def pixels(self, record: Record) -> Pixels:
        """Return (height, width, 3) uint8 RGB, upright."""
        ...

    def content(self, record: Record) -> str:
        """Return a hash that changes when the pixels do."""
        ...


@dataclass(frozen=True, eq=False)
class OpenDataset:
    """A dataset that can be read. It can be pickled, and read from several threads.

    Args:
        name: of the dataset.
        passport: hash over splits, ids, captions and images; results compare only under the same one.
        records: all of them, in the order of the source.
        images: where their images come from.
        source: folder that it was prepared from; ``None`` if it is generated.
    """

    name: str
    passport: str
    records: tuple[Record, ...]
    images: Images
    source: Path | None = None
    _splits: dict[str, Split] = field(default_factory=dict, repr=False)

    def split(self, name: str, limit: int | None = None) -> Split:
        """Return a split, or its first `limit` images with their captions.

        Raises:
            DataError: if there is no such split, it has no images, or `limit` is below 1.
        """
        if name not in SPLITS:
            raise DataError(f"unknown split {name!r}{nearest(name, SPLITS)}")
        if limit is not None and limit < 1:
            raise DataError(f"limit {limit} leaves no images; give 1 or more")
        if name not in self._splits:
            records = tuple(record for record in self.records if record.split == name)
            if not records:
                raise DataError(
                    f"dataset {self.name!r} has no images in split {name!r}", hint="harness data status"
                )
            self._splits[name] = Split(name, records)
        whole = self._splits[name]
        return whole if limit is None or limit >= len(whole.records) else Split(name, whole.records[:limit])

    def pixels(self, record: Record) -> Pixels:
        """Return the image of a record, (height, width, 3) uint8 RGB, upright.

        Raises:
            DataError: if the file is gone or is not the one that was prepared, or a component drew no image.
        """
        return self.images.pixels(record)

    def content(self, record: Record) -> str:
        """Return the sha256 of the image file, or for a generated image of what determines it."""
        return self.images.content(record)


@dataclass(frozen=True, eq=False)
class PreparedImages:
    """Image files below the source folder; each is compared with its hash when it is read."""

    name: str
    source: Path
    stored: Mapping[str, StoredRecord]

    def pixels(self, record: Record) -> Pixels:
        """Read, compare and decode one file."""
        item = self._of(record)
        try:
            data = read(folders.locate(self.source, item.record.file))
            if hashlib.sha256(data).hexdigest() != item.sha256:
                raise ImageError("the file is not the one that was prepared")
            return decode(data, inspected=True)
        except ImageError as fault:
            raise DataError(
                f"dataset {self.name!r}: {self.source / item.record.file}: {fault}",
                hint=f"harness data verify {self.name}",
            ) from fault

    def content(self, record: Record) -> str:
        """Return the sha256 of the file."""
        return self._of(record).sha256

    def _of(self, record: Record) -> StoredRecord:
        try:
            return self.stored[record.image]
        except KeyError:
            raise DataError(f"dataset {self.name!r} has no image {record.image!r}") from None


@dataclass(frozen=True, eq=False)
class GeneratedImages:
    """Images that a component draws; `key` stands for everything that determines them but the record."""

    use: str
    key: str
    component: GeneratedDataset

    def pixels(self, record: Record) -> Pixels:
        """Draw one image and check its shape and type."""
        pixels = self.component.pixels(record)
        shape: tuple[int, ...] = getattr(pixels, "shape", ())
        dtype = getattr(pixels, "dtype", None)
        if len(shape) != 3 or shape[2] != 3 or str(dtype) != "uint8":
            raise DataError(
                f"dataset component {self.use!r} drew {shape} of {dtype} for {record.image!r}, "
                "not (height, width, 3) of uint8"
            )
        return pixels

    def content(self, record: Record) -> str:
        """Hash the key and the id."""
        return _sha256([self.key, record.image])


def open_dataset(part: Part, root: Path, catalog: Catalog) -> OpenDataset:
    """Open a prepared or an embedded dataset.

    Raises:
        DataError: if it is not prepared, was prepared otherwise, or is damaged; names the command to type.
    """
    if dataset_spec(catalog, part.use).embedded:
        component = build(part, "dataset", catalog)
        records = annotations_of(component, part.use, None).records
        problems = check_records(records)
        if problems:
            raise DataError(
                f"dataset component {part.use!r} returned records with problems:", problems=problems
            )
        key = embedded_protocol(part)
        rows = [[r.split, r.image, list(r.captions), dict(r.tags)] for r in records]
        return OpenDataset(
            part.name, _sha256([key, rows]), records, GeneratedImages(part.use, key, component)
        )
    folder, manifest = _prepared(part, root)
    stored = read_records(folder, manifest)
    source = Path(manifest.source)
    if not source.is_dir():
        raise DataError(
            f"dataset {part.name!r} was prepared from {source}, which is gone",
            hint=_command(part, "its new place"),
        )
    images = PreparedImages(part.name, source.resolve(), {item.record.image: item for item in stored})
    records = tuple(item.record for item in stored)
    return OpenDataset(part.name, manifest.protocol, records, images, source)


def protocol_of(part: Part, root: Path, spec: DatasetSpec) -> str:
    """Return the hash that enters a run's fingerprint.

    Raises:
        DataError: if it is not prepared, was prepared otherwise, or its manifest is damaged.
    """
    return embedded_protocol(part) if spec.embedded else _prepared(part, root)[1].protocol


def embedded_protocol(part: Part) -> str:
    """Hash what determines a generated dataset: component, revision and parameters."""
    return _sha256(["embedded", part.key])


def _prepared(part: Part, root: Path) -> tuple[Path, Manifest]:
    folder = folders.find(root, part.name)
    if folder is None:
        raise DataError(f"dataset {part.name!r} is not prepared in {root}", hint=_command(part))
    try:
        manifest = read_manifest(folder)
    except DataError as error:
        raise DataError(error.message, hint=_command(part)) from error
    difference = differences(part, manifest)
    if difference:
        hint = reconcile(part, manifest, _command(part))
        raise DataError(f"dataset {part.name!r} cannot be used: {difference}", hint=hint)
    return folder, manifest


def _command(part: Part, source: str = "DIR") -> str:
    return f"harness data prepare {part.name} --from {source}"


def _sha256(value: object) -> str:
    return hashlib.sha256(canonical(value).encode()).hexdigest()
