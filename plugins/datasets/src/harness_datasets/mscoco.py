"""MSCOCO captions in the splits of Karpathy and Fei-Fei."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.api import SPLITS, Annotations, DataError, ParameterError, Record
from harness_datasets.images import ImageFiles
from harness_datasets.sources import Found, Sought, annotation_files, read_files
from harness_datasets.splits import OTHER_COUNTS, check_counts, in_order
from harness_datasets.text import Told, number

KARPATHY = {"train": 113_287, "val": 5_000, "test": 5_000}
CAPTIONS = {
    "first-five": {"train": 566_435, "val": 25_000, "test": 25_000},
    "all": {"train": 566_747, "val": 25_010, "test": 25_010},
    "deduplicated": {"test": 24_809},
}
"""How many captions the literature counts, by variant; the last by the queries of M-BEIR."""
WHY_OTHERS = (
    "24,809 are the queries of M-BEIR; how many captions are equal hangs on how their words and marks are set: a copy "
    "of Karpathy's test captions gives 24,820, or 24,806 without the space before full stops"
)
"""Said of `deduplicated` where it has another number of captions on test."""
FIRST = 5
NAME_2014 = "COCO_"
SOUGHT = Sought(dataset="coco", wanted=lambda name: "flickr" not in name.lower())


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image: its COCO id, file name, split, and captions with their annotation ids (which may be unknown)."""

    coco: str
    file: str
    split: str
    captions: tuple[tuple[str, str], ...]


