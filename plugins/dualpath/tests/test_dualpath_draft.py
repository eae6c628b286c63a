"""Candidates of a loss that mines are embedded in one pass, ending as in training."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harness.api import Drafting
from harness_dualpath.rnn import TextRNN
from harness_dualpath.text import TextCNN, shifted

CAPTIONS = ["a dog runs over the grass", "two dogs play", "", "the man sees a dog and a red ball " * 2, "dog"]
LENGTH = 12


def build(kind: type[TextCNN | TextRNN], **parameters: object) -> TextCNN | TextRNN:
    """Build a small text path after some training, so that its batch statistics are of its words."""
    torch.manual_seed(0)
    small: dict[str, object] = {"width": 0.0625, "blocks": [2, 1]} if kind is TextCNN else {"hidden": 12}
    given = {"dim": 8, "captions": CAPTIONS, "length": LENGTH, "embedding_dim": 16, **small, **parameters}
    model = kind(**given)  # type: ignore[arg-type]
    model.embedding_bias.data.uniform_(-1, 1)
    for _ in range(3):
        model.train()(prepared(model))
    return model.eval()


def prepared(model: TextCNN | TextRNN) -> Tensor:
    return torch.stack([model.prepare(caption, training=False) for caption in CAPTIONS])


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("position", ["left", "centre"])
@pytest.mark.parametrize("last", [{"relu": False}, {"test_before_relu": False}])
def test_where_a_test_embedding_is_one_such_pass_both_are_equal(
    mask: bool, position: str, last: dict[str, bool]
) -> None:
    # The profiles of small machines are relu: false and centre.
    model = build(TextCNN, mask=mask, test_position=position, **last)
    ids = prepared(model)
    with torch.no_grad():
        assert torch.equal(model.draft(ids), model(ids))


@pytest.mark.parametrize("last", [{"relu": False}, {"test_before_relu": False}])
def test_so_for_a_recurrent_network(last: dict[str, bool]) -> None:
    model = build(TextRNN, **last)
    ids = prepared(model)
    with torch.no_grad():
        assert torch.equal(model.draft(ids), model(ids))


@pytest.mark.parametrize("kind", [TextCNN, TextRNN])
def test_a_draft_ends_in_the_relu_of_training_where_the_test_does_not(kind: type[TextCNN | TextRNN]) -> None:
    model = build(kind)
    assert isinstance(model, Drafting)
    ids = prepared(model)
    with torch.no_grad():
        draft, test = model.draft(ids), model(ids)
    assert test.min() < 0
    assert torch.equal(draft, test.relu())


def test_with_all_shifts_at_test_a_draft_is_one_pass_in_the_middle() -> None:
    model = build(TextCNN, test_position="all")
    ids, sizes = prepared(model), list[int]()
    model.embedding.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    with torch.no_grad():
        draft = model.draft(ids)
        assert sizes == [len(CAPTIONS)]
        count = (ids > 0).sum(dim=1)
        assert torch.equal(draft, model._embedded(shifted(ids, (LENGTH - count) // 2)).relu())
        sizes.clear()
        model(ids)
    assert sum(sizes) == int((LENGTH - count + 1).sum()) > 5 * len(CAPTIONS)


@pytest.mark.parametrize("kind", [TextCNN, TextRNN])
def test_a_draft_drops_nothing_and_draws_nothing(kind: type[TextCNN | TextRNN]) -> None:
    model = build(kind, word_dropout=0.5, embedding_dropout=0.5, feature_dropout=0.5)
    ids, state = prepared(model), torch.get_rng_state()
    assert torch.equal(model.draft(ids), model.draft(ids))
    assert torch.get_rng_state().equal(state)
