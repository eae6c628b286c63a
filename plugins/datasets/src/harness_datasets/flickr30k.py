"""Flickr30k: captions of Young et al., in the splits of Karpathy and Fei-Fei or in those of the 2017 paper."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from harness.api import SPLITS, Annotations, DataError, ParameterError, Record
from harness_datasets.images import ImageFiles
from harness_datasets.sources import Found, Sought, annotation_files, read_files
from harness_datasets.splits import OTHER_COUNTS, check_counts, in_order, split_of
from harness_datasets.text import Told, listed, number

KARPATHY = {"train": 29_000, "val": 1_014, "test": 1_000}
NAMES = {"train": 29_783, "val": 1_000, "test": 1_000}
"""The dual-path paper's: 31,783 images less those named in Flickr8k's dev and test lists."""
LISTS = ("Flickr_8k.testImages.txt", "Flickr_8k.devImages.txt")

_OTHERS = re.compile("coco|flickr_?8k|^captions_", re.IGNORECASE)  # what else lies in a folder of datasets


class Flickr30k:
    """Reads Flickr30k's images with captions from

    - ``dataset_flickr30k.json`` of Karpathy and Fei-Fei, or
    - ``results_20130124.token`` (or ``results.csv``), with one list of image names a split, or
    - ``<split>.jsonl``, each line ``{"image": ..., "captions": [...]}``.

    Args:
        split: ``karpathy``, 29,000 / 1,014 / 1,000 images; or ``flickr8k-names``, the split of Zheng et al. 2017: test
            and val are the images that Flickr8k's ``Flickr_8k.testImages.txt`` and ``Flickr_8k.devImages.txt`` name
            (Flickr's photo id is the first part of a name there), train is all the rest. The order is that of names, as
            in the authors' code, whatever file the captions are from.
        strict: whether other numbers of images than the literature's are problems; where not, they are notes.

    Raises:
        ParameterError: if there is no such split.
    """

    def __init__(
        self, *, split: Literal["karpathy", "flickr8k-names"] = "karpathy", strict: bool = True
    ) -> None:
        if split not in ("karpathy", "flickr8k-names"):
            raise ParameterError(
                f"flickr30k: parameter 'split' is {split!r}, not 'karpathy' or 'flickr8k-names'"
            )
        self.split = split
        self.strict = strict

    def annotations(self, source: Path | None, files: Sequence[Path] = ()) -> Annotations:
        """Read all records: train, val, test, each in the order of its list.

        Args:
            source: folder of the images; without `files` also that of the annotations.
            files: the annotation files.

        Raises:
            DataError: lists all problems.
        """
        if source is None:
            raise DataError(
                "flickr30k is read from a folder", hint="harness data prepare flickr30k --from DIR"
            )
        told = Told()
        problems, notes = told.problems, told.notes
        sought = Sought(dataset="flickr30k", wanted=self._wanted)
        found = read_files(annotation_files(source, files, sought), sought, problems, notes)
        captions = _captions(found, problems)
        choose = self._karpathy if self.split == "karpathy" else self._names
        images = choose(found, captions, told)
        counts = Counter(split for _, split in images)
        expected = KARPATHY if self.split == "karpathy" else NAMES
        before = len(problems)
        if images:
            check_counts(
                counts, expected, problems if self.strict else notes, f"Flickr30k, split {self.split}"
            )
        counted = len(problems) > before
        taken = {image for image, _ in images}
        unused = [image for image in captions if image not in taken]
        if images and unused:
            told.lists["in-no-split"] = tuple(unused)
            notes.append(f"{number(len(unused), 'captioned image')} in no split left out")
        there = ImageFiles(source)
        places = there.match([image for image, _ in images], told)
        records = in_order(
            Record(image=image, split=split, captions=captions[image], file=file)
            for (image, split), file in zip(images, places, strict=True)
        )
        if problems:
            raise DataError(
                f"Flickr30k in {source} has {number(len(problems), 'problem')}:",
                problems=problems,
                lists=told.lists,
                hint=OTHER_COUNTS if counted else "",
                records=[r for r in records if there.has(r.image) and r.captions and all(r.captions)],
            )
        return Annotations(records=records, notes=tuple(notes), lists=told.lists)

    def _wanted(self, name: str) -> bool:
        """Tell by its name whether a file in the folder is this split's: both splits are read from one folder."""
        if self.split == "flickr8k-names" and Path(name).suffix in (".txt", ".npy") and split_of(Path(name)):
            return name in LISTS
        return not _OTHERS.search(name)

    def _karpathy(
        self, found: Found, captions: dict[str, tuple[str, ...]], told: Told
    ) -> list[tuple[str, str]]:
        """Return image and split: as the entries say, unless the user named lists or there are no entries."""
        problems = told.problems
        if found.entries and found.lists and not found.named:
            told.notes.append(
                f"splits are as with the captions; left out: {', '.join(found.places.values())}"
            )
        if not found.lists or (found.entries and not found.named):
            pairs = [(entry.image, entry.split) for entry in found.entries]
            if not pairs and captions:
                problems.append(
                    "no list of a split: name Karpathy's json, or one list of image names a split"
                )
            return _known(pairs, problems)
        lacking = [split for split in SPLITS if split not in found.lists]
        if lacking:
            problems.append(f"no list of {', '.join(lacking)}; there is {', '.join(found.places.values())}")
        named = [
            (image, split)
            for split, names in found.lists.items()
            for image in dict.fromkeys(map(_image, names))
        ]
        bare = [image for image, _ in named if image not in captions]
        if bare:
            first = told.listed("without-captions", bare)
            problems.append(f"{number(len(bare), 'image')} in lists have no caption: {first}")
        return _known([pair for pair in named if pair[0] in captions], problems)

    def _names(self, found: Found, captions: dict[str, tuple[str, ...]], told: Told) -> list[tuple[str, str]]:
        """Return image and split by Flickr8k's lists."""
        named: dict[str, str] = {}
        for split in ("test", "val"):
            names = found.lists.get(split)
            if not names:
                told.problems.append(
                    f"no list of {split}: split flickr8k-names needs Flickr8k's {' and '.join(LISTS)} "
                    "beside the captions"
                )
                continue
            ids = {_photo(name) for name in names}
            there = ids & {_photo(image) for image in captions}
            of = number(len(ids), "photograph")
            told.notes.append(f"{found.places[split]}: {len(there):,} of {of} are in Flickr30k, its {split}")
            named |= dict.fromkeys(there, split)
        return [(image, named.get(_photo(image), "train")) for image in sorted(captions)]


def _captions(found: Found, problems: list[str]) -> dict[str, tuple[str, ...]]:
    """Return the captions of each image, from whichever files hold them."""
    captions: dict[str, tuple[str, ...]] = {}
    for entry in found.entries:
        if entry.image in captions:
            problems.append(f"{entry.place}: image {entry.image!r} stands twice")
        captions[entry.image] = entry.captions
        if not entry.captions or not all(entry.captions):
            problems.append(f"{entry.place}: image {entry.image!r} has no caption, or an empty one")
    for image, texts in found.captions.items():
        captions.setdefault(image, tuple(texts[position] for position in sorted(texts)))
    if not captions:
        problems.append(
            "no captions: neither dataset_flickr30k.json, nor results_20130124.token, nor <split>.jsonl"
        )
    return captions


def _known(pairs: list[tuple[str, str]], problems: list[str]) -> list[tuple[str, str]]:
    odd = sorted({split for _, split in pairs if split not in SPLITS})
    if odd:
        problems.append(f"unknown split {listed(map(repr, odd))}; known: {', '.join(SPLITS)}")
    first: dict[str, str] = {}
    for image, split in pairs:
        if first.setdefault(image, split) != split:
            problems.append(f"image {image!r} stands in split {first[image]!r} and in split {split!r}")
    return [pair for pair in first.items() if pair[1] in SPLITS]


def _image(name: str) -> str:
    """Return the file name of a line of a list: ``36979`` and ``36979.jpg#0`` are 36979.jpg."""
    name = name.partition("#")[0]
    return name if "." in name else f"{name}.jpg"


def _photo(name: str) -> str:
    """Return Flickr's photo id of a file name of Flickr8k or Flickr30k."""
    return name.partition(".")[0].partition("_")[0]
