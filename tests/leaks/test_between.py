"""Another dataset that trains on images of this one's test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.leaks.between import Side, shared_between, shared_with_list
from harness.leaks.images import look_at
from harness.leaks.names import read_ids

NAMES = [
    f"{number}_0123456789.jpg" for number in (1000092795, 1009434119, 2258277193, 3050606344, 3540241710)
]


def test_by_file_by_pixels_by_looks_and_by_name(world: Any, tmp_path: Path) -> None:
    own = {f"test:{name}": world.photograph(k, 64) for k, name in enumerate(NAMES)}
    own |= {"train:1.jpg": world.photograph(50, 64), "test:unshared.jpg": world.photograph(51, 64)}
    images = list(own.values())
    other = {
        "train:file.png": images[0],
        "train:1009434119.jpg": images[1],
        "train:2258277193.jpg": world.changes["jpeg"](images[2]),
        "train:3050606344.jpg": world.photograph(60, 64),
        "val:3540241710.jpg": images[4],
        "test:x.jpg": world.changes["half the size"](images[5]),
    }
    one = world.dataset(own, name="one")
    two = world.dataset(other, tags={"train:1009434119.jpg": {"file": "png"}}, name="two")
    sides = [Side(dataset.name, look_at(dataset, tmp_path)) for dataset in (one, two)]
    there, back = shared_between(sides[0], sides[1])
    assert (there.severity, there.subject, there.count) == ("leak", "one", 4)
    assert there.what == (
        "4 of 6 test images stand in train of two: 1 by the file, 1 by the pixels, 1 by the picture, 1 by the id in "
        "the name alone; 3 share the id in their names, 2 of which look alike"
    )
    assert there.items == (
        f"{NAMES[0]} = file.png (file)",
        f"{NAMES[1]} = 1009434119.jpg (pixels)",
        f"{NAMES[2]} = 2258277193.jpg (picture)",
        f"{NAMES[3]} = 3050606344.jpg (name)",
    )
    assert (back.severity, back.subject, back.items) == ("leak", "two", ("x.jpg = 1.jpg (picture)",))
    assert shared_between(sides[1], sides[0])[0] == back


def test_nothing_shared_is_no_finding(world: Any, tmp_path: Path) -> None:
    one = world.dataset({"test:a": world.photograph(1), "train:b": world.photograph(2)}, name="one")
    two = world.dataset({"test:c": world.photograph(3), "train:d": world.photograph(4)}, name="two")
    sides = [Side(dataset.name, look_at(dataset, tmp_path)) for dataset in (one, two)]
    assert shared_between(*sides) == []
    bare = world.dataset({"val:e": world.photograph(5)}, name="bare")
    assert shared_between(sides[0], Side("bare", look_at(bare, tmp_path))) == []


def test_a_list_of_ids(world: Any, tmp_path: Path) -> None:
    drawn = world.dataset({f"test:{name}": world.photograph(k, 16) for k, name in enumerate(NAMES)})
    side = Side("drawn", look_at(drawn, tmp_path))
    path = tmp_path / "karpathy train.txt"
    path.write_text("3540241710.jpg\n1000092795\n777777777\n")
    finding = shared_with_list(side, read_ids(path))[0]
    assert (finding.severity, finding.count) == ("leak", 2)
    assert finding.items == (f"{NAMES[0]} = flickr:1000092795", f"{NAMES[4]} = flickr:3540241710")
    path.write_text("777777777\n")
    assert shared_with_list(side, read_ids(path)) == []
