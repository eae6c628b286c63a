"""What this plugin declares."""

from __future__ import annotations

from harness.api import DatasetSpec, EncoderSpec, EvaluatorSpec, LossSpec, hookimpl


@hookimpl
def harness_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(name="toys", target="harness_toy.data:Toys", summary="Tiny drawn images", embedded=True),
        DatasetSpec(name="listed", target="harness_toy.data:Listed", summary="Must be prepared"),
    ]


@hookimpl
def harness_encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(
            name="frozen", target="harness_toy.models:Frozen", summary="Backbone, head", modality="image"
        ),
        EncoderSpec(
            name="pixels", target="harness_toy.models:Direct", summary="No backbone", modality="image"
        ),
        EncoderSpec(
            name="stored", target="harness_toy.models:Stored", summary="Decoded once", modality="image"
        ),
        EncoderSpec(
            name="constant", target="harness_toy.models:Constant", summary="One point", modality="text"
        ),
        EncoderSpec(name="words", target="harness_toy.models:Words", summary="Bag of words", modality="text"),
    ]


@hookimpl
def harness_losses() -> list[LossSpec]:
    return [
        LossSpec(name="contrast", target="harness_toy.models:Contrast", summary="InfoNCE"),
        LossSpec(name="mined", target="harness_toy.models:Mined", summary="InfoNCE with mined captions"),
        LossSpec(name="asking", target="harness_toy.models:Asking", summary="Asks for train features"),
        LossSpec(name="ridge", target="harness_toy.models:Ridge", summary="Ridge regression, closed form"),
    ]


@hookimpl
def harness_evaluators() -> list[EvaluatorSpec]:
    return [
        EvaluatorSpec(
            name="hits",
            target="harness_toy.judges:Hits",
            summary="R@K and rSum",
            metrics=("t2i.*", "i2t.*", "rsum"),
        ),
        EvaluatorSpec(
            name="marked",
            target="harness_toy.judges:Marked",
            summary="R@1 of some",
            metrics=("t2i.recall@1",),
        ),
    ]
