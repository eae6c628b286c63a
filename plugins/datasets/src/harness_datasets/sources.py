"""Annotation files of Flickr30k and MSCOCO, told apart by what they hold."""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness_datasets.entries import Entry, entries_of, read_jsonl
from harness_datasets.published import SHA256, checksum, unzipped
from harness_datasets.splits import split_of
from harness_datasets.text import listed, number, read_text

SUFFIXES = (".json", ".jsonl", ".token", ".txt", ".csv", ".npy")
LIST = "list"

_OTHERS = re.compile("(instances|person_keypoints|stuff|panoptic|image_info)_", re.IGNORECASE)
"""Files beside COCO's captions that hold none, and take long to read."""
_DATASETS = ("flickr8k", "flickr30k", "coco")  # what Karpathy's json files call themselves
_GLUED = re.compile(r"(\d+)\s+(.+)")

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
        named: whether the user named a list; one that only lies there does not overrule the splits of a json.
    """

    entries: list[Entry] = field(default_factory=list)
    captions: dict[str, dict[int, str]] = field(default_factory=dict)
    official: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    named: bool = False


@dataclass(frozen=True, kw_only=True)
class Sought:
    """Which annotation files a dataset is read from.

    Args:
        dataset: what Karpathy's json calls it.
        wanted: tells by its name whether a file that the user did not name may be one of them.
    """

    dataset: str
    wanted: Callable[[str], bool]

    def takes(self, name: str) -> bool:
        """Tell by its name whether a file in a folder or zip is to be read."""
        return Path(name).suffix in SUFFIXES and not _OTHERS.match(name) and self.wanted(name)


def annotation_files(source: Path | None, files: Sequence[Path], sought: Sought) -> dict[Path, bool]:
    """Return the files to read, and of each whether the user named it; else it lies in a folder.

    Args:
        source: folder to look in where no file is named: in itself and in the folders in it.
        files: files and folders that the user named.
    """
    found: dict[Path, bool] = {}
    for place in files or ([source] if source else []):
        if not place.is_dir():
            found[place] = True
            continue
        for folder in (place, *sorted(path for path in place.iterdir() if path.is_dir())):
            for path in sorted(folder.iterdir()):
                published = path.suffix == ".zip" and path.name in SHA256
                if path.is_file() and (published or sought.takes(path.name)):
                    found.setdefault(path, False)
    return found


def read_files(paths: Mapping[Path, bool], sought: Sought, problems: list[str], notes: list[str]) -> Found:
    """Read annotation files of any of the known kinds.

    What is none of them is left out with a note, or is a problem where the user named it.

    Args:
        paths: as `annotation_files` returns them.
    """
    found = Found()
    for path, named in paths.items():
        if path.suffix == ".zip":
            notes.append(f"{path.name}: {checksum(path)}")
            with tempfile.TemporaryDirectory() as folder:
                for member in unzipped(path, sought.takes, Path(folder), problems):
                    _take(member, named, sought, found, problems, notes)
        else:
            _take(path, named, sought, found, problems, notes)
    return found


def _take(
    path: Path, named: bool, sought: Sought, found: Found, problems: list[str], notes: list[str]
) -> None:
    before = len(problems)
    kind = _read(path, found, sought.dataset, problems, notes)
    if kind:
        found.named |= named and kind.startswith(LIST)
        notes.append(f"{path.name}: {kind}, {checksum(path)}")
    elif len(problems) == before:
        (problems if named else notes).append(f"{path.name}: not an annotation file that is known; left out")


def _read(path: Path, found: Found, dataset: str, problems: list[str], notes: list[str]) -> str:
    """Read one file into `found`; return what it is, or nothing."""
    if path.suffix == ".jsonl":
        split = split_of(path)
        if split is None:
            return ""
        found.entries += read_jsonl(path, split, problems)
        return f"captions of {split}"
    if path.suffix == ".json":
        return _read_json(path, found, dataset, problems, notes)
    if path.suffix == ".npy":
        return _add_list(path, _numbers(path, problems), found, problems)
    text = read_text(path, problems)
    first = next((line for line in text.split("\n") if line.strip()), "")
    table = "|" in first
    if table or _TOKEN.fullmatch(first.rstrip("\r")):
        captions: dict[str, dict[int, str]] = {}
        if table:
            _read_table(path, text, captions, problems, notes)
        else:
            _read_tokens(path, text, captions, problems)
        _merge(path, captions, found.captions, problems)
        return "captions"
    names = [line.strip() for line in text.split("\n") if line.strip()]
    # A list names files or ids, one a line, each without spaces.
    if any(" " in name or "\t" in name for name in names):
        return ""
    return _add_list(path, names, found, problems)


def _read_json(path: Path, found: Found, dataset: str, problems: list[str], notes: list[str]) -> str:
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
        told = whole.get("dataset")
        if told in _DATASETS and told != dataset:
            problems.append(f"{path.name}: holds the splits of {told}, not of {dataset}")
            return ""
        found.entries += entries_of(path, images, problems, notes)
        return "Karpathy splits"
    rows = whole.get("annotations")
    if isinstance(rows, list) and rows and isinstance(rows[0], dict) and "caption" in rows[0]:
        found.official[path.name] = whole
        return "official COCO captions"
    return ""


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
    return f"{LIST} of {split}"


def _numbers(path: Path, problems: list[str]) -> list[str]:
    import tokenize

    import numpy as np

    try:
        values = np.load(path, allow_pickle=False)
        # Its header is parsed as a Python literal, and may ask for any amount of memory.
    except (
        OSError,
        ValueError,
        EOFError,
        MemoryError,
        SyntaxError,
        RuntimeError,
        tokenize.TokenError,
    ) as error:
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


def _read_table(
    path: Path, text: str, captions: dict[str, dict[int, str]], problems: list[str], notes: list[str]
) -> None:
    """Read ``image_name| comment_number| comment`` lines; the published file has one without its second bar."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="|", quoting=csv.QUOTE_NONE)
    for row in reader:
        place, cells = f"{path.name}:{reader.line_num}", [cell.strip() for cell in row]
        if not any(cells) or cells[0] == "image_name":
            continue
        if len(cells) == 2 and (glued := _GLUED.fullmatch(cells[1])):
            notes.append(f"{place}: no bar between number and caption; read as if there were one")
            cells[1:] = glued.groups()
        if len(cells) < 3 or not cells[1].isdecimal():
            problems.append(f"{place}: not '<image>| <number>| <caption>'")
            continue
        _add(captions, cells[0], int(cells[1]), "|".join(cells[2:]), place, problems)


def _merge(
    path: Path, new: dict[str, dict[int, str]], captions: dict[str, dict[int, str]], problems: list[str]
) -> None:
    """Add the captions of one file to those of others; several files may tell the same, but not different things."""
    odd = [image for image, texts in new.items() if captions.setdefault(image, texts) != texts]
    if odd:
        problems.append(
            f"{path.name}: {number(len(odd), 'image')} with other captions than in a file before: {listed(odd)}"
        )


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
