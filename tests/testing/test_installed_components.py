"""Every component that the plugins of this repository bring keeps its contract, and each plugin as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from harness.catalog import Catalog
from harness.testing import Contract, check_component
from harness.testing.distribution import contracts_of

CATALOG = Catalog.load()
OURS = sorted(
    {
        plugin.distribution
        for plugin in CATALOG.plugins
        if plugin.distribution.startswith("retrieval-harness-")
    }
)
# Evaluators are held against their adversaries in tests/adversaries.
CONTRACTS = [
    contract for name in OURS for contract in contracts_of(name, CATALOG) if contract.kind != "evaluator"
]
# What the samples leave at its default.
OTHERS: list[tuple[Any, str, Mapping[str, Any]]] = [
    ("loss", "ranking", {"negatives": "hardest"}),
    ("loss", "ranking", {"negatives": "mined", "candidates": 8}),
    ("loss", "infonce", {"learned": True}),
    ("loss", "siglip", {"learned": False}),
    ("loss", "vsepp", {"warmup": 2}),
    ("loss", "cca", {"pairing": "image"}),
    (
        "encoder",
        "text-cnn",
        {"blocks": [1], "width": 0.1, "embedding_dim": 8, "length": 8, "test_position": "all"},
    ),
    (
        "encoder",
        "text-rnn",
        {"hidden": 8, "embedding_dim": 8, "cell": "lstm", "pool": "mean", "bidirectional": True},
    ),
    ("encoder", "bag-of-words", {"width": 8, "hidden": 8, "idf": True, "pool": "mean", "word_dropout": 0.3}),
    (
        "encoder",
        "timm",
        {"backbone": "test_resnet", "weights": None, "test_views": "whole", "head": "affine"},
    ),
    ("dataset", "shapes", {"images": 64, "size": 32, "twins": 0.0, "data_seed": 3}),
]


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: f"{contract.kind}-{contract.name}")
def test_it_keeps_its_contract(contract: Contract) -> None:
    contract.hold()


@pytest.mark.parametrize(("kind", "name", "params"), OTHERS, ids=lambda value: str(value))
def test_it_does_with_other_parameters(kind: Any, name: str, params: Mapping[str, Any]) -> None:
    assert [str(violation) for violation in check_component(kind, name, params=params, catalog=CATALOG)] == []


def test_all_plugins_of_this_repository_are_among_them() -> None:
    assert CATALOG.problems == ()
    held = {(contract.kind, contract.name) for contract in CONTRACTS}
    assert {("loss", "instance"), ("encoder", "timm"), ("dataset", "mscoco"), ("plugin", "recall")} <= held
