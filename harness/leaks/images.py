"""Images that stand in more than one split of a dataset: equal files, equal pixels, one picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.data import OpenDataset
from harness.data.checks import number
from harness.leaks.alike import alike
from harness.leaks.findings import Finding
from harness.leaks.looks import Looks, Progress, looks_of
from harness.leaks.names import SERIES, series
from harness.protocols import SPLITS, Record

ACROSS = (("test", "train"), ("val", "train"), ("test", "val"))
"""Splits that may share no image; the first one is measured on."""
MEASURED = ("test", "val")
_AFTER = {
    "train": "Leave the images out of train and prepare the dataset again; figures of runs that trained on them are "
    "too good.",
    "val": "Leave the images out of val and prepare the dataset again: val chooses among epochs by images of test.",
    "within": "Leave one of each out: for the other's query, an equal image counts as wrong.",
    "drawn": "Nothing: scenes drawn of few things are alike by chance; equal ones are told as equal pixels.",
}


@dataclass(frozen=True, eq=False)
class Splits:
    """The records of each split that has any, and their looks."""

    records: Mapping[str, Sequence[Record]]
    looks: Mapping[str, Looks]


def look_at(dataset: OpenDataset, home: Path, progress: Progress | None = None) -> Splits:
    """Look at every image of a dataset; see `harness.leaks.looks.looks_of`."""
    records = {s: [record for record in dataset.records if record.split == s] for s in SPLITS}
    every = [record for split in records.values() for record in split]
    looks = looks_of(dataset, every, home, progress)
    places: dict[str, Looks] = {}
    start = 0
    for split, own in records.items():
        places[split] = looks.take(range(start, start + len(own)))
        start += len(own)
    return Splits({s: own for s, own in records.items() if own}, {s: v for s, v in places.items() if len(v)})


def shared_images(
    name: str, splits: Splits, progress: Progress | None = None, *, drawn: bool = False
) -> list[Finding]:
    """Find images that two splits share, and those that val or test hold twice.

    Each pair is told once, by the strongest of: the same file, the same pixels, the same picture.

    Args:
        drawn: whether a component draws the images. Each is drawn on its own, so that a likeness is chance and a note;
            equal pixels are a leak as ever.
    """
    findings = []
    for first, second in _pairs_of_splits(splits):
        within = first == second
        known: set[tuple[int, int]] = set()
        for kind, column in (("file", "content"), ("pixels", "pixels")):
            pairs = _equal(splits.looks[first], splits.looks[second], column, within=within) - known
            known |= pairs
            items = [_item(splits, (first, second), pair) for pair in sorted(pairs)]
            findings += _finding(name, (first, second), kind, {pair[0] for pair in pairs}, items, drawn)
        if within and first not in MEASURED:
            continue
        note = f"comparing {first} with {second} of {name}"
        found = [
            pair
            for pair in alike(splits.looks[first], splits.looks[second], progress, note)
            if (pair.first, pair.second) not in known
        ]
        items = [
            f"{_item(splits, (first, second), (pair.first, pair.second))} "
            f"({'mirrored, ' if pair.mirrored else ''}{pair.detail:.2f})"
            for pair in found
        ]
        findings += _finding(name, (first, second), "picture", {pair.first for pair in found}, items, drawn)
    return findings


def photo_series(name: str, splits: Splits) -> list[Finding]:
    """Note test images that were, by their Flickr ids, uploaded together with images of train."""
    if not {"test", "train"} <= set(splits.records):
        return []
    test, train = splits.records["test"], splits.records["train"]
    near = series(test, train)
    if not near:
        return []
    return [
        Finding(
            severity="note",
            check="series",
            subject=name,
            what=f"{number(len(near), 'image')} of test {_have(len(near))} a Flickr id within {SERIES} of one of "
            "train: photographs that one person uploaded together often show one scene",
            count=len(near),
            items=tuple(
                f"test:{test[position].image} ~ train:{', '.join(train[k].image for k in others[:3])}"
                for position, others in near.items()
            ),
            next="Nothing, where the split is the published one; a split of your own keeps an upload together.",
        )
    ]


def _pairs_of_splits(splits: Splits) -> Iterator[tuple[str, str]]:
    for first, second in (*ACROSS, *((split, split) for split in (*MEASURED, "train"))):
        if first in splits.looks and second in splits.looks:
            yield first, second


def _equal(one: Looks, two: Looks, column: str, *, within: bool) -> set[tuple[int, int]]:
    """Return the pairs whose bytes in a column are equal; within a split each image with the first of its kind."""
    places: dict[bytes, list[int]] = defaultdict(list)
    for position, row in enumerate(getattr(two, column)):
        places[row.tobytes()].append(position)
    pairs = set()
    for position, row in enumerate(getattr(one, column)):
        others = places.get(row.tobytes(), [])
        pairs |= {(position, other) for other in others if not within or position < other}
    return pairs


def _item(splits: Splits, pair: tuple[str, str], at: tuple[int, int]) -> str:
    first, second = (
        f"{split}:{splits.records[split][position].image}" for split, position in zip(pair, at, strict=True)
    )
    return f"{first} = {second}"


def _finding(
    name: str, pair: tuple[str, str], kind: str, images: set[int], items: Sequence[str], drawn: bool
) -> list[Finding]:
    if not images:
        return []
    first, second = pair
    chance = drawn and kind == "picture"
    after = "drawn" if chance else "within" if first == second else second
    how = {
        "file": "the same file as",
        "pixels": "in another file, but with the same pixels, as",
        "picture": "drawn much like"
        if drawn
        else "the same picture, changed a little or taken a moment later, as",
    }[kind]
    other = "another image" if first == second else "an image"
    return [
        Finding(
            severity="note" if first == second or chance else "leak",
            check="images",
            subject=name,
            what=f"{number(len(images), 'image')} of {first} {'is' if len(images) == 1 else 'are'} {how} {other} "
            f"of {second}",
            count=len(images),
            items=tuple(items),
            next=_AFTER[after] if (first, second) != ("train",) * 2 else "Nothing.",
        )
    ]


def _have(n: int) -> str:
    return "has" if n == 1 else "have"
