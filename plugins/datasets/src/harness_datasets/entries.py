"""The three annotation formats, read into one kind of entry."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness_datasets.text import number, read_text

COLUMNS = ("image", "caption", "split")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One image as an annotation file names it.

    Args:
        image: its id.
        files: paths that it may have below the folder of images, the first that exists is meant.
        split: as written, not checked.
        captions: stripped; one may be empty.
        place: file with line or position, for messages.
        places: place of each caption.
        tags: ids of the image and its captions in COCO, where the file gives them.
    """

    image: str
    files: tuple[str, ...]
    split: str
    captions: tuple[str, ...]
    place: str
    places: tuple[str, ...]
    tags: Mapping[str, str] = field(default_factory=dict)


def read_jsonl(path: Path, split: str, problems: list[str]) -> list[Entry]:
    """Read ``{"image": ..., "captions": [...]}`` lines of one split."""
    entries = []
    for at, line in enumerate(read_text(path, problems).split("\n"), 1):
        if not line.strip():
            continue
        place = f"{path.name}:{at}"
        row = _parse(line, place, problems)
        if row is None:
            continue
        image, captions = _field(row, "image", str), _texts(_field(row, "captions", list))
        if image is None or captions is None:
            problems.append(f'{place}: not {{"image": "...", "captions": ["...", ...]}}')
            continue
        entries.append(_entry(image, (image,), split, captions, place))
    return entries


def read_csv(path: Path, problems: list[str], notes: list[str]) -> list[Entry]:
    """Read rows of image, caption and split, in any order of columns; other columns are left out."""
    reader = csv.reader(io.StringIO(read_text(path, problems), newline=""), strict=True)
    rows: dict[tuple[str, str], list[tuple[str, str]]] = {}
    header: list[str] = []
    try:
        header = [column.strip().lower() for column in next(reader, [])]
        missing = [column for column in COLUMNS if column not in header]
        if missing:
            if not problems:
                problems.append(
                    f"{path.name}:1: no column {', '.join(map(repr, missing))} (found: {', '.join(header)})"
                )
            return []
        at = [header.index(column) for column in COLUMNS]
        for row in reader:
            place = f"{path.name}:{reader.line_num}"
            if len(row) != len(header):
                if row:
                    problems.append(f"{place}: {number(len(row), 'column')}, the header has {len(header)}")
                continue
            image, caption, split = (row[column].strip() for column in at)
            rows.setdefault((image, split), []).append((place, caption))
    except csv.Error as error:
        problems.append(f"{path.name}:{reader.line_num}: {error}")
    other = [column for column in header if column not in COLUMNS]
    if other:
        notes.append(f"{path.name}: columns left out: {', '.join(other)}")
    return [
        Entry(
            image=image,
            files=(image,),
            split=split,
            captions=tuple(caption for _, caption in captions),
            place=captions[0][0],
            places=tuple(place for place, _ in captions),
        )
        for (image, split), captions in rows.items()
    ]


def read_json(path: Path, problems: list[str], notes: list[str]) -> list[Entry]:
    """Read the json of Karpathy and Fei-Fei's splits."""
    text = read_text(path, problems)
    whole = _parse(text, path.name, problems) if text else None
    images = _field(whole, "images", list) if whole is not None else None
    if images is None:
        if not problems:
            problems.append(f'{path.name}: no list "images"; expected the json of the Karpathy splits')
        return []
    return entries_of(path, images, problems, notes)


def entries_of(path: Path, images: list[Any], problems: list[str], notes: list[str]) -> list[Entry]:
    """Return the entries of the list ``images`` of such a json."""
    entries = []
    splits: Counter[str] = Counter()
    for at, row in enumerate(images):
        place = f"{path.name}: images[{at}]"
        name, split = _field(row, "filename", str), _field(row, "split", str)
        sentences = _field(row, "sentences", list)
        captions = _texts([_field(s, "raw", str) for s in sentences]) if sentences is not None else None
        if name is None or split is None or captions is None:
            problems.append(
                f'{place}: not {{"filename": "...", "split": "...", "sentences": [{{"raw": "..."}}, ...]}}'
            )
            continue
        folder = _field(row, "filepath", str)
        splits[split] += 1
        entries.append(
            _entry(
                name,
                (f"{folder}/{name}", name) if folder else (name,),
                "train" if split == "restval" else split,
                captions,
                place,
                _coco(row, sentences),
            )
        )
    if splits["restval"]:
        notes.append(f"{path.name}: {number(splits['restval'], 'restval image')} counted as train")
    return entries


def _coco(row: Any, sentences: list[Any]) -> dict[str, str]:
    """Return COCO's ids of an image and its captions, where a Karpathy json has them."""
    image = _field(row, "cocoid", int)
    captions = [_field(sentence, "sentid", int) for sentence in sentences]
    if image is None:
        return {}
    known = {"coco_id": str(image)}
    return known if None in captions else known | {"caption_ids": ",".join(map(str, captions))}


def _entry(
    image: str,
    files: tuple[str, ...],
    split: str,
    captions: tuple[str, ...],
    place: str,
    tags: Mapping[str, str] | None = None,
) -> Entry:
    return Entry(
        image=image,
        files=files,
        split=split,
        captions=captions,
        place=place,
        places=(place,) * len(captions),
        tags=tags or {},
    )


def _parse(text: str, place: str, problems: list[str]) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        problems.append(f"{place}: not JSON ({error})")
    except RecursionError:
        problems.append(f"{place}: JSON nested too deeply")
    return None


def _field(row: Any, key: str, kind: type) -> Any:
    value = row.get(key) if isinstance(row, dict) else None
    return value if isinstance(value, kind) else None


def _texts(values: list[Any] | None) -> tuple[str, ...] | None:
    if values is None or not all(isinstance(value, str) for value in values):
        return None
    return tuple(value.strip() for value in values)
