"""InfoNCE against loops, finite differences and its known values."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.api import ParameterError, Reporting
from harness_baselines.infonce import InfoNce


def loops(image, text, group, temperature):
    """Sum the loss pair by pair, in Python's own numbers."""

    def cosine(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(
            sum(x * x for x in a) * sum(y * y for y in b)
        )

    image, text, group = image.tolist(), text.tolist(), group.tolist()
    total = 0.0
    for i in range(len(group)):
        rivals = [j for j in range(len(group)) if j == i or group[j] != group[i]]
        own = cosine(image[i], text[i]) / temperature
        total += math.log(sum(math.exp(cosine(image[i], text[j]) / temperature) for j in rivals)) - own
        total += math.log(sum(math.exp(cosine(image[j], text[i]) / temperature) for j in rivals)) - own
    return total / (2 * len(group))


@settings(max_examples=30, deadline=None)
@given(
    group=st.lists(st.integers(0, 3), min_size=1, max_size=7),
    temperature=st.sampled_from([0.05, 0.3, 1.0]),
    seed=st.integers(0, 99),
)
def test_the_loss_is_that_of_the_loops(group, temperature, seed):
    torch.manual_seed(seed)
    image, text = torch.randn(2, len(group), 4, dtype=torch.float64)
    loss = InfoNce(temperature=temperature)(image, text, torch.tensor(group))
    assert loss.item() == pytest.approx(
        loops(image, text, torch.tensor(group), temperature), rel=1e-5, abs=1e-6
    )


def test_gradients():
    torch.manual_seed(0)
    image, text = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    group = torch.tensor([0, 1, 1, 2, 3])
    loss = InfoNce(temperature=0.5).double()
    assert torch.autograd.gradcheck(lambda i, t: loss(i, t, group), (image, text))


def test_pairs_of_one_image_are_no_negatives():
    image = torch.eye(3)[[0, 0, 1]]
    twice = InfoNce(temperature=0.05)
    masked = twice(image, image, torch.tensor([7, 7, 2]))
    assert masked.item() < 1e-6
    assert twice.figures()["i2t.accuracy"] == 1.0
    assert twice(image, image, torch.tensor([7, 8, 2])).item() == pytest.approx(2 / 3 * math.log(2), abs=1e-5)


def test_a_batch_of_one_image_is_zero_with_gradient():
    image = torch.randn(3, 2, requires_grad=True)
    loss = InfoNce()(image, torch.randn(3, 2), torch.zeros(3, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(image.grad, torch.zeros(3, 2))


def test_a_scorer_of_no_opinion_pays_the_logarithm_of_the_batch():
    loss = InfoNce()
    assert loss(torch.ones(8, 2), torch.ones(8, 2), torch.arange(8)).item() == pytest.approx(math.log(8))


def test_figures():
    loss = InfoNce(temperature=0.25)
    assert isinstance(loss, Reporting)
    image, text = torch.eye(4), torch.eye(4)[[0, 1, 2, 2]]
    loss(image, text, torch.arange(4))
    figures = {name: float(value) for name, value in loss.figures().items()}
    # The last image finds no caption of its own; the last caption prefers the third image.
    assert figures == {"i2t.accuracy": 0.75, "t2i.accuracy": 0.75, "temperature": 0.25}
    assert not any(value.requires_grad for value in loss.figures().values())


def test_the_temperature_is_learned_on_request_and_kept_in_the_state():
    fixed, learned = InfoNce(temperature=0.1), InfoNce(temperature=0.1, learned=True)
    assert not list(fixed.parameters())
    torch.manual_seed(0)
    pairs = *torch.randn(2, 6, 3), torch.arange(6)
    learned(*pairs).backward()
    [parameter] = learned.parameters()
    assert parameter.grad.abs() > 0
    with torch.no_grad():
        parameter.fill_(99.0)  # has run away
    assert torch.isfinite(learned(*pairs))
    assert learned.figures()["temperature"] == pytest.approx(0.01)
    other = InfoNce(temperature=0.5)
    other.load_state_dict(fixed.state_dict())
    assert other(*pairs) == fixed(*pairs)


@pytest.mark.parametrize("temperature", [0.0, -1.0, 0.005, math.nan])
def test_a_wrong_temperature_is_named(temperature):
    with pytest.raises(ParameterError, match="infonce: parameter 'temperature'"):
        InfoNce(temperature=temperature)
