"""What is seen of gradients: the first that is no number, and the norm of all, as torch's own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grads_with_norm_

from harness.gradients import norms


def module(seed: int = 0) -> nn.Module:
    """Return a module of which two parameters have a gradient, and one has none."""
    torch.manual_seed(seed)
    root = nn.ModuleDict({"one": nn.Linear(3, 50, bias=False), "two": nn.Linear(7, 9)})
    root["one"].weight.grad = 1e3 * torch.randn(50, 3)
    root["two"].bias.grad = torch.randn(9)
    return root


def test_nothing_is_seen_where_there_is_no_gradient() -> None:
    assert norms(nn.Linear(2, 2)) is None


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (lambda root: None, None),
        (lambda root: root["one"].weight.grad[4, 1].fill_(torch.nan), "one.weight"),
        (lambda root: root["two"].bias.grad[0].fill_(-torch.inf), "two.bias"),
        (lambda root: root["two"].bias.grad.fill_(3e38), "two.bias"),  # each is finite, their norm is not
        (
            lambda root: [p.grad.fill_(torch.nan) for p in root.parameters() if p.grad is not None],
            "one.weight",
        ),
    ],
    ids=["none", "one", "two", "overflow", "both"],
)
def test_the_first_whose_norm_is_no_number_is_named(
    spoil: Callable[[nn.Module], object], name: str | None
) -> None:
    root = module()
    spoil(root)
    seen = norms(root)
    assert seen is not None
    assert seen.names == ("one.weight", "two.bias")
    place = int(seen.broken)
    assert (seen.names[place] if place >= 0 else None) == name


@pytest.mark.parametrize("wrong", [False, True])
def test_rows_of_a_sparse_gradient_that_repeat_are_added_up(wrong: bool) -> None:
    table = nn.Embedding(5, 2, sparse=True)
    (table(torch.tensor([1, 1, 3])).sum() * (torch.inf if wrong else 1)).backward()
    seen = norms(table)
    assert seen is not None
    assert int(seen.broken) == (0 if wrong else -1)
    if not wrong:
        assert float(seen.total) == pytest.approx((2 * 2**2 + 2 * 1**2) ** 0.5)


@pytest.mark.parametrize("seed", range(5))
def test_gradients_are_clipped_to_the_bits_of_torch(seed: int) -> None:
    one, other = module(seed), module(seed)
    seen = norms(one)
    assert seen is not None
    assert seen.total.equal(clip_grad_norm_(other.parameters(), 2.0))
    clip_grads_with_norm_(one.parameters(), 2.0, seen.total)
    for mine, torchs in zip(one.parameters(), other.parameters(), strict=True):
        if torchs.grad is not None:
            assert mine.grad is not None
            assert mine.grad.equal(torchs.grad)
