"""What is wrong with records, and what people should know of them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from harness.data.manifest import StoredRecord, count
from harness.errors import nearest
from harness.protocols import SPLITS, Record

_LISTED = 5  # groups of equal images, and images of a group, that a note spells out


class Known:
    """Problems that a dataset component told already, by the ids that they name in quotation marks.

    Args:
        problems: as it worded them.
    """

    def __init__(self, problems: Iterable[str] = ()) -> None:
        self._naming: dict[str, list[str]] = defaultdict(list)
        for problem in problems:
            for quoted in _QUOTED.findall(problem):
                self._naming[quoted].append(problem)

    def tells(self, name: str, what: str) -> bool:
        """Tell whether a problem names an id and holds a word of what is wrong with it."""
        return any(what in problem for problem in self._naming.get(repr(name), ()))


_QUOTED = re.compile(r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*\"""")


def check_records(records: Sequence[Record], known: Known | None = None) -> list[str]:
    """Return what is wrong with ids, splits and captions, each problem with the id.

    Args:
        known: what was told of them before, and is not told again.
    """
    told = known or Known()
    problems = [] if records else ["there is no record"]
    first: dict[str, Record] = {}
    for record in records:
        label = f"image {record.image!r}"
        if not record.image or not record.image.isprintable():
            problems.append(f"{label}: an id is one or more printable characters")
        if record.split not in SPLITS and not told.tells(record.image, "split"):
            problems.append(f"{label}: unknown split {record.split!r}{nearest(record.split, SPLITS)}")
        earlier = first.setdefault(record.image, record)
        if earlier is not record and not told.tells(record.image, "stands"):
            same = earlier.split == record.split
            problems.append(
                f"{label}: stands {'twice in' if same else f'in {earlier.split!r} and'} {record.split!r}"
            )
        if not record.captions and not told.tells(record.image, "no caption"):
            problems.append(f"{label}: has no caption")
        for position, caption in enumerate(record.captions):
            caption_id = f"{record.image}#{position}"
            if not caption.strip():
                if not told.tells(caption_id, "empty"):
                    problems.append(f"caption {caption_id!r}: empty")
            elif not _encodable(caption):
                problems.append(f"caption {caption_id!r}: holds half a surrogate pair, which is no text")
    return problems


def notes_on(records: Sequence[Record]) -> list[str]:
    """Return what is unusual about the records but no fault."""
    counts = count(records)
    notes = [f"split {split!r} has no images" for split in SPLITS if not counts[split]["images"]]
    per_image = {len(record.captions) for record in records}
    if len(per_image) > 1:
        notes.append(f"captions an image vary from {min(per_image)} to {max(per_image)}")
    return notes


def equal_images(stored: Iterable[StoredRecord]) -> list[str]:
    """Return notes on image files of the same bytes under several ids; across splits they are a leak."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for item in stored:
        groups[item.sha256].append(item.record)
    across: list[str] = []
    within: list[str] = []
    for group in groups.values():
        if len(group) > 1:
            leaks = len({record.split for record in group}) > 1
            names = [f"{record.split}:{record.image}" for record in group]
            more = f" = {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
            (across if leaks else within).append(" = ".join(names[:_LISTED]) + more)
    notes = []
    for found, where in ((across, "in more than one split"), (within, "more than once in a split")):
        if found:
            more = (
                f"; and {len(found) - _LISTED:,} more, which harness leaks --json lists"
                if len(found) > _LISTED
                else ""
            )
            files = number(len(found), "image file")
            notes.append(f"{files} under several ids {where}: {'; '.join(found[:_LISTED])}{more}")
    return notes


def number(n: int, noun: str) -> str:
    """Return a count with its noun, such as ``1 problem`` or ``5 problems``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
