"""Hold an evaluator against all adversaries."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.build import build
from harness.catalog import Catalog
from harness.errors import InputError, PluginError
from harness.plan import Part
from harness.protocols import Evaluator, Gallery, Split
from harness.specs import EvaluatorSpec
from harness.testing.adversaries import attack
from harness.testing.subject import Subject
from harness.testing.violation import Violation


def check_evaluator(
    evaluator: str | Evaluator,
    *,
    params: Mapping[str, Any] | None = None,
    spec: EvaluatorSpec | None = None,
    catalog: Catalog | None = None,
) -> list[Violation]:
    """Hold an evaluator against all adversaries of `ADVERSARIES`.

    Args:
        evaluator: the name of an installed one, or a live one.
        params: parameters of an installed one, as registry.yaml would give them.
        spec: how a live one is declared; without it figures of unusual names are reported as undeclared. One
            that reads files is to be checked by its name: it is built with the folder of its gallery.
        catalog: where the name is looked up; what is installed by default.

    Returns:
        What is wrong, nothing if all is well.

    Raises:
        InputError: if there is no such evaluator, its parameters do not fit, or a live one comes with parameters.
        PluginError: if the plugin cannot be imported or its gallery is none.
    """
    with tempfile.TemporaryDirectory(prefix="harness-gallery-") as folder:
        if isinstance(evaluator, str):
            catalog = Catalog.load() if catalog is None else catalog
            entry = catalog.find("evaluator", evaluator)
            assert isinstance(entry.spec, EvaluatorSpec)
            spec = entry.spec
            gallery = make_gallery(spec, Path(folder))
            part = Part(name=evaluator, use=evaluator, revision=spec.revision, params=dict(params or {}))
            live = build(part, "evaluator", catalog, source=Path(folder) if gallery else None)
        else:
            if params:
                raise InputError("a live evaluator has its parameters already", hint="Leave out 'params'.")
            live = evaluator
            gallery = make_gallery(spec, Path(folder)) if spec else None
        subject = Subject(
            name=spec.name if spec else type(live).__name__,
            evaluator=live,
            metrics=spec.metrics if spec else None,
            scales=spec.scales if spec else {},
            gallery=gallery,
        )
        return list(dict.fromkeys(attack(subject)))


def make_gallery(spec: EvaluatorSpec, folder: Path) -> Gallery | None:
    """Make the gallery that an evaluator names, its files in an empty folder; ``None`` if it names none.

    Raises:
        PluginError: if the function cannot be imported, fails, or returns something else.
    """
    if not spec.gallery:
        return None
    module, _, attribute = spec.gallery.partition(":")
    name = f"gallery {spec.gallery} of evaluator {spec.name!r}"
    try:
        gallery = getattr(importlib.import_module(module), attribute)(folder)
    except Exception as error:
        raise PluginError(f"{name} failed: {type(error).__name__}: {error}") from error
    if not isinstance(gallery, Gallery) or not isinstance(gallery.split, Split) or not gallery.split.captions:
        raise PluginError(f"{name} returned {gallery!r:.80}, not a Gallery with captions")
    _check_relevance(name, gallery)
    return gallery


def _check_relevance(name: str, gallery: Gallery) -> None:
    import numpy as np

    if gallery.relevance is None:
        return
    relevance = np.asarray(gallery.relevance)
    expected = (len(gallery.split.records), len(gallery.split.captions))
    if relevance.shape != expected or not np.isfinite(relevance).all():
        raise PluginError(
            f"{name}: relevance is {relevance.shape}, not finite numbers of {expected} images and captions"
        )
