"""Ranking loss in numbers that go wrong elsewhere: collapse, zero embeddings, low precision; its random draws."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from harness_dualpath.ranking import RankingLoss, unit

DIM = 5
KINDS = ("random", "hardest", "mined")


def batch(size: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(size, DIM), torch.randn(size, DIM), torch.arange(size)


@pytest.mark.parametrize("kind", KINDS)
def test_embeddings_do_not_depend_on_their_length(kind: Any) -> None:
    image, text, group = batch()
    loss, mined = RankingLoss(negatives=kind), [torch.randn(3, DIM)] if kind == "mined" else []
    values = []
    for scale in (1.0, 1000.0):
        torch.manual_seed(0)
        values.append(loss(image * scale, text / scale, group, *mined))
    torch.testing.assert_close(*values)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_random_state_draws_the_same(kind: Any) -> None:
    image, text, group = batch(16)
    loss, mined = RankingLoss(negatives=kind), [torch.randn(8, DIM)] if kind == "mined" else []
    torch.manual_seed(5)
    state, first, second = (
        torch.get_rng_state(),
        loss(image, text, group, *mined),
        loss(image, text, group, *mined),
    )
    torch.set_rng_state(state)
    assert loss(image, text, group, *mined) == first
    assert (first == second) == (kind == "hardest")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_equal_embeddings_give_two_margins_to_the_bit(kind: Any, seed: int) -> None:
    torch.manual_seed(seed)
    constant = torch.randn(1, 37) * 10
    loss, rows = RankingLoss(negatives=kind), constant.repeat(12, 1)
    value = loss(rows, rows.clone(), torch.arange(12), *([constant.repeat(6, 1)] if kind == "mined" else []))
    assert float(value) == 2.0
    figures = {name: float(figure) for name, figure in loss.figures().items()}
    assert figures["level"] == figures["active"] == 1.0
    assert figures["image_spread"] == pytest.approx(0, abs=1e-6)
    assert figures["text_spread"] == pytest.approx(0, abs=1e-6)


def test_figures_are_those_of_the_last_call() -> None:
    image = torch.eye(4)
    loss = RankingLoss(negatives="hardest", margin=0.5)
    loss(image, image.clone(), torch.arange(4))
    figures = {name: float(figure) for name, figure in loss.figures().items()}
    spread = pytest.approx(0.75)  # 1 - |mean|^2, the mean being 1/4 in each of four places
    assert figures == {
        "active": 0.0,
        "positive": 1.0,
        "negative": 0.0,
        "image_spread": spread,
        "text_spread": spread,
        "level": 0.0,
    }
    loss(image, image.roll(1, 0), torch.arange(4))
    assert float(loss.figures()["negative"]) == 1.0
    assert float(loss.figures()["level"]) == 3.0
    assert all(figure.shape == () and not figure.requires_grad for figure in loss.figures().values())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("zeros", ["image", "text", "mined", "all"])
def test_zero_embeddings_give_finite_moderate_gradients(kind: Any, zeros: str) -> None:
    image, text, group = batch()
    parts = {"image": image, "text": text} | ({"mined": torch.randn(3, DIM)} if kind == "mined" else {})
    for name, part in parts.items():
        if zeros in (name, "all"):
            part[:3] = 0
        part.requires_grad_()
    value = RankingLoss(negatives=kind)(parts["image"], parts["text"], group, *list(parts.values())[2:])
    value.backward()
    assert value.isfinite()
    for part in parts.values():
        assert part.grad is not None
        assert part.grad.isfinite().all()
        assert part.grad.abs().max() < 10


def test_a_row_without_direction_is_left_alone() -> None:
    rows = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1e-9, 0.0], [3e-4, 4e-4]])
    torch.testing.assert_close(unit(rows), torch.tensor([[0.6, 0.8], [0.0, 0.0], [1e-9, 0.0], [0.6, 0.8]]))


def test_lower_precision_is_computed_in_float32() -> None:
    image, text, group = batch(64)
    loss = RankingLoss(negatives="hardest")
    half = image.bfloat16(), text.bfloat16()
    expected = loss(half[0].float(), half[1].float(), group)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert loss(*half, group).equal(expected)
