"""Images of one dataset's test that another dataset trains on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from harness.data.checks import number
from harness.leaks.alike import alike
from harness.leaks.findings import Finding
from harness.leaks.images import Splits
from harness.leaks.looks import Looks, Progress
from harness.leaks.names import IdList, keys_of

WAYS = ("file", "pixels", "picture", "name")
"""How an image was recognised, the surest first."""


@dataclass(frozen=True)
class Side:
    """A dataset with its looks."""

    name: str
    splits: Splits


def shared_between(one: Side, two: Side, progress: Progress | None = None) -> list[Finding]:
    """Find images of each one's test in the other's train: by file, pixels, looks, and by the id in their names.

    A name alone is enough, for the files may be other copies; the finding says how many of those look alike.
    """
    return [*_one_way(one, two, progress), *_one_way(two, one, progress)]


def shared_with_list(one: Side, listed: IdList) -> list[Finding]:
    """Find the images of test in a list of ids that something else trains on."""
    test = one.splits.records.get("test", ())
    found = {position: key for key, position in keys_of(test).items() if key in listed.keys}
    if not found:
        return []
    return [
        Finding(
            severity="leak",
            check="datasets",
            subject=one.name,
            what=f"{len(found):,} of {number(len(test), 'test image')} stand in {listed.path.name}, by the id in their "
            "names",
            count=len(found),
            items=tuple(f"{test[position].image} = {key}" for position, key in sorted(found.items())),
            next=_next(one.name, f"what {listed.path.name} lists"),
        )
    ]


def _one_way(one: Side, two: Side, progress: Progress | None) -> list[Finding]:
    test, train = one.splits.records.get("test", ()), two.splits.records.get("train", ())
    if not test or not train:
        return []
    own, other = one.splits.looks["test"], two.splits.looks["train"]
    note = f"comparing test of {one.name} with train of {two.name}"
    found: dict[int, tuple[str, int]] = {}
    for way in ("content", "pixels"):
        for position, at in _equal(own, other, way).items():
            found.setdefault(position, ("file" if way == "content" else way, at))
    for pair in alike(own, other, progress, note):
        found.setdefault(pair.first, ("picture", pair.second))
    seen = set(found)
    theirs = keys_of(train)
    named = {position: theirs[key] for key, position in keys_of(test).items() if key in theirs}
    for position, at in named.items():
        found.setdefault(position, ("name", at))
    if not found:
        return []
    ways = Counter(way for way, _ in found.values())
    told = [f"{ways[way]:,} by {_WORDS[way]}" for way in WAYS if ways[way]]
    alike_too = sum(position in seen for position in named)
    names = (
        f"; {len(named):,} share the id in their names, {alike_too:,} of which look alike" if named else ""
    )
    return [
        Finding(
            severity="leak",
            check="datasets",
            subject=one.name,
            what=f"{len(found):,} of {number(len(test), 'test image')} stand in train of {two.name}: "
            f"{', '.join(told)}{names}",
            count=len(found),
            items=tuple(
                f"{test[position].image} = {train[at].image} ({way})"
                for position, (way, at) in sorted(
                    found.items(), key=lambda item: (WAYS.index(item[1][0]), item[0])
                )
            ),
            next=_next(one.name, f"train of {two.name}"),
        )
    ]


_WORDS: Mapping[str, str] = {
    "file": "the file",
    "pixels": "the pixels",
    "picture": "the picture",
    "name": "the id in the name alone",
}


def _equal(own: Looks, other: Looks, column: str) -> dict[int, int]:
    places = {row.tobytes(): at for at, row in reversed(list(enumerate(getattr(other, column))))}
    rows = [row.tobytes() for row in getattr(own, column)]
    return {position: places[row] for position, row in enumerate(rows) if row in places}


def _next(name: str, other: str) -> str:
    return (
        f"Do not report figures on {name} of a model that trained on {other}, or leave these images out there; "
        "--json lists all."
    )
