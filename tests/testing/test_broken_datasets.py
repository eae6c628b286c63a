"""Every check of a dataset catches one that was broken for it, says on what, and spares an honest one."""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.api import Annotations, DataError, DatasetSpec, Record
from harness.catalog import Catalog, Entry
from harness.errors import InputError, PluginError
from harness.testing import CONTRACTS, Violation, check_dataset

COLOURS = ("red", "green", "blue", "grey", "pink", "brown", "black", "white")


class Honest:
    """Eight drawn images of one colour each."""

    def annotations(self, source):
        return Annotations(records=tuple(self.made()))

    def made(self):
        for place, colour in enumerate(COLOURS):
            yield Record(image=self.name(place), split=self.split(place), captions=self.captions(colour))

    def name(self, place):
        return f"i{place}"

    def split(self, place):
        return ("train", "train", "train", "train", "train", "val", "val", "test")[place]

    def captions(self, colour):
        return (f"a {colour} square", f"all {colour}")

    def pixels(self, record):
        return np.full((4, 5, 3), int(record.image[1:]) * 20, dtype=np.uint8)


class Twice(Honest):
    def name(self, place):
        return f"i{min(place, 6)}"


class TwiceInTrain(Honest):
    def name(self, place):
        return f"i{max(place, 1)}"


class OtherSplit(Honest):
    def split(self, place):
        return super().split(place).replace("val", "valid")


class Mute(Honest):
    def captions(self, colour):
        return ()


class Silent(Honest):
    def captions(self, colour):
        return ("fine", " ")


class NoVal(Honest):
    def split(self, place):
        return "test" if place > 4 else "train"


class SamePicture(Honest):
    def pixels(self, record):
        return super().pixels(Record(image=f"i{int(record.image[1:]) // 2}", split="", captions=()))


class Shuffled(Honest):
    def made(self):
        records = list(super().made())
        np.random.shuffle(records)
        return records


class AsASet(Honest):
    """The same order in this process, and another one where text has other hashes."""

    def made(self):
        return sorted(super().made(), key=lambda record: hash(record.image))


class Grey(Honest):
    def pixels(self, record):
        return super().pixels(record)[..., 0]


class Flickers(Honest):
    def __init__(self):
        self.calls = 0

    def pixels(self, record):
        self.calls += 1
        return super().pixels(record) + np.uint8(self.calls % 5)


class Stamped(Honest):
    """A time in a tag: another dataset whenever it is read."""

    def made(self):
        for record in super().made():
            yield Record(
                image=record.image,
                split=record.split,
                captions=record.captions,
                tags={"t": str(time.time_ns())},
            )


class Opens(Honest):
    def __init__(self):
        self.file = lambda: None


class Seeds(Honest):
    def made(self):
        random.seed(0)
        return super().made()


class Files(Honest):
    """Reads a folder: ``<split>-<colour>.png``."""

    def annotations(self, source):
        if not any(source.glob("*.png")):
            raise DataError(f"{source} has no images")
        return super().annotations(self.listed(source))

    def listed(self, source):
        self.found = sorted(path.name for path in source.iterdir())
        return source

    def made(self):
        for name in self.found:
            split, colour = name.removesuffix(".png").split("-")
            yield Record(image=colour, split=split, captions=self.captions(colour), file=name)


class Copies(Files):
    """Holds one photograph in train and, as a file of another name, in test."""

    def made(self):
        for record in super().made():
            yield record
            if record.split == "train":
                copy = self.place / f"test-copy-of-{record.image}.png"
                copy.write_bytes((self.place / record.file).read_bytes())
                yield Record(
                    image=f"copy {record.image}", split="test", captions=record.captions, file=copy.name
                )

    def listed(self, source):
        self.place = source
        self.found = sorted(path.name for path in source.glob("*.png") if "copy" not in path.name)
        return source


class AsListed(Files):
    def listed(self, source):
        self.found = os.listdir(source)
        return source


class Paths(Files):
    """Writes the folder into the captions."""

    def listed(self, source):
        self.place = source
        return super().listed(source)

    def captions(self, colour):
        return (f"{colour} in {self.place}",)


class Careless(Files):
    def annotations(self, source):
        return Honest.annotations(self, self.listed(source))