class Mscoco:
    """Reads MSCOCO from

    - ``dataset_coco.json`` of Karpathy and Fei-Fei (restval is train), or
    - the official ``captions_{train,val}2014.json`` (or 2017) and one list of ids a split, as text or ``.npy``: ids of
      images, file names, or ids of captions. A list of caption ids also chooses the captions. Without one of train,
      train is all that val and test leave.

    Test images keep the order of the json or list: the five folds of MSCOCO 1K are consecutive in it. Every record has
    the tags ``coco_id`` and ``caption_ids``, COCO's own ids, that other label sets (CxC, ECCV Caption) speak of.

    Args:
        captions: ``first-five`` of each image, 25,000 on test; ``all``, 25,010 on test; ``deduplicated``: as M-BEIR
            (Wei et al., ECCV 2024) counts the 24,809 queries of test: of the first five, on val and test, those that no
            caption before in the split equals once quotation marks and spaces around it are off, the first letter is a
            capital, and it ends in a mark. There a text that stands at two images has both as its right answers; here
            it stays with the first. Train keeps its first five: a sentence that two images share is an example of both.
        strict: whether other numbers of images than 113,287 / 5,000 / 5,000, or of captions than the variant's, are
            problems; where not, they are notes, as those of `deduplicated` always are: they hang on how words and marks
            are set.

    Raises:
        ParameterError: if there is no such variant.
    """

    def __init__(
        self, *, captions: Literal["first-five", "all", "deduplicated"] = "first-five", strict: bool = True
    ) -> None:
        if captions not in CAPTIONS:
            raise ParameterError(
                f"mscoco: parameter 'captions' is {captions!r}, not one of {', '.join(CAPTIONS)}"
            )
        self.variant = captions
        self.strict = strict

    def annotations(self, source: Path | None, files: Sequence[Path] = ()) -> Annotations:
        """Read all records: train, val, test, each in the order of the source.

        Args:
            source: folder of the images; without `files` also that of the annotations.
            files: the annotation files.

        Raises:
            DataError: lists all problems.
        """
        if source is None:
            raise DataError("mscoco is read from a folder", hint="harness data prepare mscoco --from DIR")
        told = Told()
        problems, notes = told.problems, told.notes
        found = read_files(annotation_files(source, files, SOUGHT), SOUGHT, problems, notes)
        images = _of_entries(found) if found.entries else _of_official(found, told)
        if not images and not problems:
            problems.append(
                "no captions: neither dataset_coco.json, nor captions_train2014.json with lists of ids"
            )
        images = _known(images, problems)
        chosen = self._choose(images, told)
        before = len(problems)
        if images:
            self._check(images, chosen, told)
        counted = len(problems) > before
        # 2014 and 2017 give one image two names, which share the id.
        there = ImageFiles(source, _number)
        places = there.match([image.file for image in images], told)
        if problems:
            raise DataError(
                f"MSCOCO in {source} has {number(len(problems), 'problem')}:",
                problems=problems,
                lists=told.lists,
                hint=OTHER_COUNTS if counted else "",
                records=in_order(
                    _record(image, texts, file)
                    for image, texts, file in zip(images, chosen, places, strict=True)
                    if there.has(image.file) and texts
                ),
            )
        records = [
            _record(image, texts, file) for image, texts, file in zip(images, chosen, places, strict=True)
        ]
        return Annotations(records=in_order(records), notes=tuple(notes), lists=told.lists)

    def _check(
        self, images: Sequence[Image], chosen: Sequence[tuple[tuple[str, str], ...]], told: Told
    ) -> None:
        """Compare the numbers of images and captions with the literature's."""
        doubts, before = told.problems if self.strict else told.notes, len(told.problems)
        check_counts(Counter(image.split for image in images), KARPATHY, doubts, "MSCOCO, Karpathy split")
        counted: Counter[str] = Counter()
        for image, texts in zip(images, chosen, strict=True):
            counted[image.split] += len(texts)
        if len(told.problems) == before:
            what = f"MSCOCO, captions={self.variant}"
            doubts = told.notes if self.variant == "deduplicated" else doubts
            check_counts(counted, CAPTIONS[self.variant], doubts, what, of="captions")
            if self.variant == "deduplicated" and counted["test"] != CAPTIONS[self.variant]["test"]:
                told.notes.append(WHY_OTHERS)

    def _choose(self, images: Sequence[Image], told: Told) -> list[tuple[tuple[str, str], ...]]:
        """Return the captions of each image that the variant takes, and say how many are left out."""
        seen: dict[str, set[str]] = {split: set() for split in SPLITS}
        chosen, left = [], Counter[str]()
        for image in images:
            texts = image.captions if self.variant == "all" else image.captions[:FIRST]
            if self.variant == "deduplicated" and image.split != "train":
                texts = tuple(pair for pair in texts if _fresh(pair[1], seen[image.split]))
            left[image.split] += len(image.captions) - len(texts)
            chosen.append(texts)
        bare = [image.coco for image, texts in zip(images, chosen, strict=True) if not texts]
        if bare:
            first = told.listed("without-captions", bare)
            told.problems.append(f"{number(len(bare), 'image')} without caption: {first}")
        counts = [f"{split} {left[split]:,}" for split in SPLITS if left[split]]
        if counts:
            told.notes.append(f"captions left out by {self.variant!r}: {', '.join(counts)}")
        return chosen


def _of_entries(found: Found) -> list[Image]:
    return [
        Image(
            coco=entry.tags.get("coco_id", _number(entry.image)),
            file=entry.image,
            split=entry.split,
            captions=tuple(zip(_ids(entry.tags, len(entry.captions)), entry.captions, strict=True)),
        )
        for entry in found.entries
    ]


def _ids(tags: Mapping[str, str], count: int) -> list[str]:
    ids = tags.get("caption_ids", "").split(",")
    return ids if len(ids) == count else [""] * count


_Known = tuple[dict[str, str], dict[str, list[tuple[str, str]]], dict[str, str]]


def _official(found: Found, problems: list[str]) -> _Known:
    """Return, of official captions, image -> file name, image -> captions by id, and caption -> image."""
    files: dict[str, str] = {}
    captions: dict[str, list[tuple[str, str]]] = {}
    owner: dict[str, str] = {}
    for name, whole in found.official.items():
        try:
            for row in whole["images"]:
                image, file = str(int(row["id"])), str(row["file_name"])
                if file.startswith(NAME_2014) or image not in files:
                    files[image] = file
            for row in sorted(whole["annotations"], key=lambda row: int(row["id"])):
                image, caption = str(int(row["image_id"])), str(int(row["id"]))
                if caption not in owner:  # those of 2017 are those of 2014, laid out otherwise
                    captions.setdefault(image, []).append((caption, str(row["caption"]).strip()))
                    owner[caption] = image
                elif owner[caption] != image:
                    problems.append(f"{name}: caption {caption} is of image {image} and of {owner[caption]}")
        except (KeyError, TypeError, ValueError) as error:
            problems.append(f"{name}: not the official captions of COCO ({type(error).__name__}: {error})")
    return files, captions, owner


