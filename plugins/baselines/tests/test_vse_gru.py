"""The GRU of VSE++ against its equations, and what the captions beside one may not change."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.api import ParameterError, TrainingError
from harness_baselines.gru import VseGru

CAPTIONS = ("a black dog runs", "the dog and the cat", "a cat", "red")


def gru(**params):
    torch.manual_seed(0)
    return VseGru(**{"dim": 4, "captions": CAPTIONS, "width": 6, "min_count": 1, "length": 8} | params)


def batch(encoder, captions=CAPTIONS):
    return torch.stack([encoder.prepare(caption, training=False) for caption in captions])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_a_state_is_that_of_the_equations():
    encoder = gru()
    weight = {name: value.detach().double().numpy() for name, value in encoder.recurrent.named_parameters()}
    words = encoder.vocabulary.words
    table = encoder.embedding.weight.detach().double().numpy()
    for caption, row in zip(CAPTIONS, encoder(batch(encoder)), strict=True):
        state = np.zeros(4)
        for word in caption.split():
            x = weight["weight_ih_l0"] @ table[1 + words.index(word)] + weight["bias_ih_l0"]
            h = weight["weight_hh_l0"] @ state + weight["bias_hh_l0"]
            reset, update = sigmoid(x[:4] + h[:4]), sigmoid(x[4:8] + h[4:8])
            new = np.tanh(x[8:] + reset * h[8:])
            state = (1 - update) * new + update * state
        np.testing.assert_allclose(row.detach(), state, atol=1e-6)


def test_padding_and_neighbours_change_nothing():
    encoder, longer = gru(), gru(length=30)
    longer.load_state_dict(encoder.state_dict())
    together = encoder(batch(encoder))
    torch.testing.assert_close(together, longer(batch(longer)))
    for caption, row in zip(CAPTIONS, together, strict=True):
        torch.testing.assert_close(encoder(batch(encoder, (caption,)))[0], row)
    assert (
        together[0] - encoder(batch(encoder, ("runs dog black a",)))[0]
    ).abs().max() > 1e-3  # order counts


def test_a_caption_of_no_known_word_has_an_embedding():
    encoder = gru()
    embedded = encoder(batch(encoder, ("xyzzy", "", "\x00", "a cat")))
    assert torch.isfinite(embedded).all()
    assert torch.equal(embedded[0], embedded[1])
    assert not torch.equal(embedded[0], embedded[3])


def test_all_parameters_learn_but_the_padding():
    encoder = gru()
    encoder(batch(encoder, (*CAPTIONS, "xyzzy"))).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
    assert encoder.embedding.weight.grad[0].abs().sum() == 0
    assert encoder.embedding.weight.grad[1:].abs().sum(1).min() > 0


def test_embeddings_start_as_in_the_paper_or_from_vectors(tmp_path):
    drawn = gru(width=200).embedding.weight
    assert drawn[0].abs().sum() == 0
    assert 0.09 < drawn.abs().max() <= 0.1
    path = tmp_path / "v.txt"
    path.write_text("dog 1 2 3\ncat 0 0 1\n")
    encoder = gru(width=3, vectors=str(path))
    assert encoder.vocabulary.words == ["a", "and", "black", "cat", "dog", "red", "runs", "the"]
    table = encoder.embedding.weight
    assert table[[0, 4, 5]].tolist() == [[0, 0, 0], [0, 0, 1], [1, 2, 3]]
    assert 0.1 < table[[1, 2, 3, 6, 7, 8]].std() < 3
    assert table.requires_grad


def test_it_runs_in_bfloat16():
    encoder = gru()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        embedded = encoder(batch(encoder))
    torch.testing.assert_close(embedded.float(), encoder(batch(encoder)), atol=0.02, rtol=0)


def test_a_vocabulary_of_nothing_is_an_error():
    with pytest.raises(TrainingError, match="occurs 9 times"):
        gru(min_count=9)


@pytest.mark.parametrize("name", ["width", "min_count", "length"])
def test_numbers_out_of_range_are_named(name):
    with pytest.raises(ParameterError, match=f"vse-gru: parameter '{name}' is 0"):
        gru(**{name: 0})
