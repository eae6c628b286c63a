"""Words that a text encoder knows, asked from outside, and where it has them from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.build import build
from harness.catalog import Catalog
from harness.leaks.findings import Finding
from harness.leaks.vocabulary import check_vocabularies
from harness.leaks.words import ELSEWHERE, ENGLISH, NONSENSE, Reader, words_of
from harness.plan import Part
from harness.store import Result, Store

TRAIN = (
    "A dog and a cat sit in the shade of the T-shirt stall .",
    "Dog's owner jumps , the crowd of people cheers and waves in a street",
)
VAL, TEST = (
    ("A zebra waves in the street .",),
    ("The dog and a Giraffe eat pancakes", "giraffe , dog and dog"),
)
OWN = {"zebra", "giraffe", "eat", "pancakes"}
"""Words of val and test that stand not in train."""


@pytest.fixture
def drawn(world: Any) -> Any:
    image = world.photograph(1, 16)
    return world.dataset(
        {"train:a": image, "train:b": image, "val:c": image, "test:d": image},
        {"train:a": TRAIN[:1], "train:b": TRAIN[1:], "val:c": VAL, "test:d": TEST},
    )


@pytest.fixture
def check(encoders: Catalog, store: Store, drawn: Any, tmp_path: Path) -> Callable[..., list[Finding]]:
    def run(*results: Result) -> list[Finding]:
        return check_vocabularies(results, store, encoders, tmp_path, lambda result: drawn)

    return run


def made(catalog: Catalog, use: str, captions: tuple[str, ...] = TRAIN, **params: Any) -> Any:
    part = Part(name="text", use=use, revision=1, params=params)
    return build(part, "encoder", catalog, dim=8, captions=captions, classes=2, seed=0)


@pytest.mark.parametrize(
    ("use", "params"),
    [
        ("table", {}),
        ("tfidf", {"min_count": 1}),
        ("bag-of-words", {}),
        ("text-cnn", {"blocks": [1], "width": 0.1, "embedding_dim": 16, "length": 8}),
        ("text-rnn", {"embedding_dim": 16, "length": 8}),
    ],
)
def test_encoders_know_the_words_of_train_and_no_other(
    use: str, params: dict[str, Any], encoders: Catalog
) -> None:
    reader = Reader(made(encoders, use, **params))
    words = words_of([*TRAIN, *VAL, *TEST])
    assert reader.has_vocabulary
    known = reader.known(words.counts, words.forms)
    assert {"dog", "cat", "people", "waves"} <= known
    assert not known & OWN
    assert not reader.known([*NONSENSE, *ELSEWHERE], {})


def test_words_are_whole_in_every_tokenizer() -> None:
    words = words_of(["A Dog's T-shirt, 2 dogs' X9 Café", "dog"])
    assert words.counts == {"dog": 2, "shirt": 1, "dogs": 1, "café": 1}
    assert words.forms["dog"] == {"Dog", "dog"}
    assert words.forms["café"] == {"Café", "café"}


def test_a_case_is_asked_for_as_it_is_written(encoders: Catalog) -> None:
    cased = {"lower": False, "blocks": [1], "width": 0.1, "embedding_dim": 16, "length": 8}
    reader = Reader(made(encoders, "text-cnn", ("A Dog .",), **cased))
    assert reader.known(["dog"], {}) == set()
    assert reader.known(["dog"], words_of(["Dog"]).forms) == {"dog"}


def test_words_of_train_alone_are_no_leak_and_what_test_lacks_is_told(
    keep: Any, drawn: Any, encoders: Catalog, check: Any
) -> None:
    one = keep(drawn, encoder=made(encoders, "table"))
    two = keep(drawn, encoder=made(encoders, "table"), image={"width": 3})
    (finding,) = check(one, two)
    assert (finding.severity, finding.subject) == ("note", "drawn: Table (2 runs)")
    assert finding.items == ("giraffe", "eat", "pancakes")
    # the, dog, and, Giraffe, eat, pancakes; giraffe, dog, and, dog: four of ten.
    assert finding.what.startswith("3 of 6 words of test are not in the vocabulary")
    assert "40.00 %" in finding.what


def test_a_vocabulary_of_all_captions_is_a_leak(
    keep: Any, drawn: Any, encoders: Catalog, check: Any, tmp_path: Path
) -> None:
    file = tmp_path / "all captions.txt"
    file.write_text(" ".join(["", *VAL, *TEST[:1]]))
    params = {"file": str(file)}
    leaky = made(encoders, "table", **params)
    found = check(keep(drawn, text={"params": {"file": f"file:{file}"}, "files": {}}, encoder=leaky))
    assert [(f.severity, f.count) for f in found] == [("leak", 4)]
    assert set(found[0].items) == OWN
    assert (
        f"4 of 4 words that stand in val or test and not in train, and 0 of {len(ELSEWHERE)}" in found[0].what
    )
    assert "`captions`" in found[0].next


def test_a_list_of_words_from_elsewhere_is_a_note(
    keep: Any, drawn: Any, encoders: Catalog, check: Any, tmp_path: Path
) -> None:
    file = tmp_path / "dictionary.txt"
    file.write_text(" ".join(["", "zebra", "giraffe", *ELSEWHERE[:5]]))
    found = check(keep(drawn, text={"params": {"file": f"file:{file}"}, "files": {}}))
    assert [(f.severity, f.count) for f in found] == [("note", 2), ("note", 2)]
    assert "elsewhere" in found[0].what


def test_english_words_prove_nothing_of_another_language(
    keep: Any, world: Any, encoders: Catalog, store: Store, tmp_path: Path
) -> None:
    assert words_of(TRAIN).counts.keys() >= ENGLISH
    image = world.photograph(1, 16)
    german = world.dataset(
        {"train:a": image, "test:d": image},
        {"train:a": ("Ein Hund und eine Katze .",), "test:d": ("Ein Pferd im Gras",)},
    )
    file = tmp_path / "woerter.txt"
    file.write_text(" Pferd im")
    run = keep(german, text={"params": {"file": f"file:{file}"}, "files": {}})
    found = check_vocabularies([run], store, encoders, tmp_path, lambda result: german)
    assert [f.severity for f in found] == ["note", "note"]


def test_an_encoder_without_a_vocabulary_is_left_alone(keep: Any, drawn: Any, check: Any) -> None:
    assert check(keep(drawn, text={"use": "hashed"})) == []


def test_stored_weights_of_another_vocabulary_are_a_leak(
    keep: Any, drawn: Any, encoders: Catalog, check: Any
) -> None:
    wide = made(encoders, "table", (*TRAIN, *VAL, *TEST))
    found = check(keep(drawn, encoder=wide), keep(drawn, encoder=made(encoders, "table")))
    assert [f.severity for f in found] == ["leak", "note"]
    assert found[0].count == 1
    assert "text.embedding.weight is (25, 8), from train captions (21, 8)" in found[0].items[0]


def test_what_cannot_be_checked_is_said(keep: Any, drawn: Any, check: Any) -> None:
    for text, why in (
        ({"revision": 7}, "revision 7 of 'table' is asked for, 1 installed"),
        ({"use": "unheard-of"}, "unheard-of"),
        ({"params": {"fault": "boom"}}, "failed to prepare 'qzxvkjw': ZeroDivisionError: boom"),
        ({"params": {"file": "file:gone.txt"}}, "gone.txt"),
        ({"params": {"width": 3}}, "width"),
    ):
        (finding,) = check(keep(drawn, text={**text, "files": {}}))
        assert finding.severity == "note"
        assert "could not be checked" in finding.what
        assert why in finding.what
    assert check(keep(drawn, imported={"kind": "import", "form": "embeddings"})) == []