def _of_official(found: Found, told: Told) -> list[Image]:
    """Join official captions with lists of image ids, file names or caption ids."""
    known = files, captions, _ = _official(found, told.problems)
    if not files:
        return []
    lacking = [split for split in SPLITS if split not in found.lists]
    if lacking and lacking != ["train"]:
        told.problems.append(
            f"no list of ids of {', '.join(lacking)}: official captions have no Karpathy split"
        )
    images = [
        image
        for split, names in found.lists.items()
        for image in _listed(split, found.places[split], names, known, told)
    ]
    if lacking == ["train"]:
        taken = {image.coco for image in images}
        rest = [image for image in sorted(files, key=int) if image not in taken]
        told.notes.append(f"no list of train: it is the {number(len(rest), 'image')} that val and test leave")
        images += [
            Image(coco=image, file=files[image], split="train", captions=tuple(captions.get(image, ())))
            for image in rest
        ]
    return images


def _listed(split: str, place: str, names: Sequence[str], known: _Known, told: Told) -> list[Image]:
    """Return the images of one list, in its order."""
    files, captions, owner = known
    ids = [_number(name) for name in names]
    of_captions = bool(ids) and sum(name in owner for name in ids) > sum(name in files for name in ids)
    strange = [
        name
        for name, number_ in zip(names, ids, strict=True)
        if number_ not in (owner if of_captions else files)
    ]
    if strange:
        what = "caption" if of_captions else "image"
        first = told.listed(f"unknown-{what}s-of-{split}", strange)
        told.problems.append(f"{place}: {number(len(strange), what)} not in the official captions: {first}")
    taken: dict[str, list[tuple[str, str]]] = {}
    if of_captions:
        texts = {caption: text for pairs in captions.values() for caption, text in pairs}
        for caption in ids:
            if caption in owner:
                taken.setdefault(owner[caption], []).append((caption, texts[caption]))
    else:
        taken = {image: captions.get(image, []) for image in ids if image in files}
    return [
        Image(coco=image, file=files[image], split=split, captions=tuple(pairs))
        for image, pairs in taken.items()
    ]


def _known(images: Sequence[Image], problems: list[str]) -> list[Image]:
    first: dict[str, Image] = {}
    for image in images:
        earlier = first.setdefault(image.coco, image)
        if image.split not in SPLITS:
            problems.append(
                f"image {image.file!r}: unknown split {image.split!r}; known: {', '.join(SPLITS)}"
            )
        elif earlier is not image:
            problems.append(
                f"image {image.coco} stands in split {earlier.split!r} and again in {image.split!r}"
            )
    return [image for image in first.values() if image.split in SPLITS]


def _record(image: Image, texts: Sequence[tuple[str, str]], file: str) -> Record:
    tags = {"coco_id": image.coco}
    if all(caption for caption, _ in texts):
        tags["caption_ids"] = ",".join(caption for caption, _ in texts)
    captions = tuple(text for _, text in texts)
    return Record(image=image.file, split=image.split, captions=captions, file=file, tags=tags)


def _fresh(text: str, seen: set[str]) -> bool:
    """Tell whether no caption before is the same, written as M-BEIR writes it."""
    plain = text.replace("\r", "").strip().strip('"')
    if plain:
        plain = plain[0].upper() + plain[1:]
        plain += "" if plain[-1] in ".?!" else "."
    if plain in seen:
        return False
    seen.add(plain)
    return True


def _number(name: Any) -> str:
    """Return COCO's id of a file name or id: the last digits, without leading zeros."""
    digits = re.findall(r"\d+", str(name).rpartition("/")[2])
    return str(int(digits[-1])) if digits else str(name)
