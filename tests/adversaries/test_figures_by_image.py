"""An evaluator that tells its figures by image is caught where they do not add up."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from harness.api import Ranking
from harness.testing import check_evaluator


class ByImage:
    """R@1 of images as queries, told by image."""

    def evaluate(self, ranking: Ranking) -> Mapping[str, float]:
        return {"i2t.recall@1": float(ranking.i2t.hits(1).mean())}

    def by_image(self, ranking: Ranking) -> Mapping[str, tuple[np.ndarray, np.ndarray]]:
        hits = ranking.i2t.hits(1)
        return {"i2t.recall@1": self.told(hits, np.ones(len(hits)))}

    def told(self, hits: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return hits, counts


class Generous(ByImage):
    def told(self, hits: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.maximum(hits, 0.5), counts


class Short(ByImage):
    def told(self, hits: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return hits[:-1], counts[:-1]


def test_an_honest_one_is_spared() -> None:
    assert check_evaluator(ByImage()) == []


@pytest.mark.parametrize("broken", [Generous, Short])
def test_what_does_not_add_up_is_a_violation(broken: type[ByImage]) -> None:
    found = [str(violation) for violation in check_evaluator(broken())]
    assert any("by its images i2t.recall@1 is" in text for text in found), found
