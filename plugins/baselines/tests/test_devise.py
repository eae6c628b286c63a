"""The hinge rank loss of DeViSE against loops and finite differences, and what it learns among fixed words."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.api import ParameterError, Reporting
from harness_baselines.averages import MeanWords
from harness_baselines.devise import Devise


def loops(image, text, group, margin):
    """Sum the hinges one by one, in Python's own numbers."""

    def score(v, t):
        return sum(x * y for x, y in zip(v, t, strict=True)) / math.sqrt(sum(y * y for y in t))

    image, text, group = image.tolist(), text.tolist(), group.tolist()
    total = 0.0
    for i in range(len(group)):
        for j in range(len(group)):
            if group[j] != group[i]:
                total += max(0.0, margin - score(image[i], text[i]) + score(image[i], text[j]))
    return total / len(group)


@settings(max_examples=30, deadline=None)
@given(
    group=st.lists(st.integers(0, 3), min_size=1, max_size=7),
    margin=st.sampled_from([0.1, 1.0, 5.0]),
    seed=st.integers(0, 99),
)
def test_the_loss_is_that_of_the_loops(group, margin, seed):
    torch.manual_seed(seed)
    image, text = torch.randn(2, len(group), 4, dtype=torch.float64)
    loss = Devise(margin=margin)(image, text, torch.tensor(group))
    assert loss.item() == pytest.approx(loops(image, text, torch.tensor(group), margin), rel=1e-9, abs=1e-9)


def test_gradients():
    torch.manual_seed(0)
    image, text = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    group = torch.tensor([0, 1, 1, 2, 3])
    loss = Devise(margin=1.0)
    assert torch.autograd.gradcheck(lambda i, t: loss(i, t, group), (image, text))


def test_words_count_at_length_one_and_images_as_they_come():
    torch.manual_seed(0)
    image, text, group = torch.randn(6, 3), torch.randn(6, 3), torch.arange(6)
    loss = Devise()
    value = loss(image, text, group).item()
    assert loss(image, text * 7, group).item() == pytest.approx(value, rel=1e-5)
    assert abs(loss(image * 7, text, group).item() - value) > 0.1


def test_an_image_that_says_nothing_pays_the_margin_for_every_rival():
    assert Devise(margin=0.1)(torch.zeros(8, 2), torch.randn(8, 2), torch.arange(8)).item() == (
        pytest.approx(0.1 * 7)
    )


def test_a_batch_of_one_image_is_zero_with_gradient():
    image = torch.randn(3, 2, requires_grad=True)
    devise = Devise()
    loss = devise(image, torch.randn(3, 2), torch.zeros(3, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(image.grad, torch.zeros(3, 2))
    figures = {name: float(value) for name, value in devise.figures().items()}
    assert figures["active"] == figures["negative"] == 0.0


def test_figures():
    loss = Devise(margin=0.5)
    assert isinstance(loss, Reporting)
    loss(2 * torch.eye(3), torch.eye(3)[[0, 1, 1]], torch.arange(3))
    figures = {name: float(value) for name, value in loss.figures().items()}
    # Of six wrong pairs: the second image with the third caption, and both of the third image.
    assert figures == pytest.approx({"active": 3 / 6, "positive": 4 / 3, "negative": 2 / 6})
    assert not any(value.requires_grad for value in loss.figures().values())


def test_a_linear_map_learns_to_find_fixed_words(tmp_path):
    torch.manual_seed(0)
    words = [f"w{'abcdefghijklmnop'[k]}" for k in range(16)]
    vectors = torch.randn(16, 8)
    path = tmp_path / "vectors.txt"
    path.write_text(
        "".join(
            f"{word} {' '.join(map(str, row.tolist()))}\n" for word, row in zip(words, vectors, strict=True)
        )
    )
    captions = [f"{words[i]} {words[(3 * i + 5) % 16]}" for i in range(16)]
    text = MeanWords(dim=8, captions=captions, vectors=str(path), mapped=False)
    assert not list(text.parameters())
    given = text(torch.stack([text.prepare(caption, training=True) for caption in captions]))
    # Features that hold the words under a linear map and some noise.
    features = given @ torch.randn(8, 12) + 0.01 * torch.randn(16, 12)
    image, loss = torch.nn.Linear(12, 8), Devise()
    optimizer = torch.optim.Adam(image.parameters(), 0.05)
    for _ in range(200):
        optimizer.zero_grad()
        loss(image(features), given, torch.arange(16)).backward()
        optimizer.step()
    cosines = (
        torch.nn.functional.normalize(image(features), dim=1) @ torch.nn.functional.normalize(given, dim=1).T
    )
    assert (cosines.argmax(1) == torch.arange(16)).float().mean() >= 15 / 16


@pytest.mark.parametrize("margin", [0.0, -1.0, math.inf, math.nan])
def test_a_wrong_margin_is_named(margin):
    with pytest.raises(ParameterError, match="devise: parameter 'margin'"):
        Devise(margin=margin)
