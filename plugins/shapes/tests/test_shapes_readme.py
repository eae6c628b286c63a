"""README.md says what the code does."""

from __future__ import annotations

import inspect
from pathlib import Path

from harness_shapes.dataset import Shapes
from harness_shapes.scenes import ATTRIBUTES, COLOURS, SHAPES, SIZES, TEXTURES

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_captions_are_those_of_the_image_and_its_twin() -> None:
    records = {record.image: record for record in Shapes().annotations(None).records}
    shown = [line.strip() for line in README.splitlines() if line.startswith("    ")]
    (image,) = [name for name in records if f"The captions of `{name}`" in README]
    twin = records[records[image].tags["twin"]]
    assert shown == [*records[image].captions, *twin.captions]
    assert f"of `{image}` is `{twin.image}`, and what differs is the {twin.tags['attribute']}:" in README


def test_the_values_and_parameters_are_listed() -> None:
    for values in (COLOURS, SIZES, SHAPES, TEXTURES):
        assert ", ".join(values) in README
    assert all(f"confusion.{attribute}" in README for attribute in ATTRIBUTES)
    for name, parameter in inspect.signature(Shapes).parameters.items():
        assert f"| `{name}` | {parameter.default} |" in README
