"""Every record and image looked at, and all that is wrong with them told at once."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from harness.data import folder as folders
from harness.data.checks import Known, check_records, number
from harness.data.images import AbsentError, ImageError, Inspection
from harness.data.journal import Journal
from harness.data.manifest import StoredRecord
from harness.errors import DataError
from harness.parallel import each
from harness.protocols import Record

Progress = Callable[[int, int, str], None]
_T = TypeVar("_T")
_R = TypeVar("_R")


def inspected(
    name: str, source: Path, records: Sequence[Record], journal: Journal, tell: Progress
) -> tuple[tuple[StoredRecord, ...], list[str]]:
    """Return what is kept of each record, and notes on how images were decoded.

    Raises:
        DataError: lists all problems.
    """
    looked, problems = look_at(source, records, journal, tell, Known())
    if problems:
        raise DataError(headline(name, source, problems), problems=problems)
    inspections = [found for found in looked if isinstance(found, Inspection)]
    stored = tuple(
        StoredRecord(
            record=record, sha256=i.sha256, size=i.size, mtime_ns=i.mtime_ns, width=i.width, height=i.height
        )
        for record, i in zip(records, inspections, strict=True)
    )
    seen = Counter(remark for inspection in inspections for remark in inspection.remarks)
    remarks = (
        [f"decoded to upright RGB: {', '.join(f'{n} {what}' for what, n in seen.most_common())}"]
        if seen
        else []
    )
    return stored, remarks


def headline(name: str, source: Path, problems: Sequence[str]) -> str:
    """Say how many problems a dataset has."""
    return f"dataset {name!r} from {source} has {number(len(problems), 'problem')}:"


def look_at(
    source: Path, records: Sequence[Record], journal: Journal, tell: Progress, known: Known
) -> tuple[list[Inspection | str], list[str]]:
    """Look at the image of each record; return what was found, and all problems of records and images.

    Args:
        source: real path of the folder.
        known: problems that are not told again.
    """

    def look(record: Record) -> Inspection | str:
        try:
            return journal.inspect(record.file, folders.locate(source, record.file))
        except ImageError as fault:
            told = any(known.tells(record.image, what) for what in ("no such file", "leaves"))
            # A component opens no image: of one that is damaged it has told nothing, whatever it told of its record.
            return (
                ""
                if told and isinstance(fault, AbsentError)
                else f"{record.file or f'image {record.image!r}'}: {fault}"
            )

    from PIL import Image

    with warnings.catch_warnings():
        # Pillow warns of odd metadata, and of bombs, which are refused here by a lower limit anyway.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        looked = each_told(look, records, tell, "decoding images")
    faults = [found for found in looked if isinstance(found, str) and found]
    return looked, check_records(records, known) + faults


def each_told(work: Callable[[_T], _R], items: Sequence[_T], tell: Progress, note: str) -> list[_R]:
    """Map over all cores and tell how far it is."""
    done: list[_R] = []
    for result in each(work, items):
        done.append(result)
        tell(len(done), len(items), note)
    return done


def silent(done: int, total: int, note: str) -> None:
    """Tell nobody."""
