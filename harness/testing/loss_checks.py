"""Checks of a loss that is descended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.protocols import Reporting
from harness.testing.contract import Witness
from harness.testing.making import Made
from harness.testing.pairs import Pairs, ask, mine, mines, odd, ordinary, plant_pairs
from harness.testing.placing import devices, foreign
from harness.testing.stored import round_trip
from harness.testing.violation import Violation

if TYPE_CHECKING:
    from torch import Tensor

SEEDS = 32
"""Draws of a loss that draws, whose mean is compared."""
WIDE = 5.0
"""Half-width of that mean's interval in standard errors."""
FINE = 1e-5
"""Share of a value that rounding may change."""
STEPS = 60
"""Gradient steps in which the parameters of a loss fit a batch."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """A loss, made anew for every question.

    Attributes:
        dim: size of the embeddings that it takes.
        classes: number of training images.
    """

    made: Made
    dim: int
    classes: int

    def fresh(self, *, training: bool = True, seed: int = 0) -> Any:
        """Make the loss, in training or evaluation mode."""
        loss = self.made.make(seed)
        loss.train(training)
        return loss

    def pairs(self, how: Any, *, batch: int = 8, seed: int = 0) -> Pairs:
        """Plant a batch that it takes, see `plant_pairs`."""
        return plant_pairs(how, batch=min(batch, self.classes), classes=self.classes, dim=self.dim, seed=seed)


def scalar(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Ask for the value of ordinary and odd batches."""
    for samples, may_refuse in ((ordinary, False), (odd, True)):
        for sample, pairs in samples(subject.classes, subject.dim):
            see.sample = sample
            try:
                value = ask(subject.fresh(), pairs)
            except HarnessError:
                if not may_refuse:
                    raise
                continue
            if not hasattr(value, "shape") or tuple(value.shape) != ():
                yield see.violation("a tensor of shape ()", f"{_shape(value)}")
            elif not value.isfinite():
                yield see.violation("a finite number", f"{float(value.detach())}")
            elif not value.requires_grad:
                yield see.violation("a value with gradient", "one without: it is detached")
            else:
                value.backward()  # type: ignore[no-untyped-call]
                for path, rows in (("image", pairs.image), ("caption", pairs.text)):
                    if rows.grad is not None and not rows.grad.isfinite().all():
                        bad = int((~rows.grad.isfinite()).any(1).nonzero()[0])
                        yield see.violation(
                            "finite gradients", f"NaN or infinity in that of {path} embedding {bad}"
                        )


