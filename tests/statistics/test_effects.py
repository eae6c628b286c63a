"""Contrasts and main effects over the cells of a matrix."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from harness.errors import ParameterError, ScoreError
from harness.statistics import Cell, Sample, attribution, compare, contrast, seed_contrast


def rsum(samples: list[Sample]) -> float:
    return float(np.mean([sample.figures()["rsum"] for sample in samples]))


def cells(world: Any, seeds: int, images: int = 150) -> list[Cell]:
    """A 2 x 3 matrix: the backbone adds 0.4, losses b and c add 0.2 and 0.6."""
    backbones, losses = {"small": 0.0, "large": 0.4}, {"a": 0.0, "b": 0.2, "c": 0.6}
    made = []
    for place, (backbone, loss) in enumerate(itertools.product(backbones, losses)):
        skill = backbones[backbone] + losses[loss]
        runs = range(10 * place, 10 * place + seeds)
        samples = [world(1).sample(images, skill=skill, run=run) for run in runs]
        made.append(Cell(labels={"backbone": backbone, "loss": loss}, samples=samples))
    return made


def test_a_contrast_of_two_is_their_comparison(world: Any) -> None:
    a, b = [world(1).sample(90)], [world(1).sample(90, run=1, skill=0.3)]
    found = contrast({"a": a, "b": b}, {"a": 1.0, "b": -1.0})
    known = compare(a, b)
    assert found.difference == pytest.approx(known.difference)
    assert (found.se, found.df, found.p_value) == (
        pytest.approx(known.se),
        known.df,
        pytest.approx(known.p_value),
    )
    assert found.interval.low == pytest.approx(known.interval.low)
    assert not found.over_seeds


def test_a_handful_of_images_tells_nothing_apart() -> None:
    """As `compare` has it: p is at least 2^(1-k) where k images differ."""
    owner = np.arange(100)
    ones = [Sample(np.ones(100), np.ones(100), owner)]
    for differing in (1, 4, 5, 6):
        worse = np.where(owner < differing, 20.0, 1.0)
        other = [Sample(worse, worse, owner)]
        found = contrast({"a": ones, "b": other}, {"a": 1.0, "b": -1.0}, figure="i2t.recall@1")
        assert found.p_value == compare(ones, other, figure="i2t.recall@1").p_value
        assert found.p_value >= 2.0 ** (1 - differing)


def test_seeds_of_all_methods_make_one_variance(world: Any) -> None:
    methods = {
        name: [world(1).sample(90, run=10 * n + r) for r in range(n)] for n, name in enumerate("abc", start=1)
    }
    found = contrast(methods, {"a": 1.0, "b": -1.0})
    assert found.over_seeds
    values = {name: [sample.figures()["rsum"] for sample in samples] for name, samples in methods.items()}
    pooled = (np.var(values["b"], ddof=1) + 2 * np.var(values["c"], ddof=1)) / 3
    lone = contrast({name: methods[name][:1] for name in "ab"}, {"a": 1.0, "b": -1.0})
    mean = compare(methods["a"], methods["b"])
    assert found.se**2 == pytest.approx(mean.se**2 + pooled * (1 + 1 / 2))
    assert lone.df == 89


@pytest.mark.parametrize("seeds", [1, 3])
def test_main_effects_of_a_whole_matrix_are_differences_of_means(world: Any, seeds: int) -> None:
    made = cells(world, seeds)
    found = {(effect.axis, effect.label): effect for effect in attribution(made)}
    assert list(found) == [("backbone", "large"), ("loss", "b"), ("loss", "c")]
    for (axis, label), effect in found.items():
        with_label, with_reference = (
            np.mean([rsum(list(c.samples)) for c in made if c.labels[axis] == name])
            for name in (label, effect.reference)
        )
        assert effect.effect.difference == pytest.approx(with_label - with_reference)
        assert effect.effect.over_seeds is (seeds > 1)
        assert effect.effect.interval.holds(effect.effect.difference)
    assert found["backbone", "large"].effect.p_value < 1e-4
    assert found["loss", "c"].effect.difference > found["loss", "b"].effect.difference > 0


def test_a_missing_cell_leaves_axes_apart(world: Any) -> None:
    """Least squares gives a planted additive effect back, whichever cells there are."""
    images = np.arange(40)

    def planted(hit: int) -> list[Sample]:
        ranks = np.where(images < hit, 1, 99)
        return [Sample(ranks, ranks, images)]

    labels = [("x", "p"), ("x", "q"), ("y", "p"), ("z", "q"), ("z", "p")]
    hits = {"x": 10, "y": 15, "z": 22, "p": 0, "q": 3}
    made = [Cell(labels={"one": o, "two": t}, samples=planted(hits[o] + hits[t])) for o, t in labels]
    found = {effect.label: effect for effect in attribution(made, figure="i2t.recall@5")}
    assert {label: round(40 * found[label].effect.difference, 9) for label in found} == {
        "y": 5,
        "z": 12,
        "q": 3,
    }
    turned = attribution(made, figure="i2t.recall@5", reference={"one": "z"})
    assert [(e.label, e.reference, round(40 * e.effect.difference, 9)) for e in turned] == [
        ("x", "z", -12),
        ("y", "z", -7),
        ("q", "p", 3),
    ]


def test_what_cannot_be_told_apart_is_left_out(world: Any) -> None:
    sample = [world(1).sample(20)]
    labels = [("x", "p", "0"), ("y", "q", "0"), ("x", "p", "1")]
    made = [
        Cell(labels=dict(zip(("one", "two", "three"), cell, strict=True)), samples=sample) for cell in labels
    ]
    assert [effect.axis for effect in attribution(made)] == ["three"]


def test_an_effect_over_images_covers_the_truth(world: Any) -> None:
    truth = attribution(cells_of(world(10**6), 60_000))[0].effect.difference
    covered = sum(
        attribution(cells_of(world(gallery), 120))[0].effect.interval.holds(truth) for gallery in range(200)
    )
    assert 0.89 <= covered / 200 <= 0.99, covered


def cells_of(world: Any, images: int) -> list[Cell]:
    skills = {("s", "a"): 0.0, ("l", "a"): 0.2, ("s", "b"): 0.3, ("l", "b"): 0.5}
    return [
        Cell(labels={"one": one, "two": two}, samples=[world.sample(images, skill=skill, run=run)])
        for run, ((one, two), skill) in enumerate(skills.items())
    ]


def test_what_is_no_matrix_is_refused(world: Any) -> None:
    sample = [world(1).sample(20)]
    one, other = Cell(labels={"x": "1"}, samples=sample), Cell(labels={"y": "1"}, samples=sample)
    with pytest.raises(ParameterError, match="other axes"):
        attribution([one, other])
    with pytest.raises(ParameterError, match="stands twice"):
        attribution([one, one])
    with pytest.raises(ParameterError, match="no cell has x=2"):
        attribution([one], reference={"x": "2"})
    with pytest.raises(ScoreError, match="every cell"):
        attribution([])
    with pytest.raises(ScoreError, match="every cell"):
        attribution([Cell(labels={"x": "1"}, samples=[])])
    with pytest.raises(ScoreError, match="different galleries"):
        contrast({"a": sample, "b": [world(1).sample(21)]}, {"a": 1.0})
    with pytest.raises(ParameterError, match="no method 'c'"):
        contrast({"a": sample}, {"c": 1.0})
    with pytest.raises(ParameterError, match="all weights are 0"):
        contrast({"a": sample}, {})


def test_seeds_alone_are_the_part_of_seeds(world: Any) -> None:
    methods = {
        name: [world(1).sample(90, run=10 * n + r) for r in range(n)] for n, name in enumerate("abc", 1)
    }
    weights = {"a": 1.0, "c": -1.0}
    values = {name: [sample.figures()["rsum"] for sample in samples] for name, samples in methods.items()}
    seeds, both = seed_contrast(values, weights), contrast(methods, weights)
    assert seeds is not None
    lone = compare(methods["a"], methods["c"])  # of one seed on one side: images alone
    assert both.se**2 == pytest.approx(lone.se**2 + seeds.se**2)
    assert seeds.difference == pytest.approx(both.difference)
    assert (seeds.df, seeds.over_seeds, seeds.over_images, both.over_images) == (3, True, False, True)
    assert seed_contrast({"a": [1.0], "b": [2.0]}, {"a": 1.0, "b": -1.0}) is None
    with pytest.raises(ParameterError, match="no method 'x'"):
        seed_contrast(values, {"x": 1.0})