def write(folder: Path) -> None:
    from PIL import Image

    for place, colour in enumerate(COLOURS):
        Image.new("RGB", (8, 8), colour).save(folder / f"{Honest().split(place)}-{colour}.png")


def nothing(folder: Path) -> None:
    pass


def catalog(dataset: Any, example: str = "write") -> Catalog:
    """Declare a dataset of this file, which a process of its own can import by its name."""
    spec = DatasetSpec(
        name="toy",
        target=f"{Path(__file__).stem}:{dataset.__name__}",
        summary="",
        embedded=not issubclass(dataset, Files),
        example=f"{Path(__file__).stem}:{example}" if example else "",
    )
    return Catalog(
        components={("dataset", "toy"): Entry(spec=spec, plugin="t", distribution="t", version="1")}
    )


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setitem(sys.modules, Path(__file__).stem, sys.modules[__name__])


# check, dataset, sample, expected, found
CASES = [
    ("records", Twice, "image 'i6'", "an id of its own", "stands in 'val' and 'test'"),
    ("records", TwiceInTrain, "image 'i1'", "an id of its own", "stands twice in 'train'"),
    ("records", OtherSplit, "image 'i5'", "in one split", "unknown split 'valid'"),
    ("records", Mute, "image 'i0'", "captions that say something", "has no caption"),
    ("records", Silent, "caption 'i0#1'", "captions that say something", "empty"),
    ("splits", NoVal, "split 'val'", "images in each of", "none"),
    ("splits", SamePicture, "image 'i5' of val", "no other split holds", "'i4' in train"),
    ("splits", Copies, "image 'copy", "no other split holds", "in train"),
    ("stable order", Shuffled, "read a second time", "at place", "image"),
    ("stable order", AsASet, "in another process", "at place", "image"),
    ("stable order", AsListed, "folders listed backwards", "at place", "image"),
    ("pixels", Grey, "image 'i0'", "(height, width, 3) of uint8", "(4, 5)"),
    ("pixels", Flickers, "image 'i", "the same pixels at every call", "others"),
    ("passport", Stamped, "opened twice", "one passport", ""),
    ("passport", Paths, "two copies of its folder", "one passport", ""),
    ("passport", Opens, "", "no error", "pickle"),
    ("empty folder", Careless, "an empty folder", "a DataError", "0 records"),
    ("global state", Seeds, "annotations()", "Python's random state", "drawn from or seeded"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[1].__name__)
def test_the_check_catches_it(case: Any) -> None:
    check, broken, sample, expected, found = case
    violations = check_dataset("toy", catalog=catalog(broken))
    mine = [violation for violation in violations if violation.check == check]
    assert any(sample in v.sample and expected in v.expected and found in v.found for v in mine), list(
        map(str, violations)
    )
    assert {(v.kind, v.name, v.where) for v in mine} == {
        ("dataset", "toy", CONTRACTS["dataset"][check].where)
    }


def test_there_is_a_broken_dataset_for_every_check() -> None:
    assert {case[0] for case in CASES} == set(CONTRACTS["dataset"])


def told(violations: list[Violation]) -> list[str]:
    return [str(violation) for violation in violations]


def test_honest_datasets_are_spared(tmp_path: Path) -> None:
    assert told(check_dataset("toy", catalog=catalog(Honest))) == []
    assert told(check_dataset("toy", catalog=catalog(Files))) == []
    assert told(check_dataset(Honest())) == []
    write(tmp_path)
    assert told(check_dataset("toy", catalog=catalog(Files, example=""), source=tmp_path)) == []


def test_without_files_there_is_nothing_to_check() -> None:
    with pytest.raises(InputError, match="read from files and there is no example") as caught:
        check_dataset("toy", catalog=catalog(Files, example=""))
    assert "'example' of its DatasetSpec" in caught.value.hint
    with pytest.raises(PluginError, match=r"example .*:nothing of dataset 'toy' wrote nothing"):
        check_dataset("toy", catalog=catalog(Files, example="nothing"))
    with pytest.raises(PluginError, match=r"example .*:absent of dataset 'toy' failed: AttributeError"):
        check_dataset("toy", catalog=catalog(Files, example="absent"))
