"""The passport: what changes it, what does not, and how differences are named."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest

from harness.passport import IMAGE_VIEW, differing, passport, protocol
from harness.protocols import Record, Split

RECORDS = tuple(
    Record(image=f"i{n}", split="test", captions=(f"a {n}", f"the {n}"), tags={"twin": "x"}) for n in range(3)
)
SPLIT = Split("test", RECORDS)


def parts(
    split: Split = SPLIT,
    pixels: str = "",
    image: object = None,
    text: object = None,
    component: str = "pixels 1, 0123",
) -> dict[str, str]:
    return protocol(split, lambda record: record.image + pixels, image, text, component=component)


def test_the_same_protocol_has_the_same_passport() -> None:
    assert passport(parts()) == passport(dict(reversed(parts().items())))
    assert len(passport(parts())) == 16
    assert "3 images, 6 captions" in parts()["gallery"]


@pytest.mark.parametrize("silent", [None, SimpleNamespace(preprocessing="")])
def test_encoders_that_do_not_tell_their_preprocessing_share_no_passport(silent: object) -> None:
    small, large = (parts(image=silent, component=f"pixels 1, {size}") for size in ("0123", "4567"))
    assert differing([small, large]) == ["preprocessing"]
    assert passport(small) != passport(large)
    assert small["preprocessing"] == "not told by pixels 1, 0123"


def test_who_tells_it_has_the_passport_of_others_that_see_the_same() -> None:
    told = SimpleNamespace(preprocessing="centre 224")
    assert parts(image=told) == parts(image=told, component="another 2, 4567")


def test_a_tag_is_no_part_of_it() -> None:
    bare = Split("test", tuple(dataclasses.replace(record, tags={}) for record in RECORDS))
    assert parts(bare) == parts()


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        (parts(Split("test", RECORDS[::-1])), ["gallery", "pixels"]),
        (parts(Split("test", RECORDS[:2])), ["gallery", "pixels"]),
        (parts(Split("val", RECORDS)), ["gallery"]),
        (
            parts(Split("test", (dataclasses.replace(RECORDS[0], captions=("a 0", "b")), *RECORDS[1:]))),
            ["gallery"],
        ),
        (parts(pixels="!"), ["pixels"]),
        (parts(image=SimpleNamespace(test_view="whole")), [IMAGE_VIEW]),
        (parts(text=SimpleNamespace(test_view="all shifts")), ["text view"]),
        (parts(image=SimpleNamespace(preprocessing="centre 224")), ["preprocessing"]),
    ],
)
def test_what_changes_is_named(changed: dict[str, str], names: list[str]) -> None:
    assert passport(changed) != passport(parts())
    assert differing([parts(), changed]) == names


def test_moving_a_caption_to_another_image_changes_the_gallery() -> None:
    first, second, third = RECORDS
    moved = Split(
        "test",
        (
            dataclasses.replace(first, captions=(*first.captions, second.captions[0])),
            dataclasses.replace(second, captions=second.captions[1:]),
            third,
        ),
    )
    assert differing([parts(), parts(moved)]) == ["gallery"]
