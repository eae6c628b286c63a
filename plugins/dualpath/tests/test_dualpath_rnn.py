"""The recurrent opponent: what it reads of a caption, what its head sees, and that it shares words and head."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation uses
from torch import nn

from harness.api import ParameterError
from harness_dualpath.rnn import TextRNN
from harness_dualpath.text import TextCNN

CAPTIONS = ["a dog runs over the grass", "two dogs", "the man sees a dog", "dog"]
VARIANTS = list(itertools.product(("gru", "lstm"), (1, 2), (False, True), ("last", "max", "mean")))


def encoder(**parameters: object) -> TextRNN:
    torch.manual_seed(0)
    given: dict[str, object] = {
        "dim": 8,
        "captions": CAPTIONS,
        "hidden": 6,
        "length": 9,
        "embedding_dim": 5,
        "relu": False,
    }
    model = TextRNN(**{**given, **parameters})  # type: ignore[arg-type]
    # Values of which a step of padding would leave a trace.
    model.embedding_bias.data.uniform_(-2, 2)
    model.embedding_norm.norm.bias.data.uniform_(-1, 1)
    return model


def prepared(model: TextRNN, captions: list[str] = CAPTIONS) -> torch.Tensor:
    return torch.stack([model.prepare(caption, training=False) for caption in captions])


def stepped(model: TextRNN, ids: list[int], *, pool: str) -> torch.Tensor:
    """Read one caption word by word with torch's cells: the state after each word, in both directions."""
    words = model.eval().embed_words(torch.tensor([ids or [0]]))[0]
    network: Any = model.recurrent
    for layer in range(network.num_layers):
        sides = []
        for direction in range(model.directions):
            suffix = f"_l{layer}{'_reverse' if direction else ''}"
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            kind = nn.GRUCell if isinstance(network, nn.GRU) else nn.LSTMCell
            cell: Any = kind(words.shape[1], network.hidden_size)
            cell.load_state_dict({name: getattr(network, name + suffix) for name in names})
            state, states = None, []
            for word in words.flip(0) if direction else words:
                state = cell(word.unsqueeze(0), state)
                states.append((state if isinstance(network, nn.GRU) else state[0])[0])
            sides.append(torch.stack(states[::-1] if direction else states))
        words = torch.cat(sides, dim=1)
    size = network.hidden_size
    if pool == "last":
        return torch.cat([words[-1, :size], words[0, size:]])
    return words.amax(0) if pool == "max" else words.mean(0)


