"""The four hooks. Within `harness.v1` signatures only gain; a plugin of another version is named, not ignored.

Each takes nothing and returns declarations; a plugin has those that it needs. They are called whenever names are looked
up, so that a module with hooks loads nothing heavy. A plugin that raises, misspells a hook, repeats a name or returns
something else is left out whole, with its reason, and costs nobody else anything.
"""

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
