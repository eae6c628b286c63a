"""Ranks and figures of many positives against plain sorting, and against scorers whose figures are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness_judgments import multiple
from harness_judgments.multiple import Query, per_query, positive_ranks


def query(row, items, relevant=None):
    return Query(row=row, items=np.array(items), relevant=relevant or len(items))


def figures(queries, ranks, k):
    """Return the means over queries, and of how many."""
    values = per_query(queries, ranks, k)
    return {name: float(each.mean()) for name, each in values.items()} | {"queries": float(len(queries))}


def by_sorting(scores, right, relevant, k):
    """Return the figures of one query from its sorted list, in which a wrong item wins every tie."""
    order = sorted(range(len(scores)), key=lambda item: (-scores[item], item in right))
    hits = [item in right for item in order] + [False] * relevant
    precision = [sum(hits[:r]) / r for r in range(1, relevant + 1)]
    return {
        "map@r": sum(p for p, hit in zip(precision, hits, strict=False) if hit) / relevant,
        "r_precision": precision[-1],
        **{f"recall@{cut}": float(any(hits[:cut])) for cut in k},
    }


@settings(max_examples=60, deadline=None)
@given(data=st.data(), block=st.integers(1, 4))
def test_figures_agree_with_a_sorted_list_whatever_the_tile(data, block):
    n, m = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 9))
    number = st.integers(-2, 2)  # exact scores, many ties

    def rows(count):
        return np.array(
            data.draw(st.lists(st.tuples(number, number), min_size=count, max_size=count)), np.float32
        )

    asked, items = rows(n), rows(m)
    right = [data.draw(st.sets(st.integers(0, m - 1), min_size=1)) for _ in range(n)]
    gone = [data.draw(st.integers(0, 2)) for _ in range(n)]
    queries = [query(row, sorted(r), len(r) + g) for row, (r, g) in enumerate(zip(right, gone, strict=True))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multiple, "BLOCK", block)
        found = figures(queries, positive_ranks(queries, asked, items), (1, 2, 5))
    scores = (asked @ items.T).tolist()
    each = [by_sorting(scores[q.row], set(q.items.tolist()), q.relevant, (1, 2, 5)) for q in queries]
    assert found == {
        "queries": n,
        **{name: pytest.approx(np.mean([one[name] for one in each]), abs=1e-12) for name in each[0]},
    }


def test_a_list_worked_out_by_hand():
    # By falling score: right, wrong, right, wrong, right. R = 3: precisions 1 and 2/3 count, the fifth place does not.
    items = np.array([[0.9], [0.8], [0.7], [0.6], [0.5]], np.float32)
    queries = [query(0, [0, 2, 4])]
    ranks = list(positive_ranks(queries, np.ones((1, 1), np.float32), items))
    assert [places.tolist() for places in ranks] == [[1, 3, 5]]
    found = figures(queries, ranks, (1,))
    assert found["map@r"] == pytest.approx((1 + 2 / 3) / 3)
    assert found["r_precision"] == pytest.approx(2 / 3)
    assert found["recall@1"] == 1.0


def test_constant_scorer_gets_nothing_and_an_anti_oracle_too():
    asked, items = np.ones((3, 4), np.float32), np.ones((20, 4), np.float32)
    queries = [query(row, [row, row + 5]) for row in range(3)]
    found = figures(queries, positive_ranks(queries, asked, items), (1, 5))
    assert set(found.values()) == {0.0, 3.0}
    items[[0, 1, 2, 5, 6, 7]] = -1
    found = figures(queries, positive_ranks(queries, asked, items), (1, 5))
    assert set(found.values()) == {0.0, 3.0}


def test_where_everything_is_right_even_a_constant_scorer_is():
    queries = [query(0, range(7))]
    found = figures(
        queries, positive_ranks(queries, np.ones((1, 2), np.float32), np.ones((7, 2), np.float32)), (1,)
    )
    assert found == {"map@r": 1.0, "r_precision": 1.0, "recall@1": 1.0, "queries": 1.0}


def test_a_duplicate_of_a_right_item_that_counts_as_wrong_costs_the_place():
    items = np.eye(3, dtype=np.float32)[[0, 0, 1, 2]]
    found = figures([query(0, [0])], positive_ranks([query(0, [0])], items[:1], items), (1, 2))
    assert (found["recall@1"], found["recall@2"], found["map@r"]) == (0.0, 1.0, 0.0)
