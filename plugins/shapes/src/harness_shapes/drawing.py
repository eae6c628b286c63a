"""Draws a scene with Pillow, antialiased by supersampling. Lengths are fractions of the image's side."""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from harness_shapes.scenes import Scene, Thing
from harness_shapes.stream import Stream

Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]]

PAINT: dict[str, Colour] = {
    "red": (214, 30, 36),
    "orange": (248, 138, 16),
    "yellow": (250, 222, 40),
    "green": (34, 146, 62),
    "blue": (36, 84, 208),
    "purple": (124, 46, 160),
    "pink": (252, 136, 190),
    "brown": (118, 70, 34),
    "black": (18, 18, 20),
    "white": (254, 254, 252),
}
# Ground and marks of the background: pale and nearly grey, so that no caption needs to name them.
_TONES: tuple[tuple[Colour, Colour], ...] = (
    ((214, 214, 212), (178, 178, 176)),
    ((206, 214, 224), (168, 178, 192)),
    ((224, 216, 200), (190, 180, 160)),
    ((208, 222, 208), (172, 188, 172)),
    ((220, 210, 224), (184, 172, 190)),
)
_RADIUS = {"small": 0.07, "medium": 0.108, "large": 0.172}
_SLOTS = (0.27, 0.73)


def draw(scene: Scene, size: int) -> npt.NDArray[np.uint8]:
    """Draw a scene, (size, size, 3) RGB; every object lies inside the image and none covers another."""
    # Fine enough for edges of small images; large ones need less, and would take more.
    factor = 4 if size < 64 else 3 if size <= 128 else 2
    side = size * factor
    stream = Stream(scene.look)
    ground, marks = stream.choose(_TONES)
    canvas = Image.new("RGB", (side, side), ground)
    pen = ImageDraw.Draw(canvas)
    _draw_texture(pen, scene.texture, side, marks, stream)
    # All that is random is drawn before it is known what it is used for: twins read the same numbers.
    places = _places(scene, stream)
    for thing, place in zip(scene.things, places, strict=True):
        _draw_thing(pen, thing, complex(*place) * side, side, stream)
    # A copy, since what Pillow lends is read-only and torch.from_numpy warns of that.
    return np.array(canvas.reduce(factor))


def _places(scene: Scene, stream: Stream) -> list[tuple[float, float]]:
    """Return the centres. They depend on the relation alone: a large object does not push others away."""
    along = [slot + stream.between(-0.03, 0.03) for slot in _SLOTS]
    across = [stream.between(-0.03, 0.03) for _ in _SLOTS]
    shift, third_along = stream.between(-0.2, 0.2), stream.between(-0.15, 0.15)
    third_across = stream.between(-0.03, 0.03)
    pair_across, third = 0.5 + shift, []
    if scene.side:
        low, high = _SLOTS if scene.side in ("right", "below") else _SLOTS[::-1]
        pair_across, third = low, [(0.5 + third_along, high + third_across)]
    pair = [(along[k], pair_across + across[k]) for k in range(2)]
    if scene.relation in ("right", "below"):
        pair.reverse()
    places = pair + third
    return places if scene.relation in ("left", "right") else [(y, x) for x, y in places]


def _draw_thing(pen: ImageDraw.ImageDraw, thing: Thing, centre: complex, side: int, stream: Stream) -> None:
    radius = _RADIUS[thing.size] * side * stream.between(0.96, 1.04)
    turn = cmath.rect(1.0, math.radians(stream.between(-9, 9)))
    fill = _shade(PAINT[thing.colour], [stream.between(-6, 6) for _ in range(3)])
    edge, width = _shade(tuple(0.55 * channel for channel in fill)), max(2, round(0.008 * side))
    if thing.shape == "circle":
        pen.ellipse(_box(centre, radius), fill=fill, outline=edge, width=width)
    elif thing.shape == "ring":
        outer = 1.14 * radius
        thickness = round(0.5 * outer)
        pen.ellipse(_box(centre, outer), outline=edge, width=thickness)
        pen.ellipse(_box(centre, outer - width), outline=fill, width=thickness - 2 * width)
    else:
        points = [_pair(centre + radius * turn * point) for point in _OUTLINES[thing.shape]]
        pen.polygon(points, fill=fill)
        pen.line([*points, *points[:2]], fill=edge, width=width, joint="curve")


