"""Checks of a dataset, generated or read from files."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.data import open_dataset, prepare, verify
from harness.data.checks import check_records
from harness.data.opened import OpenDataset
from harness.data.prepared import annotations_of
from harness.errors import HarnessError
from harness.passport import gallery, passport
from harness.protocols import SPLITS, Record
from harness.specs import DatasetSpec
from harness.testing.contract import Witness
from harness.testing.elsewhere import digests, read_elsewhere
from harness.testing.making import Made
from harness.testing.violation import Violation

SMALL = 500
"""Images up to which all of them are looked at."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """A dataset, made anew for every question.

    Attributes:
        embedded: whether it draws its images.
        source: the folder that it is read from.
        scratch: an empty folder.
    """

    made: Made
    embedded: bool
    source: Path | None
    scratch: Path

    def read(self, component: Any | None = None) -> tuple[Record, ...]:
        """Read all records, with the checks of their types that the harness makes."""
        component = self.made.make(0) if component is None else component
        return annotations_of(component, self.made.name, self.source).records

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """All records, as read once."""
        return self.read()


def records(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Look at ids, splits and captions."""
    for problem in check_records(subject.records):
        see.sample, _, found = problem.rpartition(": ")
        yield see.violation("an id of its own, in one split, and captions that say something", found)


def splits(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Look for images that stand in two splits under two ids, and for splits without images."""
    for split in SPLITS:
        if not any(record.split == split for record in subject.records):
            see.sample = f"split {split!r}"
            yield see.violation("images in each of train, val and test", "none")
    where: dict[bytes, Record] = {}
    component = subject.made.make(0)
    for record in subject.records:
        if subject.embedded and len(subject.records) > SMALL:
            return
        see.sample = f"image {record.image!r} of {record.split}"
        content = _content(subject, component, record)
        first = where.setdefault(content, record)
        if first.split != record.split:
            yield see.violation(
                "images that no other split holds", f"that of {first.image!r} in {first.split}"
            )


def order(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Read it again: from the same object, from another one, and in another process."""
    import random

    import numpy as np

    component = subject.made.make(0)
    first = digests(component, subject.read(component), embedded=subject.embedded)
    see.sample = "read a second time"
    yield from _same(see, first, digests(component, subject.read(component), embedded=subject.embedded))
    see.sample = "made anew, from other random states of Python, numpy and torch"
    random.seed(1)
    np.random.seed(1)
    other = subject.made.make(1)
    yield from _same(see, first, digests(other, subject.read(other), embedded=subject.embedded))
    if isinstance(subject.made.spec, DatasetSpec) and subject.made.part is not None:
        see.sample = "in another process, with other hashes of text and folders listed backwards"
        answer = read_elsewhere(subject.made.spec, dict(subject.made.part.params), subject.source)
        if isinstance(answer, str):
            yield see.violation("the same records", f"an error: {answer}")
        else:
            yield from _same(see, first, answer)


def pixels(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Draw the first images of one that draws them, twice and in another order."""
    import numpy as np

    if not subject.embedded:
        return
    component, asked = subject.made.make(0), subject.records[:8]
    drawn = {}
    for record in asked:
        see.sample = f"image {record.image!r}"
        drawn[record.image] = image = component.pixels(record)
        shape: tuple[int, ...] = getattr(image, "shape", ())
        dtype = getattr(image, "dtype", type(image).__name__)
        if len(shape) != 3 or shape[2] != 3 or str(dtype) != "uint8":
            yield see.violation("(height, width, 3) of uint8", f"{tuple(shape)} of {dtype}")
            return
        drawn[record.image] = image.copy()
    for record in reversed(asked):
        see.sample = f"image {record.image!r}"
        if not np.array_equal(component.pixels(record), drawn[record.image]):
            yield see.violation("the same pixels at every call, in any order", "others at the second one")
            return


def protocol(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Open it twice, or prepare it from two copies, and compare the passports."""
    if subject.made.part is None or subject.made.catalog is None or len(subject.records) > SMALL:
        return
    if check_records(subject.records):
        return  # told already, and the harness refuses it
    see.sample = "opened twice" if subject.embedded else "prepared from two copies of its folder"
    first, second = _opened(subject, "a"), _opened(subject, "b")
    if first.passport != second.passport:
        yield see.violation(f"one passport, {first.passport[:16]}", second.passport[:16])
    see.sample = "the gallery of its test split"
    told = [passport(gallery(each.split("test"), each.content)) for each in (first, second)]
    if told[0] != told[1]:
        yield see.violation(f"one passport, {told[0]}", told[1])
    if subject.embedded:
        see.sample = "pickled, as for a process that loads images"
        record = subject.records[0]
        copy = pickle.loads(pickle.dumps(first))  # noqa: S301 - pickled in the line itself
        if copy.pixels(record).tobytes() != first.pixels(record).tobytes():
            yield see.violation("the same pixels", "others")
        return
    see.sample = "verified after it was prepared"
    for problem in verify(subject.made.name, subject.scratch / "b"):
        yield see.violation("nothing to complain of", problem)


def nothing(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Give one that is read from files an empty folder."""
    if subject.embedded:
        return
    see.sample = "an empty folder"
    folder = subject.scratch / "empty"
    folder.mkdir(exist_ok=True)
    try:
        found = subject.made.make(0).annotations(folder)
    except HarnessError:
        return
    yield see.violation(
        "a DataError that says which files are missing", f"{len(found.records)} records and no complaint"
    )


def global_state(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Watch what it changes beside itself."""
    import torch

    def steps() -> Iterator[str]:
        yield "made anew"
        component = subject.made.make(int(torch.randint(2**31, ())))
        yield "annotations()"
        found = subject.read(component)
        for record in found[:8] if subject.embedded else ():
            yield f"image {record.image!r}"
            component.pixels(record)

    yield from see.untouched(steps)


def _content(subject: Subject, component: Any, record: Record) -> bytes:
    """Return what stands for an image: its pixels, the bytes of its file where there are few, or the file's name."""
    if subject.embedded:
        pixels: bytes = component.pixels(record).tobytes()
        return pixels
    assert subject.source is not None
    file = subject.source / record.file
    return file.read_bytes() if len(subject.records) <= SMALL and file.is_file() else record.file.encode()


def _opened(subject: Subject, place: str) -> OpenDataset:
    part, catalog, root = subject.made.part, subject.made.catalog, subject.scratch / place
    assert part is not None
    assert catalog is not None
    if subject.source is not None:
        source = shutil.copytree(subject.source, subject.scratch / f"source {place}")
        prepare(part.name, part.use, part.params, source, root, catalog)
    return open_dataset(part, root, catalog)


def _same(see: Witness, first: Sequence[list[str]], other: Sequence[list[str]]) -> Iterator[Violation]:
    if len(first) != len(other):
        yield see.violation(f"{len(first)} records, as the first time", f"{len(other)}")
        return
    for place, (one, two) in enumerate(zip(first, other, strict=True)):
        if one != two:
            same = "the same image with other captions, tags, file or pixels"
            found = same if one[:2] == two[:2] else f"image {two[1]!r} of {two[0]}"
            yield see.violation(f"image {one[1]!r} of {one[0]} at place {place}, as the first time", found)
            return
