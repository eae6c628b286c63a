"""Who wins which query, against plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.errors import ParameterError, ScoreError
from harness.statistics import Sample, decided

OWNER = np.array([0, 0, 1, 2])
A = Sample(np.array([1, 6, 30]), np.array([1, 1, 20, 4]), OWNER)
B = Sample(np.array([1, 1, 40]), np.array([2, 99, 30, 5]), OWNER)


def test_a_recall_is_decided_by_its_hits() -> None:
    found = decided([A], [B], figure="t2i.recall@1")
    assert [(win.side, win.query, win.ahead, win.rank, win.other) for win in found.a] == [
        ("t2i", 1, 1.0, 1.0, 99.0),
        ("t2i", 0, 1.0, 1.0, 2.0),
    ]
    assert (found.b, found.queries) == ((), 4)


def test_rsum_is_decided_by_all_six() -> None:
    found = decided([A], [B])
    # The second caption by three cut-offs; the first by one. Ranks 4 and 5 are hits of the same ones.
    assert [(win.side, win.query, win.ahead) for win in found.a] == [("t2i", 1, 3.0), ("t2i", 0, 1.0)]
    assert [(win.side, win.query, win.ahead, win.rank, win.other) for win in found.b] == [
        ("i2t", 1, 2.0, 1.0, 6.0)
    ]
    assert found.queries == 7


def test_seeds_are_averaged() -> None:
    found = decided([A, B], [B], figure="t2i.recall@1")
    assert [(win.query, win.ahead, win.rank, win.other) for win in found.a] == [
        (1, 0.5, 50.0, 99.0),
        (0, 0.5, 1.5, 2.0),
    ]


@pytest.mark.parametrize("figure", ["rsum", "i2t.recall@5", "t2i.recall@10"])
def test_wins_add_up_to_the_difference(world: Any, figure: str) -> None:
    a, b = ([world(1).sample(60, run=run, skill=0.3 * run)] for run in (0, 1))
    found, turned = decided(a, b, figure=figure), decided(b, a, figure=figure)
    assert (found.a, found.b) == (turned.b, turned.a)
    sizes = {"i2t": 60, "t2i": 300}
    total = sum(w.ahead / sizes[w.side] for w in found.a) - sum(w.ahead / sizes[w.side] for w in found.b)
    gap = a[0].figures()[figure] - b[0].figures()[figure]
    assert total * (100.0 if figure == "rsum" else 1.0) == pytest.approx(gap)


def test_what_cannot_be_paired_is_refused(world: Any) -> None:
    with pytest.raises(ScoreError, match="different galleries"):
        decided([world(1).sample(10)], [world(1).sample(11)])
    with pytest.raises(ParameterError, match="no statistics"):
        decided([A], [B], figure="rank")
