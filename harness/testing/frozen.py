"""Checks of an encoder whose frozen part is run once and cached."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.protocols import CachedEncoder, FrozenPart, SeparateTest
from harness.testing.contract import Witness
from harness.testing.encoder_checks import NEAR, Subject, embed
from harness.testing.violation import Violation


def frozen_part(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Run the longest frozen part of one that has any, and the rest on what it computes."""
    import torch

    encoder = subject.fresh(training=False)
    part = encoder.frozen_part(("*",)) if isinstance(encoder, CachedEncoder) else None
    if part is None:
        return
    see.sample = "frozen_part(('*',))"
    if not isinstance(part, FrozenPart):
        yield see.violation("key, shape, view() and compute(), or None", f"{type(part).__name__}")
        return
    if not isinstance(part.key, str) or not part.key:
        yield see.violation("a text that names all that changes its output as 'key'", f"{part.key!r}")
    yield from _views(subject, see, part)
    at_test: Any = part.test if isinstance(part, SeparateTest) else part
    for each, view in ((part, 1), *([(at_test, 0)] if at_test is not None else [])):
        yield from _output(subject, see, each, view)
    other = subject.fresh(training=False, seed=7).frozen_part(("*",))
    see.sample = "parts of encoders of two seeds"
    first, second = (_features(subject, each, 1) for each in (part, other))
    if other.key == part.key and not all(map(torch.equal, first, second)):
        yield see.violation("another 'key' where it computes something else", "the same")
    if at_test is None:
        return
    prepared = subject.prepared(encoder, training=False)
    whole, cached = embed(encoder, prepared), embed(encoder.head, _features(subject, at_test, 0))
    for (what, _), one, two in zip(subject.raws(), whole, cached, strict=True):
        difference = (one - two).norm().item()
        if not difference <= 10 * NEAR * max(one.norm().item(), NEAR):
            see.sample = what
            yield see.violation(
                "head(compute(view)) to be what the encoder makes of it",
                f"an embedding {difference:.3g} away from it",
            )
            return


def _features(subject: Subject, part: Any, view: int) -> list[Any]:
    from harness.features import by_shape

    return by_shape(part.compute, [part.view(raw, view) for _, raw in subject.raws()])


def _views(subject: Subject, see: Witness, part: Any) -> Iterator[Violation]:
    import torch

    for what, raw in subject.raws():
        for index in (0, 1):
            see.sample = f"view {index} of {what}"
            views = []
            for seed in (1, 2):
                torch.manual_seed(seed)
                views.append(part.view(raw, index))
            if not torch.equal(*views):
                yield see.violation(
                    "the same view whenever it is taken, seeded by its index alone", "another one"
                )


def _output(subject: Subject, see: Witness, part: Any, view: int) -> Iterator[Violation]:
    for (what, _), feature in zip(subject.raws(), _features(subject, part, view), strict=True):
        see.sample = f"view {view} of {what}"
        shape, declared = tuple(feature.shape), tuple(part.shape)
        fits = len(shape) == len(declared) and all(w in (-1, s) for s, w in zip(shape, declared, strict=True))
        if not fits:
            yield see.violation(f"features of its shape, {declared}", f"{shape}")
        elif not feature.isfinite().all():
            yield see.violation("finite features", "NaN or infinity")
        elif feature.requires_grad:
            yield see.violation("features without gradient", "ones with gradient")
        elif feature.is_inference():
            yield see.violation("ordinary tensors, which a head may be trained on", "ones of inference mode")
