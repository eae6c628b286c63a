"""What an encoder does, and the frozen part of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor


class Encoder(Protocol):
    """Maps images or captions to embeddings. A `torch.nn.Module`.

    What it does with an input at test time is one view of an image, one reading of a caption. An encoder that sums
    over several says so in an attribute `test_view`, a `str`: it is part of the passport of its figures. So is
    `preprocessing`, a `str` that every image encoder has: what of an image it sees at test time, and at which size.
    Without it, its figures share a passport with no other component's.

    An image encoder that reads the same pixels epoch after epoch may ask, in an attribute `stored_size`, an `int` or
    ``None``, that they are decoded once: `prepare` then gets every image with a shorter side of at most so many
    pixels, scaled down by Pillow's bicubic filter, never enlarged. A frozen part gets images as they are.
    """

    def prepare(self, raw: Any, *, training: bool) -> Tensor:
        """Turn one raw input into a tensor that can be stacked into a batch.

        An image encoder gets (height, width, 3) uint8 and may augment where `training`, with torch's global random
        state; at test time images may come out in different shapes, and are then embedded by shape. A text encoder
        gets a `str` and is called once a caption: it must be deterministic; what is random in training belongs into
        `forward`, on the batch.
        """
        ...

    def __call__(self, batch: Tensor) -> Tensor:
        """Embed a batch of prepared inputs: (batch, ...) -> (batch, dim), not normalised."""
        ...


@runtime_checkable
class FrozenPart(Protocol):
    """The first part of an encoder that training does not change: it is run once and its output cached.

    Attributes:
        key: names everything that changes the output (architecture, hash of the weights, preprocessing, revision).
        shape: shape of the output of one input; a first number of -1 says that it differs from input to input.
    """

    key: str
    shape: tuple[int, ...]

    def view(self, raw: Any, index: int) -> Tensor:
        """Return the tensor of one view of a raw input: 0 is the test view, others augment, seeded by `index`."""
        ...

    def compute(self, batch: Tensor) -> Tensor:
        """Map a batch of views to features, (batch, *shape), in evaluation mode and without gradient."""
        ...


@runtime_checkable
class SeparateTest(Protocol):
    """A frozen part that val and test images do not go through, since their test view is another than view 0.

    Attributes:
        test: the part that they go through, whose views may differ in shape, or ``None``: the whole encoder reads
            their pixels.
    """

    test: FrozenPart | None


@runtime_checkable
class CachedEncoder(Protocol):
    """An encoder whose frozen part can be cached: ``encoder(batch) == encoder.head(part.compute(batch))``."""

    def frozen_part(self, frozen: Sequence[str]) -> FrozenPart | None:
        """Return the part below the first trained parameter, or ``None``.

        Args:
            frozen: glob patterns over parameter names, such as ``backbone.*``, that the stage does not train.
        """
        ...

    def head(self, features: Tensor) -> Tensor:
        """Embed cached features: (batch, *shape) -> (batch, dim)."""
        ...


@runtime_checkable
class Drafting(Protocol):
    """A text encoder whose embedding in evaluation mode takes more than choosing among captions is worth.

    The candidates of a loss that mines are embedded so, in evaluation mode and without gradient; val and test never.
    """

    def draft(self, batch: Tensor) -> Tensor:
        """Embed a batch in one pass, ending in what the training embedding ends in: (batch, ...) -> (batch, dim).

        A loss compares it with image embeddings of training mode. Where a call in evaluation mode is one such pass
        itself, both are equal to the bit.
        """
        ...


@runtime_checkable
class Informing(Protocol):
    """An encoder that counts what it met while preparing inputs; the result keeps it as a note."""

    def report(self) -> Mapping[str, int]:
        """Return named counts, such as of captions without a known word."""
        ...
