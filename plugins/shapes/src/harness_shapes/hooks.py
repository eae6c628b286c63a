"""What this plugin declares; nothing here loads numpy or Pillow."""

from __future__ import annotations

from collections.abc import Iterable

from harness.api import DatasetSpec, EvaluatorSpec, Scale, hookimpl

_CONFUSION = ("confusion*", "i2t.confusion*", "t2i.confusion*")


@hookimpl
def harness_datasets() -> Iterable[DatasetSpec]:
    """Declare the embedded dataset."""
    return [
        DatasetSpec(
            name="shapes",
            target="harness_shapes.dataset:Shapes",
            summary="Generated scenes of coloured shapes, five captions an image, with planned near-twins",
            embedded=True,
            sample={"images": 64, "size": 32},
        )
    ]


@hookimpl
def harness_evaluators() -> Iterable[EvaluatorSpec]:
    """Declare the evaluator of near-twins."""
    return [
        EvaluatorSpec(
            name="twins",
            target="harness_shapes.twins:Twins",
            summary="How often an image is confused with its near-twin, by the attribute that differs",
            metrics=_CONFUSION,
            scales=dict.fromkeys(_CONFUSION, Scale(better="lower", best=0.0, worst=1.0, chance=0.5)),
            gallery="harness_shapes.gallery:gallery",
        )
    ]
