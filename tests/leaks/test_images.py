"""What the splits of one dataset share, each pair told once and by its strongest proof."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.leaks.captions import normal, shared_captions
from harness.leaks.findings import Finding
from harness.leaks.images import look_at, photo_series, shared_images


def told(findings: list[Finding]) -> list[tuple[str, str, int]]:
    return [(finding.severity, finding.what, finding.count) for finding in findings]


def test_images_that_splits_share(world: Any, tmp_path: Path) -> None:
    names = [
        *("train:a", "train:b", "train:c", "train:d", "val:e", "val:f", "test:g", "test:h"),
        *("train:same file", "train:same too", "val:same pixels", "val:twin", "test:copy", "test:twin"),
    ]
    images = {name: world.photograph(seed, 64) for seed, name in enumerate(names)}
    for copy, original in (
        ("train:same file", "test:g"),
        ("train:same too", "train:a"),
        ("val:same pixels", "train:b"),
    ):
        images[copy] = images[original]
    images["test:copy"] = world.changes["jpeg"](images["train:c"])
    images["val:twin"] = images["test:twin"] = world.changes["mirrored"](images["test:h"])
    drawn = world.dataset(images, tags={"val:same pixels": {"file": "png"}, "val:twin": {"file": "bmp"}})
    findings = shared_images("drawn", look_at(drawn, tmp_path))
    picture = "the same picture, changed a little or taken a moment later, as"
    assert told(findings) == [
        ("leak", "1 image of test is the same file as an image of train", 1),
        ("leak", f"1 image of test is {picture} an image of train", 1),
        ("leak", "1 image of val is in another file, but with the same pixels, as an image of train", 1),
        ("leak", "1 image of test is in another file, but with the same pixels, as an image of val", 1),
        ("leak", f"1 image of test is {picture} an image of val", 1),
        ("note", f"1 image of test is {picture} another image of test", 1),
        ("note", "1 image of train is the same file as another image of train", 1),
    ]
    assert findings[0].items == ("test:g = train:same file",)
    assert findings[1].items[0].startswith("test:copy = train:c (0.9")
    assert findings[4].items[0].startswith("test:h = val:twin (mirrored, ")
    assert "Leave the images out of train" in findings[0].next
    assert "val chooses" in findings[3].next
    assert "counts as wrong" in findings[5].next


def test_drawn_images_are_alike_by_chance_and_equal_ones_are_a_leak(world: Any, tmp_path: Path) -> None:
    names = ("train:a", "train:b", "train:c", "test:like", "test:equal")
    images = {name: world.photograph(seed, 64) for seed, name in enumerate(names)}
    images["test:like"] = world.changes["jpeg"](images["train:a"])
    images["test:equal"] = images["train:b"]
    splits = look_at(world.dataset(images, tags={"test:equal": {"file": "drawn anew"}}), tmp_path)
    findings = shared_images("drawn", splits, drawn=True)
    assert told(findings) == [
        ("leak", "1 image of test is in another file, but with the same pixels, as an image of train", 1),
        ("note", "1 image of test is drawn much like an image of train", 1),
    ]
    assert [finding.next.partition(" ")[0] for finding in findings] == ["Leave", "Nothing:"]


def test_splits_that_share_nothing(world: Any, tmp_path: Path) -> None:
    drawn = world.dataset({f"{split}:{split}{k}": world.photograph(7 * k + len(split), 48)
                           for split in ("train", "val", "test") for k in range(1, 5)})  # fmt: skip
    splits = look_at(drawn, tmp_path)
    # Lengths of "train" and "val" differ from that of "test", so that seeds do.
    assert [f for f in shared_images("drawn", splits) if "val" not in f.what] == []
    assert photo_series("drawn", splits) == []
    only = world.dataset({"train:a": world.photograph(1)})
    assert shared_images("only", look_at(only, tmp_path)) == []
    assert photo_series("only", look_at(only, tmp_path)) == []
    assert shared_captions(only) == []


def test_uploads_that_the_split_tears_apart(world: Any, tmp_path: Path) -> None:
    names = [f"train:{10**8 + k}_0123456789.jpg" for k in (0, 50)] + [
        f"test:{10**8 + k}_0123456789.jpg" for k in (10, 900)
    ]
    drawn = world.dataset({name: world.photograph(k, 32) for k, name in enumerate(names)})
    (finding,) = photo_series("drawn", look_at(drawn, tmp_path))
    assert (finding.severity, finding.count) == ("note", 1)
    assert finding.items == (
        "test:100000010_0123456789.jpg ~ train:100000000_0123456789.jpg, 100000050_0123456789.jpg",
    )


def test_captions_are_compared_as_readers_do(world: Any) -> None:
    assert normal("  Two DOGS, play\u00a0in the ﬁeld. ") == "two dogs play in the field"
    image = world.photograph(1, 16)
    drawn = world.dataset(
        dict.fromkeys(("train:a", "train:b", "val:c", "test:d", "test:e"), image),
        {
            "train:a": ("Two dogs play .", "A cat"),
            "train:b": ("two dogs play",),
            "val:c": ("A fish .",),
            "test:d": ("TWO dogs, play!", "A fish ."),
            "test:e": ("two dogs play", "a cat .", "play two dogs"),
        },
    )
    (finding,) = shared_captions(drawn)
    assert finding.severity == "note"
    assert finding.what == "3 captions of test (60.0 %) stand in train word for word, 2 of them different"
    assert finding.items == ("'two dogs play': 2 in test, 2 in train", "'a cat': 1 in test, 1 in train")
