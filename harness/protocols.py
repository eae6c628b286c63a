"""What the built objects do, with shapes. `n` images, `m` captions (m is about 5 n), `dim` the embedding size.

Components are plain classes; encoders and losses are also `torch.nn.Module`s. Their keyword-only constructor
parameters are their schema. A component also receives those harness values whose names stand among its parameters:

    dim             int: size of the common embedding
    classes         int: number of training images, each with its captions a class of its own
    captions        Sequence[str]: the captions of the train split, and of no other
    seed            int: the run's seed
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    Pixels = npt.NDArray[np.uint8]  # (height, width, 3), RGB
    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float32]

SPLITS = ("train", "val", "test")
Policy = Literal["pessimistic", "expected"]


# ---------------------------------------------------------------------------------------------- datasets
@dataclass(frozen=True, kw_only=True)
class Record:
    """One image with its captions.

    Args:
        image: id of the image, unique over the dataset.
        split: ``train``, ``val`` or ``test``.
        captions: its captions, in the order of the source; a caption's id is ``<image>#<position>``.
        file: path of the image below the source folder, with ``/``; empty for a generated image.
        tags: what evaluators may want to know of the image, such as its near-twin.
    """

    image: str
    split: str
    captions: tuple[str, ...]
    file: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Annotations:
    """All records of a dataset in a stable order, and notes on what was left out or decided, for people."""

    records: tuple[Record, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Split:
    """The records of one split, flat.

    `captions[j]` belongs to `records[caption_image[j]]`; captions of one image stand together and in order.
    """

    name: str
    records: tuple[Record, ...]

    @cached_property
    def captions(self) -> tuple[str, ...]:
        """All captions, `m` of them."""
        return tuple(caption for record in self.records for caption in record.captions)

    @cached_property
    def caption_image(self) -> Ints:
        """(m,): the image of each caption, as a position in `records`."""
        import numpy as np

        counts = [len(record.captions) for record in self.records]
        return np.repeat(np.arange(len(counts), dtype=np.int64), counts)

    @cached_property
    def image_ids(self) -> tuple[str, ...]:
        """Ids of the images, `n` of them."""
        return tuple(record.image for record in self.records)

    @cached_property
    def caption_ids(self) -> tuple[str, ...]:
        """Ids of the captions, `m` of them: ``<image>#<position>``."""
        return tuple(f"{r.image}#{k}" for r in self.records for k in range(len(r.captions)))


class Dataset(Protocol):
    """Reads the annotations of a dataset. Its images are read, safely, by the harness."""

    def annotations(self, source: Path | None) -> Annotations:
        """Read every record.

        Args:
            source: folder that the user gave; ``None`` for an embedded dataset.

        Raises:
            DataError: lists all problems of the annotation files at once.
        """
        ...


class GeneratedDataset(Dataset, Protocol):
    """An embedded dataset also draws its images."""

    def pixels(self, record: Record) -> Pixels:
        """Draw one image, (height, width, 3) uint8 RGB, the same at every call."""
        ...


# ---------------------------------------------------------------------------------------------- encoders
class Encoder(Protocol):
    """Maps images or captions to embeddings. A `torch.nn.Module`.

    What it does with an input at test time is one view of an image, one reading of a caption. An encoder that sums
    over several says so in an attribute `test_view`, a `str`: it is part of the passport of its figures.
    """

    def prepare(self, raw: Any, *, training: bool) -> Tensor:
        """Turn one raw input into a tensor that can be stacked into a batch.

        An image encoder gets (height, width, 3) uint8 and may augment where `training`, with torch's global random
        state. A text encoder gets a `str` and is called once a caption: it must be deterministic; what is random in
        training belongs into `forward`, on the batch.
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
        shape: shape of the output of one input.
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
class Informing(Protocol):
    """An encoder that counts what it met while preparing inputs; the result keeps it as a note."""

    def report(self) -> Mapping[str, int]:
        """Return named counts, such as of captions without a known word."""
        ...


# ---------------------------------------------------------------------------------------------- losses
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


# ---------------------------------------------------------------------------------------------- evaluators
@dataclass(frozen=True, eq=False, kw_only=True)
class Ranks:
    """Where the relevant items of each query stand, by counting; no tie is broken yet.

    Attributes:
        above: (queries,) wrong items that score higher than the best relevant one.
        tied: (queries,) wrong items that score the same as it.
        matched: (queries,) relevant items at that score, at least 1.
    """

    above: Ints
    tied: Ints
    matched: Ints

    def rank(self, policy: Policy = "pessimistic") -> npt.NDArray[np.float64]:
        """Return the rank of the best relevant item from 1; ``expected`` is its mean over all orders of the tied."""
        if policy == "pessimistic":
            return (1.0 + self.above + self.tied).astype("float64")
        return (1.0 + self.above + self.tied / (self.matched + 1.0)).astype("float64")

    def hits(self, k: int, policy: Policy = "pessimistic") -> npt.NDArray[np.float64]:
        """Return (queries,) the probability that a relevant item is among the first `k`; 0 or 1 without ties."""
        import numpy as np

        if policy == "pessimistic":
            return (self.above + self.tied < k).astype("float64")
        # In random order, the best of `matched` relevant items among matched + tied comes after the first j
        # places with probability C(tied, j) / C(matched + tied, j), built up factor by factor.
        places = np.clip(k - self.above, 0, None)
        total = self.matched + self.tied
        missed = np.ones(len(places))
        for step in range(int(places.max(initial=0))):
            active = (step < places) & (step < total)
            left = np.clip(self.tied - step, 0, None)
            missed = np.where(active, missed * left / np.maximum(total - step, 1), missed)
        return np.where(places > 0, 1.0 - missed, 0.0)


class Ranking(Protocol):
    """One evaluated gallery: what an evaluator works from."""

    @property
    def split(self) -> Split:
        """Images and captions, in the order of the embeddings."""
        ...

    @property
    def image(self) -> Floats:
        """(n, dim) float32 image embeddings, L2-normalised; score = dot product."""
        ...

    @property
    def text(self) -> Floats:
        """(m, dim) float32 caption embeddings, L2-normalised."""
        ...

    @property
    def i2t(self) -> Ranks:
        """Ranks of images as queries, over all captions."""
        ...

    @property
    def t2i(self) -> Ranks:
        """Ranks of captions as queries, over all images."""
        ...

    def fold(self, start: int, stop: int) -> Ranking:
        """Rank images `start`..`stop` and their captions among themselves, as a gallery of its own."""
        ...


class Evaluator(Protocol):
    """Turns a ranking into named figures, fractions in 0..1 where they are rates."""

    def evaluate(self, ranking: Ranking) -> Mapping[str, float]:
        """Compute the figures, such as ``i2t.recall@5``; a figure that cannot be computed is left out."""
        ...
