"""What is drawn can be told apart."""

from __future__ import annotations

import re

import pytest

from harness.leaderboard.figures import color, confusion_figure


@pytest.mark.parametrize("count", [1, 10, 11, 20, 21, 64])
def test_no_two_curves_of_a_picture_have_one_colour(count: int) -> None:
    assert len({color(place, count) for place in range(count)}) == count


def test_each_attribute_has_a_colour_of_its_own_however_many_methods_there_are() -> None:
    attributes = ("colour", "relation", "shape", "size", "texture")
    shares = {f"method {n}": {name: float(n + k) for k, name in enumerate(attributes)} for n in range(30)}
    drawn = confusion_figure(shares)
    points = re.findall(
        r'<use xlink:href="#\w+" x="[\d.]+" y="[\d.]+" style="([^"]*stroke: #\w+[^"]*)"', drawn
    )
    colours = [re.findall(r"stroke: (#\w+)", style)[0] for style in points]
    counts = {colour: colours.count(colour) for colour in set(colours) - {"#000000"}}
    # A point a method, and one in the legend.
    assert sorted(counts.values()) == [31] * len(attributes)
