"""Words and vocabulary: of the train captions alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.api import ParameterError
from harness_dualpath.vocabulary import build_vocabulary, tokens

CAPTIONS = ["A dog runs .", "the dog's Ball", "A well-known dog"]


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("A dog , running.", ["A", "dog", "running"]),
        ("the dog's ball and dogs' balls", ["the", "dog", "ball", "and", "dogs", "balls"]),
        ("a t-shirt - don\u2019t", ["a", "t-shirt", "don\u2019t"]),
        ("caf\u00e9 \u72ac 2 men", ["caf\u00e9", "\u72ac", "2", "men"]),
        ("", []),
        (" .,;!?'\"- ", []),
        ("\x00\u202e\x1b[31m | <script>", ["31m", "script"]),
    ],
)
def test_words_of_a_caption(caption: str, words: list[str]) -> None:
    assert tokens(caption, lower=False) == words


def test_lower_casing_is_a_choice() -> None:
    assert tokens("A Dog", lower=True) == ["a", "dog"]


@given(st.text())
def test_any_text_has_words_without_spaces(caption: str) -> None:
    assert all(word and not any(letter.isspace() for letter in word) for word in tokens(caption, lower=True))


def test_the_paper_keeps_train_words_whose_exact_form_has_a_vector() -> None:
    known = {"dog", "A", "ball", "runs", "cat"}  # "Ball" differs in case, "cat" is in no caption
    found = build_vocabulary(CAPTIONS, lower=False, min_count=1, known=known)
    assert found.words == ("dog", "A", "runs")


def test_all_words_in_the_order_of_their_frequency() -> None:
    found = build_vocabulary(CAPTIONS, lower=True, min_count=1, known=None)
    assert found.words == ("dog", "a", "ball", "runs", "the", "well-known")
    assert build_vocabulary(CAPTIONS, lower=True, min_count=2, known=None).words == ("dog", "a")
    assert build_vocabulary(CAPTIONS[::-1], lower=True, min_count=1, known=None).words == found.words


def test_unknown_words_are_dropped_and_counted() -> None:
    vocabulary = build_vocabulary(CAPTIONS, lower=True, min_count=2, known=None)
    assert vocabulary.encode("the DOG sees a dog") == ([1, 2, 1], 2)
    assert vocabulary.encode("nothing known") == ([], 2)
    assert vocabulary.encode("") == ([], 0)
    assert len(vocabulary) == 2


def test_an_empty_vocabulary_says_why() -> None:
    with pytest.raises(ParameterError, match=r"of 3 words in 1 train captions none is left") as caught:
        build_vocabulary(["A Big Dog"], lower=False, min_count=1, known={"dog"})
    assert "lower: true" in caught.value.hint
