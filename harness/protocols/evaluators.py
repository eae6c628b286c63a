"""What an evaluator does, and the ranking that it works from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from harness.errors import ScoreError
from harness.protocols.datasets import Split

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float32]

Policy = Literal["pessimistic", "expected"]


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


def demand_finite(evaluator: str, ranking: Ranking) -> None:
    """Refuse embeddings that are NaN or infinite: a NaN compares as false with everything, so ranks of it are best.

    Args:
        evaluator: who asks, for the message.

    Raises:
        ScoreError: names the rows.
    """
    import numpy as np

    split = ranking.split
    for rows, ids, what in (
        (ranking.image, split.image_ids, "image"),
        (ranking.text, split.caption_ids, "caption"),
    ):
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(bad):
            named = ", ".join(ids[row] for row in bad[:5]) + (", ..." if len(bad) > 5 else "")
            raise ScoreError(
                f"{evaluator}: {len(bad)} of {len(rows)} {what} embeddings are NaN or infinite: {named}"
            )


class Evaluator(Protocol):
    """Turns a ranking into named figures, fractions in 0..1 where they are rates."""

    def evaluate(self, ranking: Ranking) -> Mapping[str, float]:
        """Compute the figures, such as ``i2t.recall@5``; a figure that cannot be computed is left out."""
        ...


@dataclass(frozen=True, eq=False, kw_only=True)
class Gallery:
    """A small gallery that an evaluator applies to, for the adversaries of `harness.testing`.

    Attributes:
        split: some 10..100 images with captions, and with the tags that the evaluator reads.
        relevance: (n, m) how well image i and caption j fit, as the evaluator's labels have it: a perfect scorer
            orders pairs so. ``None``: a caption fits its own image, and no other.
    """

    split: Split
    relevance: npt.NDArray[np.float64] | None = None


@runtime_checkable
class PerQuery(Protocol):
    """An evaluator whose figures are counted from one rank a query.

    The harness stores these ranks and commits them beside a leaderboard: intervals and paired tests follow from them.
    """

    def ranks(self, ranking: Ranking) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
        """Return the (n,) ranks of the images and the (m,) ranks of the captions as queries, from 1, in order.

        ``None`` says that with these parameters its figures do not follow from ranks.
        """
        ...


@runtime_checkable
class PerImage(Protocol):
    """An evaluator that says what each image adds to its figures.

    The harness draws images anew, with what they add, and stores a 95 % interval of each such figure beside it,
    within the `Scale` that the evaluator declares of it.
    """

    def by_image(
        self, ranking: Ranking
    ) -> Mapping[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
        """Return, for figures of `evaluate`, (n,) sums and (n,) counts by image: the figure is sum over count.

        Of a mean over queries these are the values of the queries of each image and their number. A figure that is
        no mean may be linearised; counts are then 1. Figures that are left out have no interval.
        """
        ...


@runtime_checkable
class Labelled(Protocol):
    """An evaluator that reads from elsewhere than the split what is right."""

    def labels_of(self, ranking: Ranking) -> str:
        """Return a hash of the labels that a ranking is judged by, for its protocol; empty where there are none."""
        ...
