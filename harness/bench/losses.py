"""`harness bench loss`: instance loss with as many classes as Flickr30k and MSCOCO have images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.bench.contest import Contender, Rounds, contest
from harness.bench.origin import load_average, origin_of
from harness.bench.report import Fact, Group, Ratio, Report
from harness.build import build
from harness.errors import RunError
from harness.execute.settings import settle
from harness.inputs import derive
from harness.plan import Part

if TYPE_CHECKING:
    from torch import Tensor

CLASSES, BATCHES, DIM = (29_783, 113_287), (32, 256), 2048
OURS, TWO, SAMPLED = (
    "harness: one product of both paths",
    "two products",
    "harness: a tenth of the classes sampled",
)
FUSED, CHUNKS, CHUNK = (
    "torch's linear_cross_entropy",
    "torch's linear_cross_entropy, default chunks",
    "torch's linear_cross_entropy, one chunk",
)
EXACT = (OURS, TWO, FUSED, CHUNKS, CHUNK)
SAMPLE = 0.1
PACKAGES = ("torch", "retrieval-harness-dualpath")
FAR = 1e-3
"""What gradients of exact ways may lie apart from float64's, as part of the largest."""
ABOUT = (
    "Forward and backward pass of the instance loss, both paths through one classifier, without dropout; no optimiser. "
    "Two products classify one path after the other. torch's linear_cross_entropy, over the rows of both paths, is "
    "its plain way without options, its default chunks of rows, and all rows as one chunk, which computes gradients in "
    "the forward pass. The harness alone counts accuracies as well, as every step does. The sample is another loss, "
    "an option of the registry (`sampled`); all others are exact, or nothing is reported: their loss, and the "
    "gradients of embeddings and of the target classes, are held against float64. Extra memory is what a call takes "
    "beyond the weights: logits, what is derived of them, and all gradients, that of the classifier being as large as "
    "the classifier itself."
)


@dataclass(frozen=True, kw_only=True)
class LossBench(Rounds):
    """What to measure.

    Attributes:
        classes, batches: every pair of them is measured.
        dim: size of the embedding.
    """

    classes: Sequence[int] = CLASSES
    batches: Sequence[int] = BATCHES
    dim: int = DIM


@dataclass(frozen=True, eq=False, kw_only=True)
class Found:
    """What a pass gave.

    Attributes:
        inputs: (2 batch, dim) gradient of the embeddings, images first.
        targets: (2 batch, dim) gradient of the classifier's rows of the targets.
    """

    loss: float
    inputs: Tensor
    targets: Tensor


def measure(bench: LossBench, told: Callable[[str], None]) -> Report:
    """Time every way at every shape.

    Raises:
        RunError: if an exact way is not.
    """
    load = load_average()
    settle(bench.workspace)
    groups = []
    for classes in bench.classes:
        for batch in bench.batches:
            told(f"{classes:,} classes, batches of {batch}")
            groups.append(_Shape(bench, classes, batch).group())
    accelerator = None if bench.workspace.device == "cpu" else "cuda"
    return Report(
        benchmark="loss",
        section="-".join(part for part in ("loss", accelerator) if part),
        heading=f"Instance loss at scale, {bench.workspace.device.partition(':')[0]}",
        about=ABOUT,
        groups=tuple(groups),
        origin=origin_of(bench.workspace, PACKAGES, load),
    )


