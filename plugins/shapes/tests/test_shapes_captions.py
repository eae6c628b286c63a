"""The captions, read back by a grammar of its own: each of them tells the whole scene."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

import pytest

from harness_shapes.captions import write_captions
from harness_shapes.planning import plan
from harness_shapes.scenes import COLOURS, Scene, Thing, draw_scene
from harness_shapes.stream import Stream

SIZES = {"small": "small little tiny", "medium": "medium midsize", "large": "large big huge"}
SHAPES = {
    **{name: name for name in ("square", "triangle", "star", "heart", "diamond")},
    "circle": "circle disc",
    "cross": "cross plus",
    "ring": "ring hoop",
}
RELATIONS = {"left": "left", "right": "right", "above": "above over higher", "below": "below under beneath"}
TEXTURES = {
    "plain": "plain blank empty",
    "striped": "striped stripes",
    "dotted": "dotted dots spotted",
    "checkered": "checkered chequered checkerboard checks",
    "grid": "grid graph",
    "wavy": "wavy waves",
}
THING = re.compile(rf"\ban? ({'|'.join(' '.join(SIZES.values()).split())}) ([a-z]+) ([a-z]+)")


def meaning(words: dict[str, str], text: str) -> list[str]:
    """List what the words of `text` stand for, in order and without those that stand for nothing."""
    values = {word: value for value, synonyms in words.items() for word in synonyms.split()}
    return [values[word] for word in re.findall(r"[a-z]+", text) if word in values]


def read(caption: str) -> Scene:
    """Read a caption as a person would: what there is, where, before what."""
    text = caption.lower()
    found = list(THING.finditer(text))
    things = [
        Thing(match[2].replace("violet", "purple"), *meaning(SIZES, match[1]), *meaning(SHAPES, match[3]))
        for match in found
    ]
    ends = [*(match.start() for match in found[1:]), len(text)]
    after = [text[match.end() : end] for match, end in zip(found, ends, strict=True)]
    # "X above Y", and "X and Y ..., the red one above the blue"
    relation = meaning(RELATIONS, after[0])
    if not relation and re.search(r"\bone\b", after[1]):
        relation = meaning(RELATIONS, after[1])
    if not relation:  # "above X is Y", and "X with Y above it"
        relation = meaning(RELATIONS, text[: found[0].start()]) or meaning(RELATIONS, after[1])
        things[:2] = things[1], things[0]
    side = meaning(RELATIONS, after[2])[0] if len(found) == 3 else ""
    (texture,) = set(meaning(TEXTURES, THING.sub("", text)))
    return Scene(things=tuple(things), relation=relation[0], side=side, texture=texture, look="")


@pytest.mark.parametrize("data_seed", [0, 7])
def test_every_caption_tells_the_whole_scene(data_seed: int) -> None:
    for record, scene in plan(1500, data_seed, 1.0):
        for caption in record.captions:
            assert read(caption).key == scene.key, caption


def test_captions_of_an_image_are_five_different_sentences() -> None:
    for record, _ in plan(1000, 0, 0.5):
        # Other words in one frame would not be a paraphrase.
        assert len({THING.sub("X", caption.lower()) for caption in record.captions}) == 5


def test_captions_are_sentences() -> None:
    captions = [caption for record, _ in plan(1500, 0, 0.5) for caption in record.captions]
    for caption in captions:
        assert re.fullmatch(r"[A-Za-z]+([,;.]? [A-Za-z]+)*\.?", caption), caption
        assert caption[0].isupper() == caption.endswith("."), caption
        assert not re.search(r"\ba [aeiou]", caption), caption
    casual = sum(caption[0].islower() for caption in captions) / len(captions)
    assert 0.2 < casual < 0.3


def test_no_caption_is_longer_than_the_text_encoders_read() -> None:
    stream = Stream("longest")
    for number in range(3000):
        for caption in write_captions(draw_scene(stream, ""), f"{number}"):
            assert len(re.findall(r"\w+", caption)) <= 32, caption


def test_captions_of_twins_differ_in_the_words_of_the_attribute_only() -> None:
    words = {
        "colour": {*COLOURS, "violet"},
        "size": set(" ".join(SIZES.values()).split()),
        "shape": set(" ".join(SHAPES.values()).split()),
        "relation": set(" ".join(RELATIONS.values()).split())
        | {"to", "the", "on", "of", "than", "its", "it", "both", "them", "their", "two"},
        "texture": set(" ".join(TEXTURES.values()).split())
        | {"a", "an", "of", "in", "all", "covered", "background", "backdrop", "polka", "paper", "lines"},
    }
    records = {record.image: record for record, _ in plan(2000, 0, 1.0)}
    for record in records.values():
        if not record.tags:
            continue
        for mine, theirs in zip(record.captions, records[record.tags["twin"]].captions, strict=True):
            one, other = (re.findall("[a-z]+", caption.lower()) for caption in (mine, theirs))
            edits = SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
            touched = {w for kind, a, b, c, d in edits if kind != "equal" for w in one[a:b] + other[c:d]}
            assert touched, mine
            assert touched <= words[record.tags["attribute"]], (mine, theirs)
