"""Five sentences for a scene. Each tells every attribute, so that each can tell a scene from its twin.

No word stands for two values: a caption fits one scene only. None is longer than 32 words: a text encoder
that cuts there reads all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from harness_shapes.scenes import OPPOSITE, Scene, Thing
from harness_shapes.stream import Stream

_SIZE = {
    "small": ("small", "little", "tiny"),
    "medium": ("medium", "midsize"),
    "large": ("large", "big", "huge"),
}
_COLOUR = {"purple": ("purple", "violet")}
_SHAPE = {"circle": ("circle", "disc"), "cross": ("cross", "plus"), "ring": ("ring", "hoop")}
_RELATION = {
    "left": ("left of", "to the left of", "on the left of"),
    "right": ("right of", "to the right of", "on the right of"),
    "above": ("above", "over", "higher than"),
    "below": ("below", "under", "beneath"),
}
# Where the second object is, told after the first.
_ITS = {
    "left": ("to its left", "on its left"),
    "right": ("to its right", "on its right"),
    "above": ("above it", "over it"),
    "below": ("below it", "under it"),
}
_SIDE = {
    "left": ("to the left of both", "left of them", "to their left"),
    "right": ("to the right of both", "right of them", "to their right"),
    "above": ("above both", "above them", "over the two"),
    "below": ("below both", "below them", "under the two"),
}
_BACKGROUND = {
    "plain": ("a plain background", "a plain backdrop", "a blank background", "an empty background"),
    "striped": ("a striped background", "a striped backdrop", "a background of stripes", "stripes"),
    "dotted": ("a dotted background", "a spotted backdrop", "a background of dots", "polka dots"),
    "checkered": (
        "a checkered background",
        "a chequered backdrop",
        "a checkerboard",
        "a background of checks",
    ),
    "grid": ("a grid", "a grid background", "graph paper", "a background of grid lines"),
    "wavy": ("a wavy background", "a wavy backdrop", "a background of waves", "wavy lines"),
}
_ADJECTIVE = {
    "plain": ("plain", "blank", "empty"),
    "striped": ("striped", "all stripes", "covered in stripes"),
    "dotted": ("dotted", "spotted", "covered in dots"),
    "checkered": ("checkered", "a checkerboard", "covered in checks"),
    "grid": ("a grid", "graph paper", "covered in grid lines"),
    "wavy": ("wavy", "all waves", "covered in waves"),
}

# `{and_c}` and its kin are empty where there are two objects only.
_TEMPLATES = (
    "{a} {relation} {b}{with_c}, on {background}.",
    "there is {a} {relation} {b}{and_c}, against {background}.",
    "{b} {inverse} {a}{with_c}, drawn on {background}.",
    "on {background}, {a} sits {relation} {b}{semi_c}.",
    "{a} and {b} on {background}, the {colour_a} one {shortly} the {colour_b}{with_c}.",
    "the background is {adjective}, and {a} is {relation} {b}{with_c}.",
    "{a} with {b} {its}{and_c}, {background} behind.",
    "a picture of {a} {relation} {b}{and_c}, in front of {background}.",
    "{background} behind {a} {relation} {b}{with_c}.",
    "{inverse} {a} is {b}{semi_c}. The background is {adjective}.",
    "{b} is {inverse} {a}{semi_c}. All of it on {background}.",
    "someone drew {a} {relation} {b}{and_c}, on {background}.",
)


class _Phrase(NamedTuple):
    full: str
    colour: str


class _Words:
    """Read one choice after the other from the base-12 digits of a word: fair for 1, 2, 3, 4 or 6 options."""

    def __init__(self, word: int) -> None:
        self._rest = word

    def choose(self, options: Sequence[str]) -> str:
        self._rest, digit = divmod(self._rest, 12)
        return options[digit % len(options)]

    def of(self, words: Mapping[str, Sequence[str]], value: str) -> str:
        return self.choose(words.get(value, (value,)))

    def thing(self, thing: Thing) -> _Phrase:
        size, colour = self.of(_SIZE, thing.size), self.of(_COLOUR, thing.colour)
        return _Phrase(f"a {size} {colour} {self.of(_SHAPE, thing.shape)}", colour)


def write_captions(scene: Scene, key: str) -> tuple[str, ...]:
    """Write five different captions.

    Args:
        key: names the stream of templates and words. Twins share it: their captions differ where they do.
    """
    stream = Stream(key)
    return tuple(_write(scene, template, _Words(stream.word())) for template in stream.sample(_TEMPLATES, 5))


def _write(scene: Scene, template: str, words: _Words) -> str:
    a, b = (words.thing(thing) for thing in scene.things[:2])
    fields = {
        "a": a.full,
        "b": b.full,
        "colour_a": a.colour,
        "colour_b": b.colour,
        "shortly": _RELATION[scene.relation][0],
        "relation": words.of(_RELATION, scene.relation),
        "inverse": words.of(_RELATION, OPPOSITE[scene.relation]),
        "its": words.of(_ITS, OPPOSITE[scene.relation]),
        "background": words.of(_BACKGROUND, scene.texture),
        "adjective": words.of(_ADJECTIVE, scene.texture),
        "with_c": "",
        "and_c": "",
        "semi_c": "",
    }
    casual = words.choose(("", "", "", "casual")) != ""
    if scene.side:
        c, side = words.thing(scene.things[2]).full, words.of(_SIDE, scene.side)
        fields |= {"with_c": f", with {c} {side}", "and_c": f" and {c} {side}", "semi_c": f"; {c} is {side}"}
    sentence = template.format(**fields)
    return sentence.removesuffix(".") if casual else sentence[0].upper() + sentence[1:]
