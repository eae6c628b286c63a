"""The max of hinges against loops, finite differences and its known values."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from harness.api import ParameterError, Reporting
from harness_baselines.vsepp import VsePlusPlus


def loops(image, text, group, margin, gather):
    """Sum the loss pair by pair; `gather` is max, or sum as before VSE++."""

    def cosine(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(
            sum(x * x for x in a) * sum(y * y for y in b)
        )

    image, text, group = image.tolist(), text.tolist(), group.tolist()
    total = 0.0
    for i in range(len(group)):
        own = cosine(image[i], text[i])
        rivals = [j for j in range(len(group)) if group[j] != group[i]]
        total += gather([max(0.0, margin + cosine(image[i], text[j]) - own) for j in rivals] or [0.0])
        total += gather([max(0.0, margin + cosine(image[j], text[i]) - own) for j in rivals] or [0.0])
    return total


groups = st.lists(st.integers(0, 3), min_size=1, max_size=7)


@settings(max_examples=30, deadline=None)
@given(group=groups, margin=st.sampled_from([0.05, 0.2, 2.5]), warm=st.booleans(), seed=st.integers(0, 99))
def test_the_loss_is_that_of_the_loops(group, margin, warm, seed):
    torch.manual_seed(seed)
    image, text = torch.randn(2, len(group), 4, dtype=torch.float64)
    loss = VsePlusPlus(margin=margin, warmup=1 if warm else 0)
    expected = loops(image, text, torch.tensor(group), margin, sum if warm else max)
    assert loss(image, text, torch.tensor(group)).item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("warmup", [0, 100_000])
def test_gradients(warmup):
    torch.manual_seed(0)
    image, text = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    group = torch.tensor([0, 1, 1, 2, 3])
    loss = VsePlusPlus(warmup=warmup)
    assert torch.autograd.gradcheck(lambda i, t: loss(i, t, group), (image, text))


def test_the_hardest_alone_counts_and_lengths_do_not():
    image, text = torch.eye(3), torch.tensor([[1, 0, 0], [0.6, 0.8, 0], [0.5, 0, 0.75**0.5]])
    # The first image violates with both wrong captions, by 0.15 and 0.05; of the captions, the second does with the
    # first image, 0.55 + 0.6 - 0.8, and so does the third, 0.55 + 0.5 - 0.866.
    expected = 0.15 + 0.35 + (1.05 - 0.75**0.5)
    loss = VsePlusPlus(margin=0.55)
    assert loss(image, text, torch.arange(3)).item() == pytest.approx(expected, abs=1e-6)
    assert loss(image * 3, text * 7, torch.arange(3)).item() == pytest.approx(expected, abs=1e-6)
    warm = VsePlusPlus(margin=0.55, warmup=1)
    assert warm(image, text, torch.arange(3)).item() == pytest.approx(expected + 0.05, abs=1e-6)
    # A caption of the first image is none of its negatives.
    twins = loss(image, text, torch.tensor([0, 0, 1])).item()
    assert twins == pytest.approx(0.05 + (1.05 - 0.75**0.5), abs=1e-6)


def test_collapse_costs_two_margins_a_pair():
    assert VsePlusPlus(margin=0.2)(torch.ones(8, 2), torch.ones(8, 2), torch.arange(8)).item() == (
        pytest.approx(2 * 0.2 * 8)
    )


def test_a_batch_of_one_image_is_zero_with_gradient():
    image = torch.randn(3, 2, requires_grad=True)
    loss = VsePlusPlus()(image, torch.randn(3, 2), torch.zeros(3, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(image.grad, torch.zeros(3, 2))


def test_warm_up_ends_after_its_batches_and_is_kept_in_the_state():
    torch.manual_seed(0)
    pairs = *torch.randn(2, 6, 3), torch.arange(6)
    loss = VsePlusPlus(warmup=3)
    everything, hardest = (loops(*pairs, 0.2, gather) for gather in (sum, max))
    assert everything > hardest + 0.1
    loss.eval()
    assert loss(*pairs).item() == pytest.approx(hardest, rel=1e-5)  # no training: counts as no batch
    loss.train()
    assert [loss(*pairs).item() for _ in range(2)] == pytest.approx([everything] * 2, rel=1e-5)
    resumed = VsePlusPlus(warmup=3)
    resumed.load_state_dict(loss.state_dict())
    assert [resumed(*pairs).item() for _ in range(2)] == pytest.approx([everything, hardest], rel=1e-5)
    assert loss.state_dict()["seen"] == 2  # the copy counted for itself


class Reads(TorchDispatchMode):
    """Count numbers that are read back from a tensor, for which a GPU is waited for."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func._schema.name == "aten::_local_scalar_dense"
        return func(*args, **(kwargs or {}))


def test_warm_up_is_counted_without_reading_back():
    pairs = *torch.randn(2, 6, 3), torch.arange(6)
    loss = VsePlusPlus(warmup=2)
    with Reads() as reads:
        bool(torch.ones(()) > 0)
        assert reads.count == 1
        for _ in range(4):
            loss(*pairs)
    assert reads.count == 1
    assert loss.seen == 4


def test_hard_negatives_are_told_apart_in_bfloat16():
    # Both wrong captions round to the same bfloat16 cosine.
    image = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    text = torch.tensor([[1.0, 0.0], [1.0, 0.051], [1.0, -0.05]], requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        VsePlusPlus()(image[:1].repeat(3, 1), text, torch.arange(3)).backward()
    plain = torch.tensor(text.tolist(), requires_grad=True)
    VsePlusPlus()(image[:1].repeat(3, 1), plain, torch.arange(3)).backward()
    assert torch.equal(text.grad, plain.grad)


def test_figures():
    loss = VsePlusPlus(margin=0.5)
    assert isinstance(loss, Reporting)
    image, text = torch.eye(4), torch.eye(4)[[0, 1, 2, 2]]
    loss(image, text, torch.arange(4))
    figures = {name: float(value) for name, value in loss.figures().items()}
    # Of eight maxima: the last caption lies on the third image's, 0.5 there for image and caption; the last image's
    # own cosine is 0, as all its others, 0.5; the last caption's own is 0 and its hardest 1, 1.5.
    assert figures == pytest.approx({"active": 3 / 8, "positive": 0.75, "violation": (0.5 + 0.5 + 1.5) / 8})
    assert not any(value.requires_grad for value in loss.figures().values())


@pytest.mark.parametrize(
    "wrong", [{"margin": 0.0}, {"margin": math.inf}, {"margin": math.nan}, {"warmup": -1}]
)
def test_numbers_out_of_range_are_named(wrong):
    with pytest.raises(ParameterError, match=f"vsepp: parameter '{next(iter(wrong))}'"):
        VsePlusPlus(**wrong)