def _draw_texture(pen: ImageDraw.ImageDraw, texture: str, side: int, marks: Colour, stream: Stream) -> None:
    pitch = side * stream.between(0.12, 0.15)
    x0, y0 = -pitch * stream.between(1, 2), -pitch * stream.between(1, 2)
    direction = stream.below(4)
    steps = range(math.ceil(side / pitch) + 3)
    if texture == "striped":
        across = cmath.rect(1.0, math.pi / 4 * direction)
        middle = complex(side, side) / 2
        for step in range(-len(steps), len(steps)):
            start = middle + across * (step * pitch + x0)
            along = across * 2j * side
            pen.line([_pair(start - along), _pair(start + along)], fill=marks, width=round(pitch / 2))
    elif texture == "dotted":
        for row in steps:
            for column in steps:
                centre = complex(x0 + (column + 0.5 * (row % 2)) * pitch, y0 + row * pitch)
                pen.ellipse(_box(centre, 0.26 * pitch), fill=marks)
    elif texture == "checkered":
        for row in steps:
            for column in range(row % 2, len(steps), 2):
                x, y = x0 + column * pitch, y0 + row * pitch
                pen.rectangle((x, y, x + pitch, y + pitch), fill=marks)
    elif texture == "grid":
        for step in steps:
            for line in (
                ((x0 + step * pitch, 0), (x0 + step * pitch, side)),
                ((0, y0 + step * pitch), (side, y0 + step * pitch)),
            ):
                pen.line(line, fill=marks, width=round(0.14 * pitch))
    elif texture == "wavy":
        half = 0.15 * pitch
        for step in steps:
            middle = y0 + step * pitch
            wave = [
                (x0 + k * pitch / 6, middle + 0.28 * pitch * math.sin(math.pi * k / 6))
                for k in range(6 * len(steps) + 1)
            ]
            # A band between the wave and its copy is one polygon; a thick line with joints is many.
            band = [(x, y - half) for x, y in wave] + [(x, y + half) for x, y in reversed(wave)]
            pen.polygon(band, fill=marks)


def _shade(colour: Sequence[float], change: Sequence[float] = (0, 0, 0)) -> Colour:
    red, green, blue = (min(255, max(0, round(c + d))) for c, d in zip(colour, change, strict=True))
    return red, green, blue


def _box(centre: complex, radius: float) -> tuple[float, float, float, float]:
    return centre.real - radius, centre.imag - radius, centre.real + radius, centre.imag + radius


def _pair(point: complex) -> tuple[float, float]:
    return point.real, point.imag


def _regular(corners: int, radius: float, *, inner: float = 1.0) -> list[complex]:
    """Return corners clockwise from the top; every second one at `inner` of the radius."""
    angles = [2 * math.pi * k / corners - math.pi / 2 for k in range(corners)]
    return [cmath.rect(radius * (inner if k % 2 else 1.0), angle) for k, angle in enumerate(angles)]


def _heart() -> list[complex]:
    turns = [2 * math.pi * k / 36 for k in range(36)]
    xs = [16 * math.sin(t) ** 3 for t in turns]
    ys = [13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t) for t in turns]
    return [complex(x, -y - 2.5) / 15 for x, y in zip(xs, ys, strict=True)]


_ARM, _REACH = 0.36, 1.06
_CROSS_CORNER = [complex(-_ARM, -_ARM), complex(-_ARM, -_REACH), complex(_ARM, -_REACH)]
# Shapes of one size look equally large; no point is further than 1.24 from the centre.
_OUTLINES: dict[str, list[complex]] = {
    "square": [cmath.rect(1.24, math.pi / 4 + math.pi / 2 * k) for k in range(4)],
    "triangle": [point + 0.15j for point in _regular(3, 1.3)],
    "star": _regular(10, 1.22, inner=0.5),
    "heart": _heart(),
    "cross": [point * 1j**k for k in range(4) for point in _CROSS_CORNER],
    "diamond": [-1.22j, 0.86 + 0j, 1.22j, -0.86 + 0j],
}
