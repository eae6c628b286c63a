"""Words and their weights against plain loops and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.api import ParameterError, TrainingError
from harness_baselines.tfidf import TfIdf
from harness_baselines.vocabulary import Vocabulary, tokenize

CAPTIONS = (
    "A black dog runs over the grass .",
    "The black dog and the brown dog play",
    "Girl in a red T-shirt plays the violin",
    "A dog's ball",
    "the violin",
)


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("A black-and-white Dog , runs !", ["a", "black-and-white", "dog", "runs"]),
        ("the dog's ball; a dog 's ball", ["the", "dog's", "ball", "a", "dog", "s", "ball"]),
        ("snake_case 42 --- ' -", ["snake", "case", "42"]),
        ("Ein Mädchen läuft über die Straße", ["ein", "mädchen", "läuft", "über", "die", "straße"]),
        ("\x00\u202e<b>[/red]|", ["b", "red"]),
        ("", []),
    ],
)
def test_tokens(caption, words):
    assert tokenize(caption, lower=True) == words


def test_case_is_kept_on_request():
    assert tokenize("A dog and a Dog", lower=False) == ["A", "dog", "and", "a", "Dog"]


def test_rare_words_are_left_out_and_the_rest_is_numbered_from_one():
    vocabulary = Vocabulary(CAPTIONS, min_count=2, lower=True)
    assert vocabulary.words == ["a", "black", "dog", "the", "violin"]
    assert vocabulary.encode("the cat and the violin", 4).tolist() == [4, 4, 5, 0]
    assert vocabulary.encode("dog " * 10_000, 3).tolist() == [3, 3, 3]
    assert vocabulary.encode("", 2).tolist() == [0, 0]
    assert vocabulary.encode("dog", 2).dtype == torch.int64


def test_words_can_be_restricted():
    assert Vocabulary(CAPTIONS, min_count=1, lower=True, known={"dog", "cat"}).words == ["dog"]


def test_a_vocabulary_of_nothing_is_an_error():
    with pytest.raises(TrainingError, match="occurs 9 times"):
        Vocabulary(CAPTIONS, min_count=9, lower=True)
    with pytest.raises(TrainingError, match="has a vector"):
        Vocabulary(CAPTIONS, min_count=1, lower=True, known=())


def embedded(encoder, captions):
    return encoder.features(torch.stack([encoder.prepare(caption, training=False) for caption in captions]))


def loops(train, captions, min_count):
    """Compute TF-IDF word by word."""
    tokens = [tokenize(caption, lower=True) for caption in train]
    words = sorted({w for t in tokens for w in t if sum(u.count(w) for u in tokens) >= min_count})
    rows = []
    for caption in captions:
        row = []
        for word in words:
            df = sum(word in t for t in tokens)
            row.append(
                tokenize(caption, lower=True).count(word) * (math.log((1 + len(train)) / (1 + df)) + 1)
            )
        length = math.sqrt(sum(value**2 for value in row))
        rows.append([value / length if length else 0.0 for value in row])
    return np.array(rows)


@settings(max_examples=30, deadline=None)
@given(
    captions=st.lists(st.lists(st.sampled_from("abcdef"), max_size=8).map(" ".join), min_size=1, max_size=6),
    min_count=st.integers(1, 2),
)
def test_tfidf_is_that_of_the_loops(captions, min_count):
    train = ("a a b c", "b f", *captions)
    encoder = TfIdf(dim=2, captions=train, min_count=min_count)
    np.testing.assert_allclose(embedded(encoder, captions), loops(train, captions, min_count), atol=1e-6)


def test_tfidf_is_that_of_scikit_learn():
    text = pytest.importorskip("sklearn.feature_extraction.text")
    held_out = ("A girl and an unknown dog , dog", "nothing of it", "The the THE")
    encoder = TfIdf(dim=2, captions=CAPTIONS, min_count=1)
    judge = text.TfidfVectorizer(
        tokenizer=lambda c: tokenize(c, lower=True), token_pattern=None, lowercase=False
    )
    judge.fit(CAPTIONS)
    assert list(judge.get_feature_names_out()) == encoder.vocabulary.words
    for captions in (CAPTIONS, held_out):
        np.testing.assert_allclose(
            embedded(encoder, captions), judge.transform(captions).toarray(), atol=1e-6
        )


def test_tfidf_embeds_by_the_map_that_was_set():
    encoder = TfIdf(dim=3, captions=CAPTIONS, min_count=1)
    weight, bias = torch.randn(len(encoder.vocabulary), 3), torch.randn(3)
    encoder.project(weight, bias)
    batch = torch.stack([encoder.prepare(caption, training=False) for caption in (*CAPTIONS, "xyzzy")])
    torch.testing.assert_close(encoder(batch), encoder.features(batch) @ weight + bias)
    torch.testing.assert_close(encoder(batch)[-1], bias)  # no known word


@pytest.mark.parametrize("name", ["min_count", "length"])
def test_numbers_out_of_range_are_named(name):
    with pytest.raises(ParameterError, match=f"tfidf: parameter '{name}' is 0"):
        TfIdf(dim=2, captions=CAPTIONS, **{name: 0})
