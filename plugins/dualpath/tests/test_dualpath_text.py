"""The text path: its block table, its arithmetic, and what shifts, masks and unknown words do to it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation uses
from torch import nn

from harness.api import ParameterError
from harness_dualpath.blocks import Conv, Norm, stack
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
def test_parameters_of_the_paper() -> None:
    """36.3 million at Flickr30k's 20,074 words: the sum of the block table, row by row."""

    def block(inputs: int, a: int, b: int, c: int, *, projection: bool) -> int:
        convolutions = inputs * a + 2 * a * b + b * c + (inputs * c if projection else 0)
        return convolutions + 2 * (a + b + c + (c if projection else 0))  # scale and shift of each BN

    embed = 20_074 * 300 + 300 + 2 * 300
    a = block(300, 128, 128, 256, projection=True) + 2 * block(256, 64, 64, 256, projection=False)
    b = block(256, 512, 512, 512, projection=True) + 3 * block(512, 128, 128, 512, projection=False)
    c = block(512, 1024, 1024, 1024, projection=True) + 5 * block(1024, 256, 256, 1024, projection=False)
    d = block(1024, 2048, 2048, 2048, projection=True)
    head = 2048 * 2048 + 2 * 2048
    assert (embed, a, b, c, d, head) == (6_023_100, 265_728, 1_548_800, 7_494_656, 16_793_600, 4_198_400)
    with torch.device("meta"):
        blocks, features = stack(300, (3, 4, 6, 1), 1.0)
    assert features == 2048
    assert sum(p.numel() for block in blocks for p in block.parameters()) == a + b + c + d
    model = TextCNN(dim=2048, captions=[" ".join(f"w{k}" for k in range(20_074))])
    trained = sum(p.numel() for p in model.parameters())
    padding = 300  # the row of zeros stands in for the bias-only output of a one-hot convolution
    assert trained - padding == embed + a + b + c + d + head == 36_324_284


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


@pytest.mark.parametrize("kernel", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("length", [1, 7, 8])
def test_convolution_equals_torchs_with_one_zero_on_the_left(kernel: int, stride: int, length: int) -> None:
    torch.manual_seed(0)
    conv, words = Conv(5, 3, kernel=kernel, stride=stride), torch.randn(2, length, 5)
    # (outputs, kernel * inputs) -> (outputs, inputs, kernel)
    weight = conv.weight.view(3, kernel, 5).permute(0, 2, 1)
    padded = F.pad(words.transpose(1, 2), (kernel - 1, 0))
    expected = F.conv1d(padded, weight, stride=stride).transpose(1, 2)
    assert torch.allclose(conv(words), expected, atol=1e-6)


def test_normalisation_is_over_batch_and_words() -> None:
    torch.manual_seed(0)
    words = torch.randn(4, 6, 5)
    oracle = nn.BatchNorm1d(5, eps=1e-3)
    assert torch.allclose(Norm(5)(words), oracle(words.transpose(1, 2)).transpose(1, 2), atol=1e-5)


def test_initialisation_is_uniform_with_the_variance_of_the_fan_in() -> None:
    torch.manual_seed(0)
    weight = Conv(200, 100, kernel=2).weight.detach()
    assert float(weight.abs().max()) <= (3 / 400) ** 0.5
    assert float(weight.std()) == pytest.approx(400**-0.5, rel=0.02)


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
