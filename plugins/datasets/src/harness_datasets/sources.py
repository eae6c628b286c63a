"""Annotation files of Flickr30k and MSCOCO, told apart by what they hold, and the images that they name."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness_datasets.entries import Entry, read_json, read_jsonl
from harness_datasets.text import number, read_text

SUFFIXES = (".json", ".jsonl", ".token", ".txt", ".csv", ".npy")
IMAGES = (".jpg", ".jpeg", ".png")
SPLIT_NAMES = {"train": "train", "restval": "train", "val": "val", "dev": "val", "test": "test"}
TOLD = 5
"""Names that a message lists of many."""

_SPLIT = re.compile("restval|train|test|val|dev")
_TOKEN = re.compile(r"(?P<image>[^#\t]+)#(?P<position>\d+)\t(?P<caption>.*)")


@dataclass(kw_only=True)
class Found:
    """What a set of annotation files holds.

    Attributes:
        entries: images with split and captions, of a Karpathy json or of ``<split>.jsonl``.
        captions: image -> captions by position, of a token file.
        official: path of official COCO caption files -> their content.
        lists: split -> what its list names, in order: file names or ids.
        places: split -> the file of its list.
    """

    entries: list[Entry] = field(default_factory=list)
    captions: dict[str, dict[int, str]] = field(default_factory=dict)
    official: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)


def annotation_files(source: Path | None, files: Sequence[Path]) -> list[Path]:
    """Return the files that the user named, else all below the folder and its folders without images."""
    if files or source is None:
        return list(files)
    folders = [source, *sorted(p for p in source.iterdir() if p.is_dir())]
    return [
        path
        for folder in folders
        for path in sorted(folder.iterdir())
        if path.suffix in SUFFIXES and path.is_file()
    ]


def read_files(paths: Sequence[Path], problems: list[str], notes: list[str]) -> Found:
    """Read annotation files of any of the known kinds; what is none of them is left out with a note."""
    found = Found()
    for path in paths:
        kind = _read(path, found, problems, notes)
        if kind:
            notes.append(f"{path.name}: {kind}, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}")
        else:
            notes.append(f"{path.name}: not an annotation file that is known; left out")
    return found


def _read(path: Path, found: Found, problems: list[str], notes: list[str]) -> str:
    """Read one file into `found`; return what it is, or nothing."""
    if path.suffix == ".jsonl":
        split = split_of(path)
        if split is None:
            return ""
        found.entries += read_jsonl(path, split, problems)
        return f"captions of {split}"
    if path.suffix == ".json":
        return _read_json(path, found, problems, notes)
    if path.suffix == ".npy":
        return _add_list(path, _numbers(path, problems), found, problems)
    text = read_text(path, problems)
    first = next((line for line in text.split("\n") if line.strip()), "")
    if _TOKEN.fullmatch(first.rstrip("\r")):
        _read_tokens(path, text, found.captions, problems)
        return "captions"
    if "|" in first:
        _read_table(path, text, found.captions, problems)
        return "captions"
    names = [line.strip() for line in text.split("\n") if line.strip()]
    # A list names files or ids, one a line, each without spaces.
    if any(" " in name or "\t" in name for name in names):
        return ""
    return _add_list(path, names, found, problems)


def _read_json(path: Path, found: Found, problems: list[str], notes: list[str]) -> str:
    text = read_text(path, problems)
    try:
        whole: Any = json.loads(text) if text else None
    except (ValueError, RecursionError) as error:
        problems.append(f"{path.name}: not JSON ({error})")
        return ""
    images = whole.get("images") if isinstance(whole, dict) else None
    if not isinstance(images, list) or not images or not isinstance(images[0], dict):
        return ""
    if "sentences" in images[0]:
        found.entries += read_json(path, problems, notes)
        return "Karpathy splits"
    if isinstance(whole.get("annotations"), list):
        found.official[path.name] = whole
        return "official COCO captions"
    return ""


def split_of(path: Path) -> str | None:
    """Return the split that a file's name speaks of: ``dev`` is val, ``restval`` is train."""
    words = _SPLIT.findall(path.stem.lower())
    return SPLIT_NAMES[words[-1]] if words else None


