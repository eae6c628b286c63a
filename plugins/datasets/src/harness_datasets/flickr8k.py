"""Flickr8k as its authors published it: a token file, three lists of names, a folder of photographs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from harness.api import Annotations, DataError, Record
from harness_datasets.published import checksum
from harness_datasets.splits import OTHER_COUNTS
from harness_datasets.text import Told, number, read_text

TOKENS = "Flickr8k.token.txt"
LISTS = {
    "train": "Flickr_8k.trainImages.txt",
    "val": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
SIZES = {"train": 6000, "val": 1000, "test": 1000}
CAPTIONS = 5
TEXT_FOLDERS = ("", "Flickr8k_text", "splits")
IMAGE_FOLDERS = ("images", "Images", "Flicker8k_Dataset", "Flickr8k_Dataset")

_LINE = re.compile(r"(?P<image>[^#\t]+)#(?P<position>\d+)\t(?P<caption>.*)")


class Flickr8k:
    """Reads ``Flickr8k.token.txt`` and the split lists ``Flickr_8k.{train,dev,test}Images.txt``.

    Captioned images that no list names are left out and counted; so are the caption lines of an image that
    does not exist, of which the official token file has five.

    Args:
        strict: whether other counts than 6,000, 1,000 and 1,000 images and five captions an image are
            problems; where not, they are notes.
    """

    def __init__(self, *, strict: bool = True) -> None:
        self.strict = strict

    def annotations(self, source: Path | None) -> Annotations:
        """Read all records: train, val, test, each in the order of its list.

        Raises:
            DataError: lists all problems, with the line of the file.
        """
        if source is None:
            raise DataError("flickr8k is read from a folder", hint="harness data prepare flickr8k --from DIR")
        told = Told()
        problems = told.problems
        tokens = _find(source, TOKENS, problems)
        lists = {split: _find(source, file, problems) for split, file in LISTS.items()}
        images = next((source / name for name in IMAGE_FOLDERS if (source / name).is_dir()), None)
        if images is None:
            problems.append(f"no folder of images: none of {', '.join(f'{name}/' for name in IMAGE_FOLDERS)}")
        if tokens is None or images is None or None in lists.values():
            raise DataError(f"{source} does not hold Flickr8k:", problems=problems)
        captions = _read_captions(tokens, problems)
        splits = {split: _read_list(path, problems) for split, path in lists.items() if path}
        if not captions or not all(splits.values()):
            raise DataError(
                f"Flickr8k in {source} cannot be read:", problems=problems or ["a file of it is empty"]
            )
        told.notes += [f"{path.name}: {checksum(path)}" for path in (tokens, *lists.values()) if path]
        there = {path.name for path in images.iterdir()}
        records, counted = self._assemble(captions, splits, there, images.name, told)
        if problems:
            raise DataError(
                f"Flickr8k in {source} has {number(len(problems), 'problem')}:",
                problems=problems,
                lists=told.lists,
                records=[record for record in records if record.image in there],
                hint=OTHER_COUNTS if counted and self.strict else "",
            )
        return Annotations(records=tuple(records), notes=tuple(told.notes), lists=told.lists)

    def _assemble(
        self,
        captions: dict[str, dict[int, str]],
        splits: dict[str, list[str]],
        there: set[str],
        folder: str,
        told: Told,
    ) -> tuple[list[Record], bool]:
        """Return the records, and whether there are other counts than in the literature."""
        problems, doubts = told.problems, list[str]()
        records: list[Record] = []
        split_of: dict[str, str] = {}
        missing: list[str] = []
        bare: list[str] = []
        for split, names in splits.items():
            if len(names) != SIZES[split]:
                doubts.append(f"{LISTS[split]} names {number(len(names), 'image')}, not {SIZES[split]:,}")
            for image in names:
                earlier = split_of.setdefault(image, split)
                if earlier != split:
                    problems.append(f"{image}: stands in {LISTS[earlier]} and in {LISTS[split]}")
                    continue
                if image not in there:
                    missing.append(image)
                if image not in captions:
                    bare.append(image)
                    continue
                found = captions[image]
                if sorted(found) != list(range(len(found))):
                    problems.append(
                        f"{image}: its captions are numbered {', '.join(map(str, sorted(found)))}"
                    )
                if len(found) != CAPTIONS:
                    doubts.append(f"{image}: has {number(len(found), 'caption')}, not {CAPTIONS}")
                texts = tuple(found[position] for position in sorted(found))
                records.append(Record(image=image, split=split, captions=texts, file=f"{folder}/{image}"))
        for key, names, lack in (
            ("missing-images", missing, f"no file in {folder}/"),
            ("without-captions", bare, f"no caption in {TOKENS}"),
        ):
            if names:
                have = f"{number(len(names), 'image')} of {len(split_of):,} {'has' if len(names) == 1 else 'have'}"
                problems.append(f"{have} {lack}: {told.listed(key, names)}")
        (problems if self.strict else told.notes).extend(doubts)
        _note_unused(captions, split_of, there, folder, told)
        return records, bool(doubts)


def _note_unused(
    captions: Mapping[str, Mapping[int, str]],
    used: Collection[str],
    there: Collection[str],
    folder: str,
    told: Told,
) -> None:
    """Note what no list names: captions of images that do not exist, captioned images, and other files."""
    unused = [image for image in captions if image not in used]
    gone = [image for image in unused if image not in there]
    if gone:
        lines = number(sum(len(captions[image]) for image in gone), "line")
        first = told.listed("captions-without-image", gone)
        told.notes.append(f"{TOKENS}: {lines} of images that do not exist left out: {first}")
    left = [image for image in unused if image in there]
    if left:
        told.lists["in-no-split"] = tuple(left)
        told.notes.append(f"{number(len(left), 'captioned image')} in no split left out")
    other = sorted(set(there) - set(captions))
    if other:
        first = told.listed("surplus-images", other)
        told.notes.append(f"{number(len(other), 'file')} in {folder}/ without caption left out: {first}")


def _find(source: Path, file: str, problems: list[str]) -> Path | None:
    for folder in TEXT_FOLDERS:
        path = source / folder / file
        if path.is_file():
            return path
    places = ", ".join(f"{folder}/" if folder else "the folder itself" for folder in TEXT_FOLDERS)
    problems.append(f"{file}: not found (looked in {places})")
    return None


def _read_captions(path: Path, problems: list[str]) -> dict[str, dict[int, str]]:
    captions: dict[str, dict[int, str]] = {}
    for at, line in _lines(path, problems):
        match = _LINE.fullmatch(line)
        if match is None:
            problems.append(f"{path.name}:{at}: not '<image>#<number><tab><caption>'")
            continue
        image, position, caption = match["image"], int(match["position"]), match["caption"].strip()
        if not caption:
            problems.append(f"{path.name}:{at}: caption '{image}#{position}' is empty")
        if position in captions.setdefault(image, {}):
            problems.append(f"{path.name}:{at}: caption '{image}#{position}' stands twice")
        captions[image][position] = caption
    return captions


def _read_list(path: Path, problems: list[str]) -> list[str]:
    first: dict[str, int] = {}
    for at, line in _lines(path, problems):
        image = line.strip()
        if image in first:
            problems.append(f"{path.name}:{at}: {image} stands twice, first on line {first[image]}")
        first.setdefault(image, at)
    return list(first)


def _lines(path: Path, problems: list[str]) -> Iterable[tuple[int, str]]:
    # Not splitlines(): a caption may hold U+2028 or a form feed, and the line numbers must be an editor's.
    lines = read_text(path, problems).split("\n")
    return [(at, line.rstrip("\r")) for at, line in enumerate(lines, 1) if line.strip()]
