"""The gradient of a batch, whole or in parts whose activations are never in memory together.

In parts it is computed by gradient caching (Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory
Limited Setup", section 3.2): each part is embedded without a graph; the losses are computed over the embeddings of
the whole batch, and with them the gradient of their own parameters and of every embedding; then each part is embedded
again, now with a graph, and its embeddings' gradient goes back through it. That is the gradient of the whole batch,
with all its negatives, for about a third more operations, and not the mean of losses over parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import TrainingError
from harness.memory import is_memory, release
from harness.step import Batch, Step

if TYPE_CHECKING:
    from torch import Tensor, nn

    Terms = dict[str, Tensor]

LEAST = 2
"""Rows of a part at least: batch statistics of one row do not exist."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """In how many parts a batch is embedded.

    Args:
        count: of parts, as equal as can be.
        halve: double it wherever memory runs out, as far as parts have two rows.
    """

    count: int = 1
    halve: bool = False


class Accumulation:
    """Computes the gradient of a batch.

    Each part draws its dropout anew, and the same in both of its passes; batch normalisation sees a part at a time,
    with running statistics that move once a part. Without either, embeddings and losses are those of the whole batch,
    up to rounding.

    Args:
        terms: computes the terms of a whole batch; `Step.terms`, or what wraps it.
        parts: how many there are at first; no more than a batch has twos.
        batch: images of a whole batch.
        note: is told when memory ran out and parts are halved.

    Raises:
        TrainingError: if parts are asked for where they do not go: beside other processes, or compiled, where the two
            passes over a part may draw other dropout.
    """

    def __init__(
        self,
        step: Step,
        terms: Callable[..., Terms],
        parts: Parts,
        batch: int,
        note: Callable[[str], None],
    ) -> None:
        if parts != Parts() and (step.team.size > 1 or step.numerics.compile):
            raise TrainingError(
                "a batch is embedded in parts on one device only, and not compiled",
                hint="Leave out --accumulate, --devices or --compile.",
            )
        self.step, self.terms, self.note = step, terms, note
        self.count, self.halve = min(parts.count, max(batch // LEAST, 1)), parts.halve

    def go_on(self, count: int) -> None:
        """Take over the number of parts that memory asked for before a training was resumed."""
        if self.halve:
            self.count = max(self.count, count)

    def backward(self, batch: Batch, epoch: int, step: int) -> tuple[Terms, Tensor]:
        """Add the gradient of a batch to the parameters.

        Args:
            epoch, step: from 1 and from 0.

        Returns:
            The value of each loss, and their weighted sum.

        Raises:
            TrainingError: if a loss mines what is no row of its candidates.
        """
        most = max(len(batch.groups) // LEAST, 1)
        while True:
            count = min(self.count, most)
            before = _Before(self.step.model.root, batch) if self.halve and count < most else None
            try:
                return self._backward(batch, epoch, step, count)
            except (RuntimeError, MemoryError) as error:
                if before is None or not is_memory(error):
                    raise
            # Out of the handler, which holds the frames that hold the activations.
            before.restore(self.step)
            release()
            self.count = min(2 * count, most)
            self.note(
                f"out of memory with {-(-len(batch.groups) // count)} images at a time, in epoch {epoch}, "
                f"step {step + 1}: from now on each batch is embedded in {self.count} parts"
            )

    def _backward(self, batch: Batch, epoch: int, step: int, count: int) -> tuple[Terms, Tensor]:
        if count == 1:
            terms = self.terms(batch, epoch, step)
            total = self._total(terms)
            total.backward()  # type: ignore[no-untyped-call]
            return terms, total
        return self._in_parts(batch, epoch, step, count)

    def _total(self, terms: Mapping[str, Tensor]) -> Tensor:
        import torch

        weights = self.step.model.weights
        return torch.stack([weights[name] * term for name, term in terms.items()]).sum()

    def _in_parts(self, batch: Batch, epoch: int, step: int, count: int) -> tuple[Terms, Tensor]:
        import torch

        one, device = self.step, str(batch.texts.device)
        image = _Path(one, one.model.image, one.embed_image, batch.images, count, device)
        with one.numerics.cast(device):
            mined = one.mined(image.embedded.detach(), batch.groups, epoch, step, parts=count)
        text = _Path(
            one, one.model.text, one.embed_text, torch.cat([batch.texts, *mined.values()]), count, device
        )
        with one.numerics.cast(device):
            terms = one.losses(image.embedded, text.embedded, mined, batch.groups)
        total = self._total(terms)
        total.backward()  # type: ignore[no-untyped-call]
        # What is drawn next goes on from here: the second pass draws what was drawn before.
        random = _Random(device)
        for path in (image, text):
            path.backward()
        random.restore()
        return terms, total


class _Path:
    """One path over a batch: its embeddings without a graph, and what it takes to send their gradient back."""

    def __init__(
        self,
        step: Step,
        encoder: nn.Module,
        embed: Callable[[Tensor], Tensor],
        rows: Tensor,
        count: int,
        device: str,
    ) -> None:
        import torch

        self.step, self.embed, self.device = step, embed, device
        self.parts = torch.tensor_split(rows, count)
        self.trained = any(parameter.requires_grad for parameter in encoder.parameters())
        self.states: list[_Random] = []
        self.buffers, embedded = _Buffers(encoder), []
        # Weights that are cast here have no gradient: no later pass must find them.
        with torch.no_grad(), step.numerics.cast(device, keep=False):
            for part in self.parts:
                self.states.append(_Random(device))
                embedded.append(embed(part))
        self.embedded = torch.cat(embedded).requires_grad_()

    def backward(self) -> None:
        """Send the gradient of the embeddings back, a part at a time."""
        import torch

        if not self.trained or self.embedded.grad is None:
            return
        self.buffers.restore()  # this pass moves batch statistics, and they move once
        for part, state, gradient in zip(
            self.parts, self.states, torch.tensor_split(self.embedded.grad, len(self.parts)), strict=True
        ):
            state.restore()
            with self.step.numerics.cast(self.device):
                again = self.embed(part)
            again.backward(gradient)  # type: ignore[no-untyped-call]


class _Random:
    """The state of torch's generators, of the CPU and of a device."""

    def __init__(self, device: str) -> None:
        import torch

        self.device = device
        self.state = torch.get_rng_state()
        self.cuda = torch.cuda.get_rng_state(device) if device.startswith("cuda") else None

    def restore(self) -> None:
        """Draw again what was drawn since."""
        import torch

        torch.set_rng_state(self.state)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda, self.device)


class _Buffers:
    """A copy of a module's buffers, such as batch statistics."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.copies: dict[str, Tensor] = {name: b.detach().clone() for name, b in module.named_buffers()}

    def restore(self) -> None:
        """Set them to what they were."""
        import torch

        now: dict[str, Any] = dict(self.module.named_buffers())
        with torch.no_grad():
            for name, copy in self.copies.items():
                now[name].copy_(copy)


class _Before:
    """What a step changes before its gradient is complete."""

    def __init__(self, root: nn.Module, batch: Batch) -> None:
        self.root, self.buffers, self.random = root, _Buffers(root), _Random(str(batch.texts.device))

    def restore(self, step: Step) -> None:
        """Make it so that the step can be taken again."""
        self.buffers.restore()
        self.random.restore()
        step.doubts()
        for parameter in self.root.parameters():
            parameter.grad = None
