"""Recall at K, median and mean rank, rSum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from harness.api import ParameterError, Policy, Ranking, Ranks, ScoreError, demand_finite

Counts = npt.NDArray[np.int64]


class Recall:
    """Compute the retrieval figures of the literature.

    A query's rank is the place of its best relevant item, from 1. ``R@K`` is the share of queries whose rank
    is at most K, and ``rSum`` the sum of all recalls of both directions in percent.

    Args:
        k: the cut-offs, positive and distinct; with three of them rSum lies in 0..600.
        policy: what a tie with a wrong item costs. ``pessimistic``: it is lost. ``expected``: the mean over
            all orders of the tied items. Recalls and rSum under ``expected`` are returned in any case.
        folds: above 1, the figures are means over that many galleries of consecutive images, as in the
            MSCOCO 1K protocol (five folds of the 5,000 test images).

    Raises:
        ParameterError: if `k` or `folds` is out of range.
    """

    def __init__(
        self, *, k: Sequence[int] = (1, 5, 10), policy: Policy = "pessimistic", folds: int = 1
    ) -> None:
        if not k or min(k) < 1 or len(set(k)) < len(k):
            raise ParameterError(f"recall: parameter 'k' is {list(k)}, not distinct numbers from 1")
        if policy not in ("pessimistic", "expected"):
            raise ParameterError(f"recall: parameter 'policy' is {policy!r}, not 'pessimistic' or 'expected'")
        if folds < 1:
            raise ParameterError(f"recall: parameter 'folds' is {folds}, not a number from 1")
        self.k = tuple(k)
        self.policy: Policy = policy
        self.folds = folds

    def evaluate(self, ranking: Ranking) -> Mapping[str, float]:
        """Compute the figures of a gallery, recalls as fractions in 0..1, `rsum` in percent.

        Raises:
            ScoreError: names the embeddings that are NaN or infinite; if the gallery is empty, or does not
                divide into the folds.
        """
        galleries = self._galleries(ranking)
        parts = [self._figures(gallery) for gallery in galleries]
        return {name: float(np.mean([part[name] for part in parts])) for name in parts[0]}

    def ranks(self, ranking: Ranking) -> tuple[Counts, Counts] | None:
        """Return the rank of each image and caption as a query, in its own fold; none under ``expected``.

        Raises:
            ScoreError: as `evaluate`.
        """
        if self.policy == "expected":
            return None
        sides = [(gallery.i2t.rank(), gallery.t2i.rank()) for gallery in self._galleries(ranking)]
        i2t, t2i = (np.concatenate(ranks).astype(np.int64) for ranks in zip(*sides, strict=True))
        return i2t, t2i

    def _galleries(self, ranking: Ranking) -> list[Ranking]:
        """Check the gallery and cut it into the folds."""
        split = ranking.split
        demand_finite("recall", ranking)
        images = len(split.records)
        if images == 0 or len(split.captions) == 0:
            raise ScoreError(
                f"recall: split {split.name!r} has {images} images and {len(split.captions)} captions"
            )
        if images % self.folds:
            raise ScoreError(
                f"recall: {images} images of split {split.name!r} do not divide into {self.folds} folds",
                hint="Set 'folds' of the evaluator to a divisor, or 1.",
            )
        if self.folds == 1:
            return [ranking]
        size = images // self.folds
        return [ranking.fold(start, start + size) for start in range(0, images, size)]

    def _figures(self, ranking: Ranking) -> dict[str, float]:
        sides = {"i2t": ranking.i2t, "t2i": ranking.t2i}
        figures = self._recalls(sides, self.policy)
        for side, ranks in sides.items():
            rank = ranks.rank(self.policy)
            figures |= {
                f"{side}.median_rank": float(np.median(rank)),
                f"{side}.mean_rank": float(rank.mean()),
            }
        expected = self._recalls(sides, "expected")
        return figures | {f"expected.{name}": value for name, value in expected.items()}

    def _recalls(self, sides: Mapping[str, Ranks], policy: Policy) -> dict[str, float]:
        figures = {
            f"{side}.recall@{k}": float(ranks.hits(k, policy).mean())
            for side, ranks in sides.items()
            for k in self.k
        }
        return figures | {"rsum": 100.0 * sum(figures.values())}
