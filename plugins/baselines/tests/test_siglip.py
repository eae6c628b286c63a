"""The pairwise sigmoid loss against loops, finite differences and its known values."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.api import ParameterError, Reporting
from harness_baselines.siglip import SigLip


def loops(image, text, group, scale, bias):
    """Ask pair by pair, in Python's own numbers."""

    def cosine(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(
            sum(x * x for x in a) * sum(y * y for y in b)
        )

    image, text, group = image.tolist(), text.tolist(), group.tolist()
    total = 0.0
    for i in range(len(group)):
        for j in range(len(group)):
            sign = 1 if group[i] == group[j] else -1
            total += math.log(1 + math.exp(-sign * (scale * cosine(image[i], text[j]) + bias)))
    return total / len(group)


@settings(max_examples=30, deadline=None)
@given(
    group=st.lists(st.integers(0, 3), min_size=1, max_size=7),
    scale=st.sampled_from([1.0, 10.0, 30.0]),
    bias=st.sampled_from([-10.0, 0.0, 2.0]),
    seed=st.integers(0, 99),
)
def test_the_loss_is_that_of_the_loops(group, scale, bias, seed):
    torch.manual_seed(seed)
    image, text = torch.randn(2, len(group), 4, dtype=torch.float64)
    loss = SigLip(scale=scale, bias=bias)(image, text, torch.tensor(group))
    assert loss.item() == pytest.approx(loops(image, text, torch.tensor(group), scale, bias), rel=1e-5)


def test_gradients_also_of_scale_and_bias():
    torch.manual_seed(0)
    image, text = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    group = torch.tensor([0, 1, 1, 2, 3])
    loss = SigLip().double()

    def run(image, text, log_scale, bias):
        state = {"log_scale": log_scale, "bias": bias}
        return torch.func.functional_call(loss, state, (image, text, group))

    assert torch.autograd.gradcheck(run, (image, text, loss.log_scale, loss.bias))


def test_it_starts_where_the_paper_does():
    loss = SigLip()
    assert loss.log_scale.item() == pytest.approx(math.log(10))
    assert loss.bias.item() == -10
    assert {name for name, _ in loss.named_parameters()} == {"log_scale", "bias"}
    # Embeddings at right angles: each of 64 pairs costs 10 nats more than nothing, the 4032 others nearly nothing.
    start = loss(torch.eye(128)[:64], torch.eye(128)[64:], torch.arange(64)).item()
    assert start == pytest.approx(10, abs=0.01)


def test_pairs_of_one_image_are_right_answers():
    image = torch.eye(3)[[0, 0, 1]]
    loss = SigLip(scale=40.0, bias=-20.0)
    assert loss(image, image, torch.tensor([7, 7, 2])).item() < 1e-6
    assert loss.figures()["accuracy"] == 1.0
    assert loss(image, image, torch.tensor([7, 8, 2])).item() == pytest.approx(2 / 3 * 20, rel=1e-4)
    assert loss.figures()["accuracy"] == pytest.approx(7 / 9)


def test_a_batch_of_one_image_has_a_gradient():
    image = torch.randn(3, 2, requires_grad=True)
    SigLip()(image, torch.randn(3, 2), torch.zeros(3, dtype=torch.int64)).backward()
    assert torch.isfinite(image.grad).all()
    assert image.grad.abs().sum() > 0


def test_figures():
    loss = SigLip(scale=4.0, bias=-2.0)
    assert isinstance(loss, Reporting)
    image, text = torch.eye(4), torch.eye(4)[[0, 1, 2, 2]]
    loss(image, text, torch.arange(4))
    figures = {name: float(value) for name, value in loss.figures().items()}
    # Three of four pairs are found; the last is missed and mistaken for the third.
    assert figures == pytest.approx({"recall": 0.75, "accuracy": 14 / 16, "scale": 4.0, "bias": -2.0})
    assert not any(value.requires_grad for value in loss.figures().values())


def test_scale_and_bias_are_held_on_request_and_kept_in_the_state():
    held, learned = SigLip(scale=5.0, bias=-3.0, learned=False), SigLip()
    assert not list(held.parameters())
    torch.manual_seed(0)
    pairs = *torch.randn(2, 6, 3), torch.arange(6)
    learned(*pairs).backward()
    assert all(parameter.grad.abs() > 0 for parameter in learned.parameters())
    learned.load_state_dict(held.state_dict())
    assert learned(*pairs).item() == held(*pairs).item()
    told = learned.figures()["bias"]
    with torch.no_grad():
        learned.bias.fill_(9.0)
    assert told == -3.0  # a figure is a copy, which the optimiser's next step leaves alone


@pytest.mark.parametrize("wrong", [{"scale": 0.0}, {"scale": -1.0}, {"scale": math.nan}, {"bias": math.inf}])
def test_numbers_out_of_range_are_named(wrong):
    with pytest.raises(ParameterError, match=f"siglip: parameter '{next(iter(wrong))}'"):
        SigLip(**wrong)
