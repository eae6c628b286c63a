"""The text path: its stages, its lookup, and what shifts, masks and unknown words do to it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation uses
from torch import nn

from harness.api import ParameterError
from harness_dualpath.blocks import stack
from harness_dualpath.text import TextCNN, random_starts, shifted

CAPTIONS = ["a dog runs over the grass", "two dogs play with a red ball", "the man sees a dog"]


def encoder(**parameters: object) -> TextCNN:
    torch.manual_seed(0)
    given: dict[str, object] = {
        "dim": 8,
        "captions": CAPTIONS,
        "width": 0.0625,
        "length": 12,
        "embedding_dim": 16,
    }
    return TextCNN(**{**given, **parameters})  # type: ignore[arg-type]


def prepared(model: TextCNN, captions: list[str] = CAPTIONS) -> torch.Tensor:
    return torch.stack([model.prepare(caption, training=False) for caption in captions])


def untrivial(model: nn.Module) -> nn.Module:
    """Give batch normalisations and biases values that matter."""
    draws = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.uniform_(-0.3, 0.3, generator=draws)
            module.running_var.uniform_(0.5, 2.0, generator=draws)
            module.bias.data.uniform_(-0.3, 0.3, generator=draws)
    for name, parameter in model.named_parameters():
        if name == "embedding_bias":
            parameter.data.uniform_(-1, 1, generator=draws)
    return model


# ------------------------------------------------------------------------------------------- arithmetic
def test_layers_are_counted_as_the_paper_does() -> None:
    with torch.device("meta"):
        assert len(stack(300, (3, 8, 36, 1), 0.125)[0]) == 48
    assert len(encoder(layers=152).blocks) == 48
    assert len(encoder(layers=50).blocks) == 14
    assert len(encoder(layers=50, last_blocks=3).blocks) == 16
    assert len(encoder(blocks=[1, 2]).blocks) == 3


def test_lengths_and_channels_of_the_stages() -> None:
    model = encoder(length=32, width=0.25, blocks=[3, 4, 6, 1]).eval()
    words, found = torch.randn(2, 32, 16), []
    for block in model.blocks:
        words = block(words)
        found.append(tuple(words.shape[1:]))
    assert found == [(32, 64)] * 3 + [(16, 128)] * 4 + [(8, 256)] * 6 + [(8, 512)]


def test_lookup_equals_a_convolution_over_one_hot_words() -> None:
    model = untrivial(encoder()).eval()
    ids = prepared(model)
    one_hot = F.one_hot(ids, len(model.vocabulary) + 1).float()[
        ..., 1:
    ]  # (batch, length, words), padding all zero
    convolved = F.conv1d(
        one_hot.transpose(1, 2), model.embedding.weight[1:].T.unsqueeze(-1), model.embedding_bias
    ).transpose(1, 2)
    assert torch.allclose(model.embedding(ids) + model.embedding_bias, convolved, atol=1e-6)
    assert torch.equal(model.embedding.weight[0], torch.zeros(16))


def test_the_padding_row_stays_zero_in_training() -> None:
    model = encoder()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9, weight_decay=0.1)
    model.train()(prepared(model)).pow(2).sum().backward()
    optimizer.step()
    assert torch.equal(model.embedding.weight[0], torch.zeros(16))
    assert model.embedding.weight.grad.abs().sum() > 0


# ------------------------------------------------------------------------------------------- position shift
def test_starts_are_uniform_over_all_that_fit_and_words_stay_together() -> None:
    torch.manual_seed(0)
    length, words = 8, torch.tensor([5, 3, 9])
    ids = F.pad(words, (0, length - 3)).repeat(12_000, 1)
    moved = shifted(ids, random_starts(torch.full((12_000,), 3), length))
    starts = (moved > 0).float().argmax(dim=1)
    for row, start in zip(moved[:200], starts[:200].tolist(), strict=True):
        assert row[start : start + 3].tolist() == [5, 3, 9]
        assert int((row > 0).sum()) == 3
    counts = torch.bincount(starts, minlength=6)
    assert len(counts) == 6  # starts 0..5
    assert float(((counts - 2000) ** 2 / 2000).sum()) < 25.7  # chi-squared, 5 degrees of freedom, p = 1e-4


@pytest.mark.parametrize("words", [0, 1, 12])
def test_captions_of_any_length_can_be_shifted(words: int) -> None:
    ids = F.pad(torch.arange(1, words + 1), (0, 12 - words)).repeat(50, 1)
    moved = shifted(ids, random_starts((ids > 0).sum(1), 12))
    assert torch.equal(moved.sort(dim=1).values, ids.sort(dim=1).values)
    if words == 12:
        assert torch.equal(moved, ids)


def test_training_shifts_and_evaluation_does_not() -> None:
    model = encoder()
    ids = prepared(model)
    torch.manual_seed(0)
    placed = {model.train()._placed(ids).numpy().tobytes() for _ in range(10)}
    assert len(placed) > 5
    assert torch.equal(model.eval()._placed(ids), ids)
    assert torch.equal(encoder(shift=False).train()._placed(ids), ids)


def test_evaluation_may_centre_the_words() -> None:
    model = encoder(test_position="centre").eval()
    placed = model._placed(model.prepare("a dog", training=False).unsqueeze(0))[0]
    assert (placed > 0).nonzero().flatten().tolist() == [5, 6]


def test_evaluation_is_deterministic_and_keeps_the_random_state() -> None:
    model = encoder(word_dropout=0.5, embedding_dropout=0.5, feature_dropout=0.5).eval()
    ids, state = prepared(model), torch.get_rng_state()
    assert torch.equal(model(ids), model(ids))
    assert torch.equal(torch.get_rng_state(), state)
    # A caption's embedding does not depend on the batch that it stands in.
    assert torch.allclose(model(ids)[1:2], model(ids[1:2]), atol=1e-6)


# ------------------------------------------------------------------------------------------- words
def test_captions_become_left_aligned_ids() -> None:
    model = encoder(length=4)
    ids = model.prepare("the zebra sees a dog over the grass", training=True)
    assert ids.dtype == torch.int64
    words = ("", *model.vocabulary.words)
    assert [words[k] for k in ids.tolist()] == ["the", "sees", "a", "dog"]


@pytest.mark.parametrize("mask", [False, True])
def test_captions_without_a_known_word_are_embedded_and_counted(mask: bool) -> None:
    model = encoder(mask=mask)
    ids = prepared(model, ["", "zzz yyy", "a dog " * 5_000, CAPTIONS[0]])
    assert ids[:2].sum() == 0
    assert torch.isfinite(model.train()(ids)).all()
    assert torch.isfinite(model.eval()(ids)).all()
    assert model.report() == {
        "captions": 4,
        "without_words": 2,
        "cut": 1,
        "words": 10_008,
        "unknown_words": 2,
    }


@pytest.mark.parametrize("shift", [False, True])
def test_shapes_and_gradients(shift: bool) -> None:
    model = encoder(shift=shift, mask=shift, word_dropout=0.2, embedding_dropout=0.2, feature_dropout=0.2)
    output = model.train()(prepared(model))
    assert output.shape == (3, 8)
    output.pow(2).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_word_dropout_leaves_gaps() -> None:
    model = encoder(word_dropout=0.5, shift=False).train()
    seen: list[torch.Tensor] = []
    model.embedding.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    ids = torch.ones(200, 12, dtype=torch.int64)
    model(ids)
    assert float((seen[0] == 0).float().mean()) == pytest.approx(0.5, abs=0.05)


def test_relu_ends_training_features_and_not_those_of_the_test() -> None:
    model = encoder()
    ids = prepared(model)
    assert model.train()(ids).min() >= 0
    assert model.eval()(ids).min() < 0
    assert encoder(test_before_relu=False).eval()(ids).min() >= 0
    assert encoder(relu=False).train()(ids).min() < 0


def test_masked_words_do_not_see_the_padding() -> None:
    """With a mask, a longer frame around the same words changes nothing; without one the padding is pooled, too."""
    for mask, same in ((True, True), (False, False)):
        model = untrivial(encoder(mask=mask, blocks=[2, 2], length=7)).eval()
        model.embedding.weight.data *= 4  # so that padding is among the largest of some feature
        ids = prepared(model, CAPTIONS[1:2])
        assert ids.all()
        longer = F.pad(ids, (0, 8))
        assert torch.allclose(model(ids), model(longer), atol=1e-5) == same


def test_state_round_trips() -> None:
    first, second = encoder(), encoder(embedding="random")
    ids = prepared(first)
    first.train()(ids)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.eval()(ids), second.eval()(ids))


# ------------------------------------------------------------------------------------------- word vectors
@pytest.fixture
def glove(tmp_path: Path) -> str:
    path = tmp_path / "glove.txt"
    path.write_text("dog 0.5 -1.5\nthe 1.0 2.0\ncat 3.0 3.0\nman -2.0 1.0\n")
    return str(path)


def test_the_vocabulary_is_that_of_train_words_with_a_vector(glove: str) -> None:
    model = encoder(vectors=glove, embedding_dim=None)
    assert model.vocabulary.words == ("dog", "the", "man")
    assert model.embedding.weight.tolist() == [[0, 0], [0.5, -1.5], [1, 2], [-2, 1]]
    assert "dogs" in encoder(vectors=glove, embedding_dim=None, vocabulary="all").vocabulary.words


def test_random_words_keep_the_vocabulary(glove: str) -> None:
    given, random = (encoder(vectors=glove, embedding_dim=None, embedding=k) for k in ("vectors", "random"))
    assert random.vocabulary.words == given.vocabulary.words
    assert not torch.equal(random.embedding.weight, given.embedding.weight)
    assert torch.equal(random.embedding.weight[0], torch.zeros(2))


def test_vectors_of_another_width_are_projected(glove: str) -> None:
    weight = encoder(vectors=glove, embedding_dim=7).embedding.weight.detach()[1:]
    assert weight.shape == (3, 7)
    assert int(torch.linalg.matrix_rank(weight)) == 2  # a projection of 2-d vectors


def test_the_width_of_a_word_is_300_without_vectors() -> None:
    assert encoder(embedding_dim=None).embedding.weight.shape == (len(encoder().vocabulary) + 1, 300)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"vocabulary": "vectors"}, "needs word vectors"),
        ({"blocks": [1, 0]}, r"blocks is \[1, 0\]"),
        ({"blocks": [1] * 5}, "1 to 4 numbers"),
        ({"length": 0}, "length 0"),
        ({"width": -1.0}, "width -1"),
        ({"word_dropout": 1.0}, "word_dropout is 1"),
    ],
)
def test_wrong_parameters_are_named(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        encoder(**wrong)
