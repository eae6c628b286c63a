"""Ids of another code's rows -> places in a split. What order the rows have says nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from harness.errors import DataError
from harness.protocols import Record, Split

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]

SHOWN = 5
"""Ids of a fault that a message lists."""


@dataclass(frozen=True, kw_only=True)
class Naming:
    """One way of naming the images or captions of a split: id -> place."""

    name: str
    places: Mapping[str, int]


def image_namings(split: Split) -> list[Naming]:
    """Return how images may be named: by id, by file with and without folder and ending, by COCO's id."""
    return [_naming(name, _of_images(split, key)) for name, key in _IMAGE_KEYS.items() if _has(split, key)]


def caption_namings(split: Split) -> list[Naming]:
    """Return how captions may be named: each way of naming images with ``#<position>``, and COCO's annotation id."""
    found = []
    for name, key in _IMAGE_KEYS.items():
        if _has(split, key):
            found.append(_naming(f"{name}#position", _numbered(split, key)))
    annotations = [number for record in split.records for number in _annotations(record)]
    if len(annotations) == len(split.captions):
        found.append(_naming("COCO annotation id", annotations))
    return found


def places_of(given: Sequence[str], namings: Sequence[Naming], what: str, source: str) -> Ints:
    """Return (n,) for each image or caption of a split the row of `given` that is its.

    Of several ways of naming the one is taken under which the most ids are known; they are not mixed.

    Args:
        given: ids in the order of the rows.
        what: ``image`` or ``caption``, and `source`, the file, for messages.

    Raises:
        DataError: lists the first ids that are missing, unknown or doubled, and how many there are.
    """
    import numpy as np

    naming = max(namings, key=lambda each: len(each.places.keys() & set(given)))
    rows = {identity: row for row, identity in enumerate(given)}
    faults = {
        "unknown": [identity for identity in rows if identity not in naming.places],
        "there more than once": [identity for identity, count in Counter(given).items() if count > 1],
        "missing": [identity for identity in naming.places if identity not in rows],
    }
    if any(faults.values()):
        example = next(iter(naming.places))
        hint = f"The split has {len(naming.places):,} {what}s; an id is such as {example!r} ({naming.name})."
        if faults["there more than once"] and what == "image":
            hint += " An image has one row, also where a loader yields it once for each of its captions."
        raise DataError(
            f"{source}: its {what} ids are not those of the split",
            problems=[
                f"{len(ids):,} {what} {'id is' if len(ids) == 1 else 'ids are'} {fault}: {listed(ids)}"
                for fault, ids in faults.items()
                if ids
            ],
            hint=hint,
        )
    order = np.empty(len(given), dtype=np.int64)
    order[[naming.places[identity] for identity in given]] = np.arange(len(given))
    return order


def listed(ids: Sequence[str]) -> str:
    """Return the first ids, with dots where there are more."""
    return ", ".join(f"{identity!r:.100}" for identity in ids[:SHOWN]) + (", ..." if len(ids) > SHOWN else "")


_IMAGE_KEYS: Mapping[str, Callable[[Record], str]] = {
    "image id": lambda record: record.image,
    "path": lambda record: record.file,
    "file name": lambda record: PurePosixPath(record.file).name,
    "file name without ending": lambda record: PurePosixPath(record.file).stem,
    "COCO image id": lambda record: record.tags.get("coco_id", ""),
}


def _of_images(split: Split, key: Callable[[Record], str]) -> list[str]:
    return [key(record) for record in split.records]


def _numbered(split: Split, key: Callable[[Record], str]) -> list[str]:
    return [f"{key(record)}#{place}" for record in split.records for place in range(len(record.captions))]


def _annotations(record: Record) -> list[str]:
    return [number for number in record.tags.get("caption_ids", "").split(",") if number]


def _has(split: Split, key: Callable[[Record], str]) -> bool:
    """Tell whether a key names every image, and no two alike."""
    names = _of_images(split, key)
    return all(names) and len(set(names)) == len(names)


def _naming(name: str, ids: Iterable[str]) -> Naming:
    return Naming(name=name, places={identity: place for place, identity in enumerate(ids)})
