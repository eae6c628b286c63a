"""What a dataset does; records and splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]  # (height, width, 3), RGB
    Ints = npt.NDArray[np.int64]

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Record:
    """One image with its captions.

    Args:
        image: id of the image, unique over the dataset.
        split: ``train``, ``val`` or ``test``.
        captions: its captions, in the order of the source; a caption's id is ``<image>#<position>``.
        file: path of the image below the source folder, with ``/``; empty for a generated image.
        tags: what evaluators may want to know of the image, such as its near-twin.
    """

    image: str
    split: str
    captions: tuple[str, ...]
    file: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Annotations:
    """What a dataset component read.

    Args:
        records: all of them, in a stable order.
        notes: what was left out or decided, for people.
        lists: names in full where a note tells the first few, by what they are, such as ``surplus-images``; they are
            written beside the prepared dataset.
    """

    records: tuple[Record, ...]
    notes: tuple[str, ...] = ()
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Split:
    """The records of one split, flat.

    `captions[j]` belongs to `records[caption_image[j]]`; captions of one image stand together and in order.
    """

    name: str
    records: tuple[Record, ...]

    @cached_property
    def captions(self) -> tuple[str, ...]:
        """All captions, `m` of them."""
        return tuple(caption for record in self.records for caption in record.captions)

    @cached_property
    def caption_image(self) -> Ints:
        """(m,): the image of each caption, as a position in `records`."""
        import numpy as np

        counts = [len(record.captions) for record in self.records]
        return np.repeat(np.arange(len(counts), dtype=np.int64), counts)

    @cached_property
    def image_ids(self) -> tuple[str, ...]:
        """Ids of the images, `n` of them."""
        return tuple(record.image for record in self.records)

    @cached_property
    def caption_ids(self) -> tuple[str, ...]:
        """Ids of the captions, `m` of them: ``<image>#<position>``."""
        return tuple(f"{r.image}#{k}" for r in self.records for k in range(len(r.captions)))


class Dataset(Protocol):
    """Reads the annotations of a dataset. Its images are read, safely, by the harness.

    A component whose annotation files may lie apart from the images also takes ``files: Sequence[Path] = ()``.
    """

    def annotations(self, source: Path | None) -> Annotations:
        """Read every record.

        Args:
            source: folder that the user gave; ``None`` for an embedded dataset.

        Raises:
            DataError: lists all problems of the annotation files at once.
        """
        ...


class GeneratedDataset(Dataset, Protocol):
    """An embedded dataset also draws its images."""

    def pixels(self, record: Record) -> Pixels:
        """Draw one image, (height, width, 3) uint8 RGB, the same at every call."""
        ...