class _Shape:
    def __init__(self, bench: LossBench, classes: int, batch: int) -> None:
        import torch

        self.bench, self.classes, self.batch = bench, classes, batch
        self.title = f"{classes:,} classes, {batch} pairs, {bench.dim} numbers"
        device = bench.workspace.device
        draws = torch.Generator().manual_seed(derive(0, "bench", "loss", classes, batch))
        self.rows = torch.randn(2 * batch, bench.dim, generator=draws).to(device).requires_grad_()
        group = torch.randint(0, classes, (batch,), generator=draws)
        self.group_ids, self.target = group.to(device), torch.cat([group, group]).to(device)
        self.ours, self.sampled = self._loss(), self._loss(sampled=SAMPLE)
        # One classifier for all: what is compared is the way.
        self.sampled.weight, self.sampled.bias = self.ours.weight, self.ours.bias

    def _loss(self, **params: float) -> Any:
        import torch

        part = Part(name="instance", use="instance", revision=1, params={"dropout": 0.0, **params}, title="")
        torch.manual_seed(0)
        loss = build(part, "loss", self.bench.workspace.catalog, dim=self.bench.dim, classes=self.classes)
        return loss.to(self.bench.workspace.device).train()

    def group(self) -> Group:
        """Time all ways that this version of torch has, each with its error."""
        ways: dict[str, Callable[[Tensor], Tensor]] = {
            OURS: lambda rows: self.ours(*rows.chunk(2), self.group_ids),
            TWO: self._two,
            **self._torch(),
            SAMPLED: lambda rows: self.sampled(*rows.chunk(2), self.group_ids),
        }
        ratios = [
            *[Ratio(over=name, under=OURS, least=1.0) for name in ways if name in EXACT[1:]],
            Ratio(over=OURS, under=SAMPLED),
        ]
        reference = self._reference()
        return contest(
            self.title,
            [self._contender(name, way) for name, way in ways.items()],
            self.bench,
            ratios=ratios,
            check=lambda found: self._check(found, reference),
            facts=lambda found: [Fact(name="error of the gradient", value=self._errors(found, reference))],
        )

    def _contender(self, name: str, way: Callable[[Tensor], Tensor]) -> Contender:
        def call() -> Found:
            self._drop()
            value = way(self.rows)
            value.backward()  # type: ignore[no-untyped-call]
            assert self.rows.grad is not None
            weights = self.ours.weight.grad[self.target]
            return Found(loss=float(value.detach()), inputs=self.rows.grad.clone(), targets=weights)

        # Before a call, too: gradients of the one before it would hide what it takes for its own.
        return Contender(name=name, call=call, ready=self._drop)

    def _drop(self) -> None:
        for tensor in (self.ours.weight, self.ours.bias, self.rows):
            if tensor is not None:
                tensor.grad = None

    def _two(self, rows: Tensor) -> Tensor:
        import torch.nn.functional as F  # noqa: N812

        halves = [F.linear(half, self.ours.weight, self.ours.bias) for half in rows.chunk(2)]
        first, second = (F.cross_entropy(logits, self.group_ids) for logits in halves)
        return first + second

    def _torch(self) -> dict[str, Callable[[Tensor], Tensor]]:
        """Return the ways of linear_cross_entropy, as far as this version of torch has it."""
        import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation uses
        from torch import nn

        if not hasattr(F, "linear_cross_entropy"):
            return {}
        options = {
            FUSED: None,
            CHUNKS: nn.LinearCrossEntropyOptions(),
            CHUNK: nn.LinearCrossEntropyOptions(batch_chunk_size=len(self.rows), chunking_method=None),
        }

        def way(chosen: Any) -> Callable[[Tensor], Tensor]:
            # The mean over the rows of both paths is half of what the two terms sum to.
            return lambda rows: (
                2
                * F.linear_cross_entropy(
                    rows, self.ours.weight, self.target, linear_bias=self.ours.bias, options=chosen
                )
            )

        return {name: way(chosen) for name, chosen in options.items()}

    def _reference(self) -> Found:
        """Return the loss and its gradients in float64, by formulae: (softmax - target) times the other factor."""
        import torch

        weight, rows = self.ours.weight.detach(), self.rows.detach().double()
        logits = torch.cat([rows @ part.double().T for part in weight.split(8192)], dim=1)
        if self.ours.bias is not None:
            logits += self.ours.bias.detach().double()
        every = torch.arange(len(rows), device=rows.device)
        truth = logits[every, self.target]
        loss = float((logits.logsumexp(1) - truth).view(2, -1).mean(1).sum())
        share = logits.softmax(1)
        share[every, self.target] -= 1
        share /= self.batch
        inputs = torch.zeros_like(rows)
        for start, part in zip(range(0, self.classes, 8192), weight.split(8192), strict=True):
            inputs += share[:, start : start + 8192] @ part.double()
        return Found(loss=loss, inputs=inputs, targets=share[:, self.target].T @ rows)

    def _check(self, found: Mapping[str, Found], reference: Found) -> None:
        for name in EXACT:
            if name in found and not max(_error(found[name], reference)) <= FAR:
                loss, inputs, targets = _error(found[name], reference)
                raise RunError(
                    f"{self.title}: {name!r} lies apart from float64: loss {loss:.2g}, gradients {inputs:.2g} and "
                    f"{targets:.2g} of the largest"
                )

    def _errors(self, found: Mapping[str, Found], reference: Found) -> str:
        return ", ".join(
            f"{name} {max(_error(found[name], reference)[1:]):.1e}" for name in EXACT if name in found
        )


def _error(found: Found, reference: Found) -> tuple[float, float, float]:
    """Return how far loss and gradients lie from the reference, as parts of its largest."""

    def far(a: Tensor, b: Tensor) -> float:
        return float((a.double() - b).abs().max() / b.abs().max())

    return (
        abs(found.loss - reference.loss) / abs(reference.loss),
        far(found.inputs, reference.inputs),
        far(found.targets, reference.targets),
    )
