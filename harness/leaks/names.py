"""Which photograph a name means: the ids that Flickr and COCO gave, and lists of them."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.errors import DataError
from harness.protocols import Record

SERIES = 200
"""Photographs whose Flickr ids lie at most so far apart were most likely uploaded together."""
_NO_COUNT = 10**7
"""A smaller number may as well count the files of a folder."""

_FLICKR = re.compile(r"(\d{4,12})_[0-9a-f]{8,10}(?:_\w)?")  # id and secret, as Flickr names a file
_COCO = re.compile(r"COCO_(?:train|val|test)20\d\d_0*(\d+)")
_PADDED = re.compile(r"0\d{11}")  # as in val2017
_BARE = re.compile(r"[1-9]\d{4,10}")
_LIST_BARE = re.compile(r"\d{1,12}")


@dataclass(frozen=True)
class IdList:
    """Ids of images that another dataset trains on, from a file.

    Attributes:
        path: the file.
        keys: what `keys_of` gives for its lines.
        lines: of how many images.
    """

    path: Path
    keys: frozenset[str]
    lines: int


def key_of(record: Record) -> str:
    """Return ``flickr:ID`` or ``coco:ID`` of a record, or an empty text where its name is neither.

    COCO's is read from the tag ``coco_id`` or a file name of COCO's, Flickr's from ``ID_SECRET.jpg``, or ``ID.jpg``
    as Flickr30k writes it.
    """
    tagged = record.tags.get("coco_id")
    if tagged is not None and tagged.isdecimal():
        return f"coco:{int(tagged)}"
    for name in (record.file, record.image):
        stem = _stem(name)
        if match := _COCO.fullmatch(stem):
            return f"coco:{match[1]}"
        if _PADDED.fullmatch(stem):
            return f"coco:{int(stem)}"
        if match := _FLICKR.fullmatch(stem):
            return f"flickr:{match[1]}"
        if _BARE.fullmatch(stem):
            return f"flickr:{stem}"
    return ""


def keys_of(records: Iterable[Record]) -> dict[str, int]:
    """Return the position of each record whose name is an id, the first one where several have the same."""
    found: dict[str, int] = {}
    for position, record in enumerate(records):
        if key := key_of(record):
            found.setdefault(key, position)
    return found


def read_ids(path: Path) -> IdList:
    """Read a list of images, one a line: a file name, or a bare id, which is taken for both Flickr's and COCO's.

    What follows a tab, a comma or ``#`` is left out, so that caption files will do.

    Raises:
        DataError: if it cannot be read, or lines hold no id; names them.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the list of images {path}: {error}") from error
    names = [(n, re.split(r"[\t,#]", line)[0].strip()) for n, line in enumerate(lines, start=1)]
    keys: set[str] = set()
    images: set[str] = set()
    problems: list[str] = []
    for line, name in names:
        if not name:
            continue
        found = _keys_of_name(name)
        if not found:
            problems.append(f"line {line}: {name[:80]!r} names no photograph of Flickr or COCO")
        keys |= found
        images.add(name)
    if problems or not images:
        raise DataError(
            f"{path} is not a list of images:",
            problems=[*problems[:20], *([f"and {len(problems) - 20} more"] if len(problems) > 20 else [])]
            or ["it holds no line"],
            hint="One image a line: 1000092795.jpg, 1009434119_febe49276a.jpg, COCO_val2014_000000391895.jpg or 391895",
        )
    return IdList(path, frozenset(keys), len(images))


def series(one: Sequence[Record], two: Sequence[Record]) -> dict[int, list[int]]:
    """Return, by position in `one`, the positions in `two` of photographs that Flickr numbered nearly the same."""
    numbered = sorted(_flickr(two).items(), key=lambda item: item[1])
    numbers = [number for _, number in numbered]
    found: dict[int, list[int]] = defaultdict(list)
    for position, number in _flickr(one).items():
        low, high = bisect_left(numbers, number - SERIES), bisect_right(numbers, number + SERIES)
        near = sorted(numbered[low:high], key=lambda item: (abs(item[1] - number), item[1]))
        found[position] = [at for at, other in near if other != number]
    return {position: near for position, near in found.items() if near}


def _flickr(records: Sequence[Record]) -> Mapping[int, int]:
    keys = {position: key_of(record) for position, record in enumerate(records)}
    numbers = {p: int(key.removeprefix("flickr:")) for p, key in keys.items() if key.startswith("flickr:")}
    return {position: number for position, number in numbers.items() if number >= _NO_COUNT}


def _keys_of_name(name: str) -> set[str]:
    stem = _stem(name)
    if _LIST_BARE.fullmatch(stem):
        kinds = ("coco",) if _PADDED.fullmatch(stem) else ("coco", "flickr")
        return {f"{kind}:{int(stem)}" for kind in kinds}
    key = key_of(Record(image=name, split="train", captions=(), file=name))
    return {key} if key else set()


def _stem(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).name.partition(".")[0]
