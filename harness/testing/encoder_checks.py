"""Checks of an encoder, of images or captions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from harness.features import by_shape
from harness.protocols import Drafting, Informing
from harness.testing.contract import Witness
from harness.testing.making import Made
from harness.testing.samples import CAPTIONS, ODD_CAPTIONS, images, odd_images
from harness.testing.violation import Violation

if TYPE_CHECKING:
    from torch import Tensor

NEAR = 1e-4
"""Share of an embedding's length that another batch may change by rounding."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """An encoder, made anew for every question."""

    made: Made
    modality: Literal["image", "text"]
    dim: int

    def fresh(self, *, training: bool, seed: int = 0) -> Any:
        """Make the encoder, in training or evaluation mode."""
        encoder = self.made.make(seed)
        encoder.train(training)
        return encoder

    def raws(self) -> list[tuple[str, Any]]:
        """Return ordinary inputs by what they are."""
        if self.modality == "text":
            return [(f"caption {caption!r}", caption) for caption in CAPTIONS[::5]]
        return [(f"an image of {raw.shape[1]} x {raw.shape[0]} pixels", raw) for raw in images()]

    def odd(self) -> list[tuple[str, Any]]:
        """Return odd inputs by what they are."""
        return list(ODD_CAPTIONS.items() if self.modality == "text" else odd_images())

    def prepared(self, encoder: Any, *, training: bool, seed: int | None = 0) -> list[Tensor]:
        """Prepare the ordinary inputs, from a seed, or ``None`` as torch's random state stands."""
        import torch

        if seed is not None:
            torch.manual_seed(seed)
        # Of a caption there is one reading, in training, too.
        training = training and self.modality == "image"
        return [encoder.prepare(raw, training=training) for _, raw in self.raws()]


def embed(encoder: Any, prepared: Sequence[Tensor], seed: int | None = 0) -> Tensor:
    """Embed prepared inputs as the harness does, by shape where shapes differ: (n, dim)."""
    import torch

    if seed is not None:
        torch.manual_seed(seed)
    if len({tensor.shape for tensor in prepared}) == 1:
        whole: Tensor = encoder(torch.stack(list(prepared)))
        return whole
    return torch.stack(by_shape(encoder, prepared))