@pytest.mark.parametrize(("cell", "layers", "bidirectional", "pool"), VARIANTS)
def test_a_batch_equals_captions_read_word_by_word(
    cell: str, layers: int, bidirectional: bool, pool: str
) -> None:
    model = encoder(cell=cell, layers=layers, bidirectional=bidirectional, pool=pool).eval()
    ids = prepared(model, [*CAPTIONS, "", "unknown"])
    with torch.no_grad():
        features = torch.stack([stepped(model, row[row > 0].tolist(), pool=pool) for row in ids])
        expected = model.projection(features)
        assert torch.allclose(model(ids), expected, atol=1e-5)
        # Captions of one length take another way to the same states.
        same = ids[:1].repeat(3, 1)
        assert torch.allclose(model(same), expected[:1].expand(3, 8), atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("pool", ["last", "max", "mean"])
def test_padding_is_not_seen(training: bool, pool: str) -> None:
    """A longer frame changes nothing, not even the batch statistics of training."""
    model = encoder(pool=pool, bidirectional=True).train(training)
    ids = prepared(model)
    assert torch.allclose(model(ids), model(F.pad(ids, (0, 20))), atol=1e-6)
    if training:
        count = int((ids > 0).sum())
        words = (model.embedding(ids) + model.embedding_bias)[ids > 0]
        assert words.shape == (count, 5)
        fresh = encoder(pool=pool, bidirectional=True).train()
        fresh(ids)
        assert torch.allclose(fresh.embedding_norm.norm.running_mean, 0.1 * words.mean(0), atol=1e-6)


def test_an_embedding_does_not_depend_on_the_batch() -> None:
    model = encoder(word_dropout=0.5, embedding_dropout=0.5, feature_dropout=0.5).eval()
    ids, state = prepared(model), torch.get_rng_state()
    alone = torch.cat([model(row.unsqueeze(0)) for row in ids])
    assert torch.allclose(model(ids), alone, atol=1e-6)
    assert torch.equal(model(ids), model(ids))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.pdist(alone).min() > 1e-3


@pytest.mark.parametrize("pool", ["last", "max", "mean"])
def test_captions_without_a_known_word_are_embedded_alike(pool: str) -> None:
    model = encoder(pool=pool)
    ids = prepared(model, ["", "zzz", CAPTIONS[0]])
    for training in (True, False):
        output = model.train(training)(ids)
        assert torch.isfinite(output).all()
        assert torch.allclose(output[0], output[1], atol=1e-6)
    assert torch.isfinite(model.train()(ids[:2])).all()
    assert model.report()["without_words"] == 2


def test_a_dropped_word_is_left_out_as_an_unknown_one_is() -> None:
    model = encoder().eval()
    ids = prepared(model, ["the man sees a dog", "the man a dog"])
    gap = ids[:1].clone()
    gap[0, 2] = 0
    assert torch.allclose(model(gap), model(ids[1:]), atol=1e-6)

    dropping, seen = encoder(word_dropout=0.5).train(), list[torch.Tensor]()
    dropping.embedding.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    dropping(torch.arange(1, 10).repeat(400, 1))
    assert seen[0].numel() / 3600 == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(("cell", "layers", "bidirectional", "pool"), VARIANTS[::3])
def test_shapes_and_gradients(cell: str, layers: int, bidirectional: bool, pool: str) -> None:
    model = encoder(
        cell=cell,
        layers=layers,
        bidirectional=bidirectional,
        pool=pool,
        word_dropout=0.1,
        embedding_dropout=0.2,
        feature_dropout=0.2,
    ).train()
    output = model(prepared(model))
    assert output.shape == (4, 8)
    (output * torch.linspace(-1, 1, 8)).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    assert model.embedding.weight.grad is not None
    assert model.embedding.weight.grad[1:].abs().sum() > 0
    assert not model.embedding.weight.grad[0].any()


def test_words_and_head_are_those_of_the_cnn() -> None:
    recurrent = encoder(lower=True, min_count=2, relu=True)
    torch.manual_seed(0)
    convolved = TextCNN(
        dim=8, captions=CAPTIONS, width=0.125, length=9, embedding_dim=5, lower=True, min_count=2
    )
    assert recurrent.vocabulary.words == convolved.vocabulary.words
    caption = "A dog and the dog"
    assert torch.equal(recurrent.prepare(caption, training=True), convolved.prepare(caption, training=True))
    assert torch.equal(recurrent.embedding.weight, convolved.embedding.weight)  # the same draws
    names = {name for name in recurrent.state_dict() if not name.startswith("recurrent.")}
    assert names == {name for name in convolved.state_dict() if not name.startswith("blocks.")}
    ids = prepared(recurrent)
    assert recurrent.train()(ids).min() >= 0
    assert recurrent.eval()(ids).min() < 0


def test_parameters_of_the_default_size() -> None:
    """VSE++'s 1024-wide GRU over words of 300: three gates of input, state and two biases."""
    model = TextRNN(dim=2048, captions=CAPTIONS)
    gates = 3 * (300 * 1024 + 1024 * 1024 + 2 * 1024)
    assert sum(p.numel() for p in model.recurrent.parameters()) == gates
    assert sum(p.numel() for p in model.projection.parameters()) == 1024 * 2048 + 2 * 2048


def test_half_precision_passes() -> None:
    model = encoder().train()
    ids = prepared(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(ids)
    output.float().sum().backward()
    assert torch.isfinite(output).all()
    assert torch.allclose(output.float(), model(ids), atol=0.3)


def test_state_round_trips() -> None:
    first, second = encoder(), encoder(embedding="random", vocabulary="all")
    ids = prepared(first)
    first.train()(ids)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.eval()(ids), second.eval()(ids))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hidden": 0}, "hidden 0"),
        ({"layers": 0}, "layers 0"),
        ({"length": 0}, "length 0"),
        ({"vocabulary": "vectors"}, "needs word vectors"),
        ({"word_dropout": 1.0}, "word_dropout is 1"),
        ({"vectors": "nowhere.txt"}, "no word-vector file"),
    ],
)
def test_wrong_parameters_are_named(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        encoder(**wrong)