def _add_list(path: Path, names: list[str], found: Found, problems: list[str]) -> str:
    split = split_of(path)
    if split is None or not names:
        return ""
    doubled = len(names) - len(set(names))
    if doubled:
        problems.append(f"{path.name}: {number(doubled, 'name')} stand twice")
    if split in found.places and split != "train":
        problems.append(f"{path.name}: a second list of {split}, beside {found.places[split]}")
        return ""
    found.lists.setdefault(split, []).extend(names)
    found.places[split] = path.name
    return f"list of {split}"


def _numbers(path: Path, problems: list[str]) -> list[str]:
    import numpy as np

    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        problems.append(f"{path.name}: not an array of ids ({error})")
        return []
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
        problems.append(f"{path.name}: {values.shape} of {values.dtype}, not one whole number an id")
        return []
    return [str(value) for value in values.tolist()]


def _read_tokens(path: Path, text: str, captions: dict[str, dict[int, str]], problems: list[str]) -> None:
    for at, line in enumerate(text.split("\n"), 1):
        if line.strip():
            match = _TOKEN.fullmatch(line.rstrip("\r"))
            if match is None:
                problems.append(f"{path.name}:{at}: not '<image>#<number><tab><caption>'")
            else:
                _add(
                    captions,
                    match["image"],
                    int(match["position"]),
                    match["caption"],
                    f"{path.name}:{at}",
                    problems,
                )


def _read_table(path: Path, text: str, captions: dict[str, dict[int, str]], problems: list[str]) -> None:
    """Read ``image_name| comment_number| comment`` lines."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="|", quoting=csv.QUOTE_NONE)
    for row in reader:
        place, cells = f"{path.name}:{reader.line_num}", [cell.strip() for cell in row]
        if not any(cells) or cells[0] == "image_name":
            continue
        if len(cells) < 3 or not cells[1].isdecimal():
            problems.append(f"{place}: not '<image>| <number>| <caption>'")
            continue
        _add(captions, cells[0], int(cells[1]), "|".join(cells[2:]), place, problems)


def _add(
    captions: dict[str, dict[int, str]],
    image: str,
    position: int,
    caption: str,
    place: str,
    problems: list[str],
) -> None:
    if not caption.strip():
        problems.append(f"{place}: caption '{image}#{position}' is empty")
    if position in captions.setdefault(image, {}):
        problems.append(f"{place}: caption '{image}#{position}' stands twice")
    captions[image][position] = caption.strip()


class ImageFiles:
    """The image files below a folder, by name or by what `key` makes of it.

    Args:
        source: the folder, searched as a whole.
        key: makes of a file name, or of what annotations name, what both are compared by.
    """

    def __init__(self, source: Path, key: Any = None) -> None:
        self.key = key or (lambda name: name.rpartition("/")[2])
        self.files: dict[str, list[str]] = {}
        for folder, _, names in os.walk(source):
            for name in names:
                if name.lower().endswith(IMAGES):
                    file = (Path(folder) / name).relative_to(source).as_posix()
                    self.files.setdefault(self.key(name), []).append(file)

    def match(self, names: Sequence[str], problems: list[str], notes: list[str]) -> list[str]:
        """Return the file of each name, below the folder; all that are missing are one problem."""
        wanted = [self.key(name) for name in names]
        gone = [name for name, key in zip(names, wanted, strict=True) if key not in self.files]
        if gone:
            problems.append(f"{number(len(gone), 'image')} of {len(names):,} have no file: {listed(gone)}")
        several = [key for key in wanted if len(self.files.get(key, ())) > 1]
        if several:
            first = self.files[several[0]]
            problems.append(
                f"{number(len(several), 'image')} have several files, such as {listed(sorted(first))}"
            )
        surplus = sorted(file for key in self.files.keys() - set(wanted) for file in self.files[key])
        if surplus:
            notes.append(f"{number(len(surplus), 'image file')} without captions left out: {listed(surplus)}")
        return [self.files.get(key, [name])[0] for key, name in zip(wanted, names, strict=True)]


def listed(names: Iterable[str]) -> str:
    """Return the first few names, and dots where there are more."""
    everything = list(names)
    return ", ".join(everything[:TOLD]) + (", ..." if len(everything) > TOLD else "")


def check_counts(found: Mapping[str, int], expected: Mapping[str, int], doubts: list[str], what: str) -> None:
    """Compare the number of images of each split with that of the literature."""
    different = [
        f"{split} {found.get(split, 0):,}, not {n:,}"
        for split, n in expected.items()
        if found.get(split, 0) != n
    ]
    if different:
        doubts.append(f"{what}: images of {'; '.join(different)}")
