"""What a loss does: by gradient steps, with negatives of its own, or in closed form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor


class Loss(Protocol):
    """A training objective. A `torch.nn.Module`; its parameters are trained with the encoders'."""

    def __call__(self, image: Tensor, text: Tensor, group: Tensor) -> Tensor:
        """Compute the loss of a batch of pairs.

        Args:
            image: (batch, dim) image embeddings, not normalised.
            text: (batch, dim) embeddings of one caption of each image.
            group: (batch,) int64 in 0..classes-1: the training image of the pair.

        Returns:
            A finite scalar with gradient to both paths.
        """
        ...


@runtime_checkable
class Reporting(Protocol):
    """A loss that tells its parts; the history keeps their mean over each epoch."""

    def figures(self) -> Mapping[str, Tensor]:
        """Return named detached scalars of the last call, such as the cross-entropy of either path."""
        ...


@runtime_checkable
class Mining(Protocol):
    """A loss that takes captions from beyond the batch as negatives.

    In each step the harness draws `candidates` captions of the train split at random, the same for the whole batch,
    embeds them in evaluation mode without gradient (with `Drafting.draft` where the encoder has it), and asks `mine`
    which to take. Those are embedded again in the
    step's own pass, with gradient, and come as a fourth argument: ``loss(image, text, group, mined)``. With 0
    candidates the loss is called as any other.

    Attributes:
        candidates: captions that are drawn for a step, 0 or more; at most those of the train split.
    """

    candidates: int

    def mine(self, image: Tensor, group: Tensor, text: Tensor, text_group: Tensor) -> Tensor:
        """Choose among the candidates.

        Args:
            image: (batch, dim) image embeddings of the batch, detached.
            group: (batch,) int64: the training image of each pair.
            text: (candidates, dim) embeddings of the candidates.
            text_group: (candidates,) int64: the training image of each candidate.

        Returns:
            (k,) int64 rows of `text`; how many, and for which pair each is, is the loss's own affair.
        """
        ...


class TrainPairs(Protocol):
    """The train split as a closed-form loss sees it."""

    caption_image: Tensor
    """(m,) int64: image of each caption."""

    def images(self) -> Iterator[Tensor]:
        """Yield batches of what the image encoder's `head` takes (cached features), all `n` in order."""
        ...

    def texts(self) -> Iterator[Tensor]:
        """Yield batches of prepared captions, all `m` in order."""
        ...


@runtime_checkable
class ClosedFormLoss(Protocol):
    """An objective with a solution in closed form: called once, in place of gradient steps."""

    def fit(self, image: Any, text: Any, train: TrainPairs) -> Mapping[str, float]:
        """Set the parameters of both encoders; return figures for the history.

        Raises:
            TrainingError: if the encoders do not offer what the solution needs.
        """
        ...
