"""What a scene is, when two are the same, and which scenes differ from one in a single attribute."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from harness_shapes.stream import Stream

ATTRIBUTES = ("colour", "size", "shape", "relation", "texture")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white")
SIZES = ("small", "medium", "large")
SHAPES = ("circle", "square", "triangle", "star", "heart", "cross", "diamond", "ring")
TEXTURES = ("plain", "striped", "dotted", "checkered", "grid", "wavy")
OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}
_ROW, _COLUMN = ("left", "right"), ("above", "below")
_ACROSS = {"left": _COLUMN, "right": _COLUMN, "above": _ROW, "below": _ROW}

Key = tuple[object, ...]


class Thing(NamedTuple):
    """One object."""

    colour: str
    size: str
    shape: str


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Two or three objects of different colours before a background.

    Args:
        things: the pair, and possibly a third.
        relation: where the first object is, seen from the second: a key of `OPPOSITE`.
        side: where the third is, seen from the pair, at right angles to `relation`; empty without a third.
        texture: of the background.
        look: names the stream of what no caption tells: places, tilts, tones. Twins share it.
    """

    things: tuple[Thing, ...]
    relation: str
    side: str
    texture: str
    look: str

    @property
    def key(self) -> Key:
        """What the captions tell. "A left of B" and "B right of A" are one scene."""
        first, second, *third = self.things
        if self.relation in ("left", "above"):
            return (first, second, *third, self.relation, self.side, self.texture)
        return (second, first, *third, OPPOSITE[self.relation], self.side, self.texture)


def draw_scene(stream: Stream, look: str) -> Scene:
    """Draw a scene: two or three objects equally often, each attribute uniformly."""
    number = 2 + stream.below(2)
    colours = stream.sample(COLOURS, number)
    relation = stream.choose(tuple(OPPOSITE))
    return Scene(
        things=tuple(Thing(colour, stream.choose(SIZES), stream.choose(SHAPES)) for colour in colours),
        relation=relation,
        side=stream.choose(_ACROSS[relation]) if number == 3 else "",
        texture=stream.choose(TEXTURES),
        look=look,
    )


def neighbours(scene: Scene, attribute: str) -> Iterator[Scene]:
    """Yield every scene that differs from `scene` in exactly one value of `attribute`."""
    if attribute == "texture":
        yield from (replace(scene, texture=texture) for texture in TEXTURES if texture != scene.texture)
    elif attribute == "relation":
        # A third object stands at right angles to the pair, so turning the pair would move it as well.
        others = (OPPOSITE[scene.relation],) if scene.side else tuple(OPPOSITE)
        yield from (replace(scene, relation=other) for other in others if other != scene.relation)
        if scene.side:
            yield replace(scene, side=OPPOSITE[scene.side])
    else:
        values: Collection[str] = {"colour": COLOURS, "size": SIZES, "shape": SHAPES}[attribute]
        for place, thing in enumerate(scene.things):
            # Colours stay different within a scene: they name the objects in some captions.
            sharing = scene.things if attribute == "colour" else (thing,)
            taken = [getattr(other, attribute) for other in sharing]
            for value in values:
                if value not in taken:
                    things = list(scene.things)
                    things[place] = thing._replace(**{attribute: value})
                    yield replace(scene, things=tuple(things))
