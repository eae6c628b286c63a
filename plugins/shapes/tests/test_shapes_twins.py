"""The evaluator against scorers whose answer is known, and against a plain loop."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatch
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest

from harness.api import Record, ScoreError, Split
from harness_shapes.dataset import Shapes
from harness_shapes.hooks import harness_evaluators
from harness_shapes.scenes import ATTRIBUTES
from harness_shapes.twins import Twins

Floats = npt.NDArray[np.float32]


def unit(rows: npt.NDArray[np.floating]) -> Floats:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def evaluate(split: Split, image: Floats, text: Floats) -> dict[str, float]:
    return dict(Twins().evaluate(SimpleNamespace(split=split, image=image, text=text)))


@pytest.fixture(scope="module")
def split() -> Split:
    records = Shapes(images=1000).annotations(None).records
    return Split(name="test", records=tuple(record for record in records if record.split == "test"))


def one_hot(split: Split, place: Callable[[Record], str]) -> tuple[Floats, Floats]:
    """Return embeddings that tell images by id, with captions at the image that `place` names."""
    eye = np.eye(len(split.records), dtype=np.float32)
    position = {image: k for k, image in enumerate(split.image_ids)}
    targets = np.array([position[place(record)] for record in split.records])
    return eye, eye[targets[split.caption_image]]


def test_an_oracle_is_never_confused(split: Split) -> None:
    figures = evaluate(split, *one_hot(split, lambda record: record.image))
    names = [f"{direction}confusion" for direction in ("", "t2i.", "i2t.")]
    assert figures == dict.fromkeys([*names, *(f"{n}.{a}" for n in names for a in ATTRIBUTES)], 0.0)


def test_an_anti_oracle_is_always_confused(split: Split) -> None:
    figures = evaluate(split, *one_hot(split, lambda record: record.tags.get("twin", record.image)))
    assert set(figures.values()) == {1.0}


def test_a_constant_scorer_is_always_confused(split: Split) -> None:
    # 257 numbers, so that a sum in another order would break the ties.
    row = unit(np.random.default_rng(0).normal(size=(1, 257)))
    figures = evaluate(split, np.repeat(row, len(split.records), 0), np.repeat(row, len(split.captions), 0))
    assert set(figures.values()) == {1.0}


@pytest.mark.parametrize("blind", ATTRIBUTES)
def test_a_model_blind_to_an_attribute_is_confused_by_it_alone(split: Split, blind: str) -> None:
    twin = {r.image: min(r.image, r.tags["twin"]) for r in split.records if r.tags.get("attribute") == blind}
    names = {image: k for k, image in enumerate(split.image_ids)}
    eye = np.eye(len(names), dtype=np.float32)
    image = eye[[names[twin.get(i, i)] for i in split.image_ids]]
    figures = evaluate(split, image, image[split.caption_image])
    assert {a: figures[f"confusion.{a}"] for a in ATTRIBUTES} == {a: float(a == blind) for a in ATTRIBUTES}
    assert 0.15 < figures["confusion"] < 0.25


def test_it_agrees_with_a_plain_loop_and_random_scores_are_at_chance(split: Split) -> None:
    draws = np.random.default_rng(1)
    image = unit(draws.normal(size=(len(split.records), 8)))
    text = unit(draws.normal(size=(len(split.captions), 8)))
    figures = evaluate(split, image, text)
    lost: dict[str, list[list[int]]] = {}
    for a, record in enumerate(split.records):
        for b, other in enumerate(split.records):
            if record.tags.get("twin") != other.image:
                continue
            mine = [j for j, k in enumerate(split.caption_image) if k == a]
            theirs = [j for j, k in enumerate(split.caption_image) if k == b]
            t2i = [int(float(image[a] @ text[j]) <= float(image[b] @ text[j])) for j in mine]
            best = [max(float(image[a] @ text[j]) for j in captions) for captions in (mine, theirs)]
            for key in ("", f".{record.tags['attribute']}"):
                judged = lost.setdefault(key, [[], []])
                judged[0].extend(t2i)
                judged[1].append(int(best[0] <= best[1]))
    for key, (t2i, i2t) in lost.items():
        assert figures[f"t2i.confusion{key}"] == pytest.approx(np.mean(t2i))
        assert figures[f"i2t.confusion{key}"] == pytest.approx(np.mean(i2t))
        assert figures[f"confusion{key}"] == pytest.approx((np.mean(t2i) + np.mean(i2t)) / 2)
    assert len(figures) == 3 * len(lost) == 18
    assert 0.35 < figures["confusion"] < 0.65


def test_the_order_of_the_gallery_does_not_matter(split: Split) -> None:
    draws = np.random.default_rng(2)
    image = unit(draws.normal(size=(len(split.records), 8)))
    text = unit(draws.normal(size=(len(split.captions), 8)))
    order = draws.permutation(len(split.records))
    captions = np.concatenate([np.flatnonzero(split.caption_image == k) for k in order])
    shuffled = Split(name="test", records=tuple(split.records[k] for k in order))
    assert evaluate(shuffled, image[order], text[captions]) == pytest.approx(evaluate(split, image, text))


def pair(
    *, captions: tuple[int, int] = (1, 1), twins: tuple[str, str] = ("b", "a"), attribute: str = "colour"
) -> Split:
    records = [
        Record(
            image=name,
            split="test",
            captions=tuple(f"{name}{k}" for k in range(number)),
            tags={"twin": twin, "attribute": attribute} if twin else {},
        )
        for name, number, twin in zip("ab", captions, twins, strict=True)
    ]
    return Split(name="test", records=tuple(records))


def test_captions_weigh_alike_in_t2i_and_images_in_i2t() -> None:
    split = pair(captions=(1, 3))
    image = np.eye(2, dtype=np.float32)
    text = unit(np.array([[1.0, 0.0], [1.0, 0.5], [1.0, 0.5], [0.6, 1.0]]))
    # Of the captions, the second and third prefer the twin; image a has its best caption, image b as well.
    assert evaluate(split, image, text) == pytest.approx(
        {
            **{f"confusion{key}": 0.25 for key in ("", ".colour")},
            **{f"t2i.confusion{key}": 0.5 for key in ("", ".colour")},
            **{f"i2t.confusion{key}": 0.0 for key in ("", ".colour")},
        }
    )


def test_without_twins_there_are_no_figures() -> None:
    eye = np.eye(2, dtype=np.float32)
    assert evaluate(pair(twins=("", "")), eye, eye) == {}
    assert evaluate(Split(name="test", records=()), eye[:0], eye[:0]) == {}


def test_a_twin_outside_the_split_is_left_out() -> None:
    eye = np.eye(2, dtype=np.float32)
    assert evaluate(pair(twins=("c", "")), eye, eye) == {}
    assert evaluate(pair(captions=(1, 0)), eye, eye[:1]) == {}
    assert evaluate(pair(twins=("b", "")), eye, eye[::-1].copy())["confusion"] == 1.0


def test_a_twin_without_an_attribute_counts_overall_only() -> None:
    eye = np.eye(2, dtype=np.float32)
    figures = evaluate(pair(attribute=""), eye, eye)
    assert figures == {"confusion": 0.0, "t2i.confusion": 0.0, "i2t.confusion": 0.0}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_score_that_is_no_number_is_an_error(bad: float) -> None:
    eye = np.eye(2, dtype=np.float32)
    text = eye.copy()
    text[1, 1] = bad
    with np.errstate(invalid="ignore"), pytest.raises(ScoreError, match="image 'a' is NaN or infinite"):
        evaluate(pair(), eye, text)


def test_the_names_of_the_figures_are_declared(split: Split) -> None:
    (spec,) = harness_evaluators()
    figures = evaluate(split, *one_hot(split, lambda record: record.image))
    assert all(any(fnmatch(name, pattern) for pattern in spec.metrics) for name in figures)
