"""The four hooks. Within `harness.v1` signatures only gain; a plugin of another version is named, not ignored."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from harness.specs import DatasetSpec, EncoderSpec, EvaluatorSpec, LossSpec

PROJECT = "harness"
ENTRY_POINT_GROUP = "harness.v1"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def harness_datasets() -> Iterable[DatasetSpec]:  # type: ignore[empty-body]
    """Declare datasets."""


@hookspec
def harness_encoders() -> Iterable[EncoderSpec]:  # type: ignore[empty-body]
    """Declare image and text encoders."""


@hookspec
def harness_losses() -> Iterable[LossSpec]:  # type: ignore[empty-body]
    """Declare losses."""


@hookspec
def harness_evaluators() -> Iterable[EvaluatorSpec]:  # type: ignore[empty-body]
    """Declare evaluators."""