def shapes(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Look at what it prepares and at what it embeds."""
    import torch

    for training in (True, False):
        encoder = subject.fresh(training=training)
        mode = "training" if training else "evaluation"
        see.sample = f"{len(subject.raws())} {subject.modality}s in {mode} mode"
        prepared = subject.prepared(encoder, training=training)
        for (what, _), one in zip(subject.raws(), prepared, strict=True):
            if not isinstance(one, torch.Tensor):
                see.sample = what
                yield see.violation("a tensor from prepare()", f"{type(one).__name__}")
                return
        found = sorted({tuple(one.shape) for one in prepared})
        if len(found) > 1 and (training or subject.modality == "text"):
            yield see.violation("prepared tensors of one shape, which can be stacked", f"{found}")
            return
        yield from _embedding(subject, see, embed(encoder, prepared), len(prepared))
    yield from _odd(subject, see)
    if isinstance(encoder, Drafting):
        see.sample = f"draft() of {len(prepared)} {subject.modality}s"
        yield from _embedding(subject, see, encoder.draft(torch.stack(prepared)), len(prepared))
    if isinstance(encoder, Informing):
        see.sample = "report()"
        for name, count in encoder.report().items():
            if not isinstance(name, str) or type(count) is not int:
                yield see.violation("whole numbers by name", f"{name!r}: {count!r}")


def told(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Read what it tells the passport of its figures."""
    encoder = subject.fresh(training=False)
    see.sample = "its attributes"
    names = ["preprocessing"] if subject.modality == "image" else []
    names += ["test_view"] if hasattr(encoder, "test_view") else []
    for name in names:
        found = getattr(encoder, name, None)
        if not isinstance(found, str) or not found.strip():
            yield see.violation(
                f"a text as '{name}'", repr(found) if hasattr(encoder, name) else "no such attribute"
            )


def preparation(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Prepare the same input twice."""
    import numpy as np
    import torch

    encoder = subject.fresh(training=False)
    for what, raw in subject.raws():
        see.sample = what
        kept = np.array(raw)
        torch.manual_seed(1)
        first = encoder.prepare(raw, training=False)
        torch.manual_seed(2)
        if not torch.equal(first, encoder.prepare(raw, training=False)):
            yield see.violation("the same tensor whenever it is prepared for test", "another one")
        views = []
        for _ in range(2):
            torch.manual_seed(3)
            views.append(encoder.prepare(raw, training=True))
        if not torch.equal(*views):
            yield see.violation("the same view for training from the same seed of torch", "another one")
        if subject.modality == "text" and not torch.equal(first, views[0]):
            yield see.violation("one reading of a caption, in training, too", "another one in training")
        if not np.array_equal(kept, np.array(raw)):
            yield see.violation("the input as it was", "another one: changed in place")


def modes(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Switch between training and evaluation mode."""
    import torch

    encoder = subject.fresh(training=True)
    see.sample = "after train()"
    if not encoder.training:
        yield see.violation("training to be true", "false")
    encoder.eval()
    see.sample = "after eval()"
    left = [name or "the encoder" for name, module in encoder.named_modules() if module.training]
    if left:
        yield see.violation("all of it in evaluation mode", f"in training mode: {', '.join(left[:3])}")
    see.sample = f"{len(subject.raws())} {subject.modality}s in evaluation mode"
    prepared = subject.prepared(encoder, training=False)
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    if not torch.equal(embed(encoder, prepared, seed=1), embed(encoder, prepared, seed=2)):
        yield see.violation("the same embeddings from any seed", "others: something is dropped or drawn")
    moved = [name for name, tensor in encoder.state_dict().items() if not torch.equal(tensor, before[name])]
    if moved:
        yield see.violation("its state as it was", f"another one: {', '.join(moved[:3])}")


def determinism(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Make it twice from one seed, and train a step of either."""
    import torch

    first, second = (subject.fresh(training=True) for _ in range(2))
    see.sample = "made twice from one seed"
    states = first.state_dict(), second.state_dict()
    other = [
        name for name in states[0] if not torch.equal(states[0][name], states[1].get(name, torch.empty(0)))
    ]
    if other or states[0].keys() != states[1].keys():
        yield see.violation("the same weights", f"others: {', '.join(other[:3])}")
    see.sample = f"{len(subject.raws())} {subject.modality}s in training mode"
    left, right = (embed(each, subject.prepared(each, training=True), seed=2) for each in (first, second))
    if not torch.equal(left, right):
        yield see.violation("the same embeddings from the same seed", "others")


def batches(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Embed each input alone, two together, and all together."""
    encoder = subject.fresh(training=False)
    prepared = subject.prepared(encoder, training=False)
    see.sample = f"a batch of {len(prepared)}"
    whole = embed(encoder, prepared)
    for size in (1, 2):
        for start in range(0, len(prepared), size):
            see.sample = f"a batch of {len(prepared[start : start + size])}"
            part = embed(encoder, prepared[start : start + size])
            wrong = list(_embedding(subject, see, part, len(prepared[start : start + size])))
            if wrong:
                yield from wrong
                return
            for row, embedding in enumerate(part, start):
                difference = (embedding - whole[row]).norm().item()
                if not difference <= NEAR * max(whole[row].norm().item(), NEAR):
                    see.sample = f"{subject.raws()[row][0]} in a batch of {len(part)}"
                    yield see.violation(
                        f"its embedding in a batch of {len(prepared)}",
                        f"one that is {difference:.3g} away from it",
                    )
                    return


def gradient(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Train a step of the smallest batch that the harness makes, two."""
    import torch

    encoder = subject.fresh(training=True)
    see.sample = f"2 {subject.modality}s in training mode"
    trained = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    output = embed(encoder, subject.prepared(encoder, training=True)[:2])
    yield from _embedding(subject, see, output, 2)
    if not trained:
        return
    if not output.requires_grad:
        yield see.violation(
            "embeddings with gradient, as it has parameters", "ones without: they are detached"
        )
        return
    output = embed(encoder, subject.prepared(encoder, training=True))
    # No plain sum: that of a batch normalisation's outputs never changes.
    (output * torch.randn(output.shape)).sum().backward()  # type: ignore[no-untyped-call]
    see.sample = f"{len(output)} {subject.modality}s in training mode"
    if not any(parameter.grad is not None and parameter.grad.any() for parameter in trained):
        yield see.violation("a gradient to some of its parameters", "none")


def _odd(subject: Subject, see: Witness) -> Iterator[Violation]:
    encoder = subject.fresh(training=False)
    for what, raw in subject.odd():
        see.sample = what
        prepared = encoder.prepare(raw, training=False)
        yield from _embedding(subject, see, embed(encoder, [prepared, prepared]), 2)


def _embedding(subject: Subject, see: Witness, output: Any, count: int) -> Iterator[Violation]:
    expected = (count, subject.dim)
    if tuple(getattr(output, "shape", ())) != expected:
        shape = tuple(output.shape) if hasattr(output, "shape") else type(output).__name__
        yield see.violation(f"embeddings of shape (batch, dim), {expected}", f"{shape}")
    elif not output.is_floating_point():
        yield see.violation("floating-point embeddings", f"{output.dtype}")
    elif not output.isfinite().all():
        yield see.violation(
            "finite embeddings", f"NaN or infinity in row {int((~output.isfinite()).any(1).nonzero()[0])}"
        )
