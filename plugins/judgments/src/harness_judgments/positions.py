"""Where the images and captions of COCO stand in a gallery."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from harness.api import DataError, Record, Split

IMAGE, CAPTIONS = "coco_id", "caption_ids"
"""The tags of a record: COCO's image id, and its annotation ids in the order of the captions, comma-separated."""
_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Positions:
    """COCO id -> place in the split.

    Attributes:
        images: of the images.
        captions: of the captions.
    """

    images: Mapping[int, int]
    captions: Mapping[int, int]


def positions(split: Split) -> Positions | None:
    """Read the tags of a split; ``None`` if no record has COCO's ids of its image and captions.

    Raises:
        DataError: if some records lack them, an id is no number or stands twice, or there are more or fewer
            of them than captions.
    """
    if not any(IMAGE in record.tags and CAPTIONS in record.tags for record in split.records):
        return None
    problems: list[str] = []
    images = [_number(record.image, record.tags.get(IMAGE, ""), problems) for record in split.records]
    captions = [number for record in split.records for number in _captions(record, problems)]
    for what, ids in (("image", images), ("caption", captions)):
        problems += [
            f"{what} id {number} stands {times} times"
            for number, times in Counter(ids).items()
            if times > 1 and number >= 0
        ]
    if problems:
        left = len(problems) - _SHOWN
        raise DataError(
            f"the COCO ids of split {split.name!r} cannot be used:",
            problems=problems[:_SHOWN] + ([f"and {left:,} more"] if left > 0 else []),
            hint="Prepare the dataset again from files with ids: harness data prepare --help",
        )
    return Positions(
        images={number: place for place, number in enumerate(images)},
        captions={number: place for place, number in enumerate(captions)},
    )


def _captions(record: Record, problems: list[str]) -> list[int]:
    words = [word for word in record.tags.get(CAPTIONS, "").split(",") if word.strip()]
    if len(words) != len(record.captions):
        problems.append(
            f"{record.image}: {len(words)} ids in tag {CAPTIONS!r} for {len(record.captions)} captions"
        )
    return [_number(record.image, word, problems) for word in words]


def _number(image: str, text: str, problems: list[str]) -> int:
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return int(text)
    problems.append(f"{image}: {text[:40]!r} is no COCO id")
    return -1