def gradient(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Ask for the gradient of both paths."""
    see.sample = "8 random pairs"
    pairs = subject.pairs("random")
    ask(subject.fresh(), pairs).backward()  # type: ignore[no-untyped-call]
    for path, rows in (("image", pairs.image), ("caption", pairs.text)):
        if rows.grad is None or not rows.grad.any():
            yield see.violation(
                f"a gradient to the {path} embeddings",
                "none" if rows.grad is None else "zero for all of them",
            )


def agreement(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Compare batches whose captions lie by their images with ones whose captions lie by another's."""
    for seed in range(3):
        see.sample = f"8 pairs of seed {seed}"
        agreeing, disagreeing = (
            _fitted(subject, subject.pairs(how, seed=seed)) for how in ("agreeing", "disagreeing")
        )
        if not agreeing < disagreeing - FINE * max(1.0, abs(disagreeing)):
            yield see.violation(
                f"less than {disagreeing:.6g}, its value where captions lie by other images",
                f"{agreeing:.6g} where each lies by its own",
            )


def order(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Put the pairs of a batch into another order."""
    import torch

    for how in ("random", "agreeing"):
        pairs = subject.pairs(how)
        loss = subject.fresh()
        if mines(loss) and len(mine(loss, pairs, min(loss.candidates, len(pairs.more)))) != len(pairs.group):
            return  # a part of the batch are its anchors, and the harness draws the order at random
        moved = pairs.ordered(torch.randperm(len(pairs.group), generator=torch.Generator().manual_seed(3)))
        for training in (False, True):
            see.sample = f"{len(pairs.group)} {how} pairs in {'training' if training else 'evaluation'} mode"
            left, right = (_mean(subject, given, training) for given in (pairs, moved))
            slack = FINE * max(1.0, abs(left[0])) + WIDE * (left[1] ** 2 + right[1] ** 2) ** 0.5
            if abs(left[0] - right[0]) > slack:
                yield see.violation(
                    f"{left[0]:.6g} in any order of the batch{_wide(left[1])}",
                    f"{right[0]:.6g} in another one",
                )


def numbers(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Ask in float32, float64 and bfloat16, and on another device."""
    import torch

    pairs = subject.pairs("random")
    for dtype in (torch.float32, torch.float64):
        see.sample = f"embeddings and parameters of {dtype}"
        value = ask(subject.fresh().to(dtype), pairs.to(dtype=dtype))
        if value.dtype != dtype:
            yield see.violation(f"a value of {dtype}", f"{value.dtype}")
    see.sample = "embeddings in bfloat16, as with --precision bf16-mixed"
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = ask(subject.fresh(), pairs.to(dtype=torch.bfloat16))
    if not value.is_floating_point() or not value.isfinite():
        yield see.violation("a finite number", f"{value}")
    for device in devices():
        see.sample = f"embeddings and parameters on device {device!r}"
        try:
            place = ask(subject.fresh().to(device), pairs.to(device=device)).device.type
        except (RuntimeError, NotImplementedError) as error:
            told = foreign(error, device)
            if told:
                yield see.violation("tensors that are made where the embeddings are", told)
            continue
        if place != torch.device(device).type:
            yield see.violation(f"a value on {device}", f"one on {place}")


def global_state(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Watch what it changes beside itself."""

    def steps() -> Iterator[str]:
        yield "made anew"
        loss = subject.fresh(seed=int(_drawn()))
        pairs = subject.pairs("random")
        yield f"{len(pairs.group)} random pairs"
        value = ask(loss, pairs, seed=int(_drawn()))
        yield f"the gradient of {len(pairs.group)} random pairs"
        value.backward()  # type: ignore[no-untyped-call]
        if isinstance(loss, Reporting):
            yield f"figures() of {len(pairs.group)} random pairs"
            loss.figures()

    yield from see.untouched(steps)


def inputs(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Compare what it was given with what is left of it."""
    import torch

    see.sample = "8 random pairs"
    pairs = subject.pairs("random")
    given = pairs.image.detach().clone(), pairs.text.detach().clone(), pairs.group.clone()
    loss = subject.fresh()
    if mines(loss):
        mine(loss, pairs, min(loss.candidates, len(pairs.more)))
        kept = pairs.image, pairs.text, pairs.group
    else:
        kept = given[0].clone(), given[1].clone(), pairs.group
        loss(*kept)
    for what, before, after in zip(
        ("image embeddings", "caption embeddings", "group"), given, kept, strict=True
    ):
        if not torch.equal(before, after):
            yield see.violation(f"the {what} that it was given as they were", "others: changed in place")


def repeatable(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Ask twice, from the same seed."""
    see.sample = "8 random pairs"
    pairs = subject.pairs("random")
    first, second = (float(ask(subject.fresh(), pairs, seed=4)) for _ in range(2))
    if first != second:
        yield see.violation(f"{first!r}, as the first time from the same seed", f"{second!r}")


def state(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Train it a little, store it, load it into another one."""
    import torch

    loss = subject.fresh()
    see.sample = "three steps of random pairs"
    for seed in range(3):
        _step(
            loss,
            subject.pairs("random", seed=seed),
            torch.optim.SGD(_own(loss), lr=0.1) if _own(loss) else None,
        )
    other = subject.fresh(seed=7)
    fault = round_trip(loss, other)
    if fault:
        yield see.violation("a state that can be stored and loaded", fault)
        return
    pairs = subject.pairs("random", seed=5)
    for training in (False, True):
        see.sample = f"8 random pairs in {'training' if training else 'evaluation'} mode"
        kept, restored = (float(ask(each.train(training), pairs)) for each in (loss, other))
        if kept != restored:
            yield see.violation(f"{kept!r}, as of the loss whose state was stored", f"{restored!r}")


def figures(subject: Subject, see: Witness) -> Iterator[Violation]:
    """Ask one that reports for its figures."""
    import torch

    loss = subject.fresh()
    if not isinstance(loss, Reporting):
        return
    see.sample = "8 random pairs"
    ask(loss, subject.pairs("random"))
    for name, value in loss.figures().items():
        see.sample = f"figure {name!r}"
        if not isinstance(name, str) or not isinstance(value, torch.Tensor) or value.numel() != 1:
            yield see.violation("a name, and a tensor of one number", _shape(value))
        elif value.requires_grad:
            yield see.violation(
                "a detached number", "one with gradient, which keeps the whole step in memory"
            )
        elif not value.isfinite():
            yield see.violation("a finite number", f"{float(value)}")


def _fitted(subject: Subject, pairs: Pairs) -> float:
    """Return its value once its own parameters have fitted a batch: a classifier knows no agreement before."""
    import torch

    loss = subject.fresh(training=False)
    own = _own(loss)
    if own:
        optimizer = torch.optim.Adam(own, lr=0.05)
        for _ in range(STEPS):
            _step(loss, pairs, optimizer)
    return sum(float(ask(loss, pairs, seed)) for seed in range(8)) / 8


def _step(loss: Any, pairs: Pairs, optimizer: Any) -> None:
    value = ask(loss, pairs)
    if optimizer is not None:
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _own(loss: Any) -> list[Tensor]:
    return [parameter for parameter in loss.parameters() if parameter.requires_grad]


def _mean(subject: Subject, pairs: Pairs, training: bool) -> tuple[float, float]:
    """Return its mean value over seeds and the mean's standard error, 0 of a loss that draws nothing."""
    import numpy as np

    values = [float(ask(subject.fresh(training=training), pairs, seed)) for seed in range(4)]
    if len(set(values)) == 1:
        return values[0], 0.0
    values += [float(ask(subject.fresh(training=training), pairs, seed)) for seed in range(4, SEEDS)]
    return float(np.mean(values)), float(np.std(values, ddof=1) / SEEDS**0.5)


def _wide(error: float) -> str:
    return f" ± {WIDE * error:.3g}" if error else ""


def _drawn() -> Tensor:
    import torch

    return torch.randint(2**31, ())


def _shape(value: object) -> str:
    shape = getattr(value, "shape", None)
    return f"{type(value).__name__}" if shape is None else f"one of shape {tuple(shape)}"
