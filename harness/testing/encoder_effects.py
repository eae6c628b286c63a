"""Checks of what an encoder keeps, and of what it changes beside itself."""

from __future__ import annotations

from collections.abc import Iterator

from harness.features import by_shape
from harness.protocols import CachedEncoder, Drafting
from harness.testing.contract import Witness
from harness.testing.encoder_checks import Subject, embed
from harness.testing.stored import round_trip
from harness.testing.violation import Violation


def state(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Store it, and load it into another one."""
    import torch

    encoder = subject.fresh(training=True)
    see.sample = f"{len(subject.raws())} {subject.modality}s in training mode"
    # Moves the statistics of batch normalisation.
    embed(encoder, subject.prepared(encoder, training=True))
    other = subject.fresh(training=False, seed=7)
    fault = round_trip(encoder, other)
    if fault:
        yield see.violation("a state that can be stored and loaded", fault)
        return
    encoder.eval()
    other.eval()
    prepared = subject.prepared(encoder, training=False)
    left, right = embed(encoder, prepared), embed(other, subject.prepared(other, training=False))
    for row, (one, two) in enumerate(zip(left, right, strict=True)):
        if not torch.equal(one, two):
            see.sample = subject.raws()[row][0]
            yield see.violation(
                "its embedding, as of the encoder whose state was stored",
                f"one {(one - two).norm():.3g} away from it",
            )
            return


def global_state(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Watch what it changes beside itself."""
    import torch

    def steps() -> Iterator[str]:
        yield "made anew"
        encoder = subject.fresh(training=True, seed=int(torch.randint(2**31, ())))
        many = f"{len(subject.raws())} {subject.modality}s"
        for training in (True, False):
            encoder.train(training)
            mode = "training" if training else "evaluation"
            yield f"prepare() of {many} in {mode} mode"
            prepared = subject.prepared(encoder, training=training, seed=None)
            yield f"{many} in {mode} mode"
            output = embed(encoder, prepared, seed=None)
            if output.requires_grad:
                yield f"the gradient of {many} in {mode} mode"
                output.sum().backward()  # type: ignore[no-untyped-call]
        if isinstance(encoder, Drafting):
            yield f"draft() of {many}"
            encoder.draft(torch.stack(prepared))
        part = encoder.frozen_part(("*",)) if isinstance(encoder, CachedEncoder) else None
        if part is not None:
            yield f"view() and compute() of {many}"
            by_shape(part.compute, [part.view(raw, 1) for _, raw in subject.raws()])

    yield from see.untouched(steps)
