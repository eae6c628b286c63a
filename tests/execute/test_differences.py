"""What two stored specifications differ in."""

from __future__ import annotations

from typing import Any

import pytest

from harness.execute.differences import differences


def part(use: str, **params: Any) -> dict[str, Any]:
    return {"name": "n", "use": use, "revision": 1, "title": "T", "params": params, "files": {}}


def spec(**changes: Any) -> dict[str, Any]:
    base = {
        "dataset": part("toys"),
        "image": part("frozen", width=3, head={"relu": True}),
        "text": part("words"),
        "losses": [
            {**part("rank", margin=1.0), "name": "rank", "weight": 1.0},
            {**part("inst"), "name": "inst", "weight": 0.3},
        ],
        "stage": {"name": "one", "lr": 0.1, "freeze": ["a", "b"], "losses": {"rank": 1.0, "inst": 0.3}},
        "dim": 8,
        "seed": 0,
        "parent": None,
        "protocol": "x",
    }
    return {**base, **changes}


@pytest.mark.parametrize(
    ("changes", "known"),
    [
        ({}, []),
        ({"seed": 4, "protocol": "y"}, []),
        ({"dim": 16}, [("dim", "8", "16")]),
        ({"parent": "abc"}, [("parent", "null", "abc")]),
        ({"image": part("frozen", width=4, head={"relu": True})}, [("image width", "3", "4")]),
        ({"image": part("frozen", width=3, head={"relu": False})}, [("image head relu", "true", "false")]),
        # Another component: its parameters are not lined up against those of the first.
        ({"image": part("other", depth=9)}, [("image", "frozen", "other")]),
        ({"text": part("words", lower=True)}, [("text lower", "–", "true")]),
        (
            {"stage": {"name": "two", "lr": 0.2, "freeze": ["a"]}},
            [("stage lr", "0.1", "0.2"), ("stage freeze", '["a", "b"]', '["a"]')],
        ),
    ],
)
def test_differences_are_told_by_key(changes: dict[str, Any], known: list[tuple[str, str, str]]) -> None:
    assert differences(spec(), spec(**changes)) == known
    assert differences(spec(**changes), spec()) == [(key, other, one) for key, one, other in known]


def test_losses_are_told_by_name_weight_and_parameter() -> None:
    rank = {**part("rank", margin=0.2), "name": "rank", "weight": 2.0}
    new = {**part("new", k=3), "name": "new", "weight": 1.0}
    assert differences(spec(), spec(losses=[new, rank])) == [
        ("loss rank", "weight 1.0", "weight 2.0"),
        ("loss rank margin", "1.0", "0.2"),
        ("loss inst", "weight 0.3", "–"),
        ("loss new", "–", "weight 1.0"),
    ]
