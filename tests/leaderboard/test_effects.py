"""Contrasts and their verdicts: over seeds alone against least squares, with ranks against the tests of two methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.leaderboard import Ranks, Row, grouped
from harness.leaderboard.effects import Cells, Effect, Weights, basis, choose, chosen
from harness.leaderboard.losses import EFFECTS, STAGES
from harness.statistics import Contrast, Interval, Sample, compare, contrast, holm

Make = Callable[..., Row]
SHIFTS = {
    "ranking": (-0.05, -0.04),
    "instance": (0.0, 0.004, 0.001),
    "both": (0.01, 0.012),
    "ranking-two": (0.02,),
    "instance-two": (0.03, 0.034),
    "full": (0.05, 0.047),
}


def cells_of(values: Mapping[str, tuple[float, ...]]) -> Cells:
    return Cells(groups={}, rsums=values)


def effect_of(cells: Cells, weights: Weights) -> Effect:
    return cells.effects({"asked": weights})["asked"]


def with_ranks(levels: Mapping[str, float], seeds: int, images: int = 80) -> Cells:
    """Make cells whose ranks differ in level, and no run from another but by chance."""
    samples = {}
    for place, (name, level) in enumerate(levels.items()):
        randoms = [np.random.default_rng([place, seed]) for seed in range(seeds)]
        samples[name] = [
            Sample(1 + r.poisson(level, images), 1 + r.poisson(level, images), np.arange(images))
            for r in randoms
        ]
    rsums = {name: tuple(s.figures()["rsum"] for s in own) for name, own in samples.items()}
    return Cells(groups={}, rsums=rsums, samples=samples)


def least_squares(
    values: Mapping[str, tuple[float, ...]], weights: Mapping[str, float]
) -> tuple[float, float]:
    """Return a contrast of cell means and half its 95 % interval, by a linear model with one column a cell."""
    names = list(values)
    design = np.array([[float(n == name) for n in names] for name in names for _ in values[name]])
    y = np.array([value for name in names for value in values[name]])
    beta, residual, _, _ = np.linalg.lstsq(design, y, rcond=None)
    residual = float(((y - design @ beta) ** 2).sum())
    df = len(y) - len(names)
    contrast = np.array([weights.get(name, 0.0) for name in names])
    variance = residual / df * contrast @ np.linalg.inv(design.T @ design) @ contrast
    return float(contrast @ beta), float(stats.t.ppf(0.975, df) * np.sqrt(variance))


@pytest.mark.parametrize("name", EFFECTS)
def test_effects_are_those_of_a_linear_model(name: str) -> None:
    values = {variant: tuple(200 + 600 * shift for shift in shifts) for variant, shifts in SHIFTS.items()}
    effect = effect_of(cells_of(values), EFFECTS[name])
    difference, half = least_squares(values, EFFECTS[name])
    assert effect.difference == pytest.approx(difference)
    assert effect.test is not None
    assert effect.test.interval.half == pytest.approx(half)
    assert effect.interval.endswith(" over seeds alone")
    assert sum(EFFECTS[name].values()) == pytest.approx(0.0)


seeds = st.lists(st.floats(0, 600), min_size=1, max_size=4).map(tuple)


@given(st.fixed_dictionaries(dict.fromkeys("abc", seeds)))
def test_any_contrast_is_that_of_a_linear_model(values: dict[str, tuple[float, ...]]) -> None:
    weights = {"a": 1.0, "b": -0.5, "c": -0.5}
    cells = cells_of(values)
    effect = effect_of(cells, weights)
    if sum(map(len, values.values())) == 3:
        assert effect.test is None
        assert effect.verdict == "cannot be told"
        assert effect.difference == pytest.approx(
            values["a"][0] - (values["b"][0] + values["c"][0]) / 2, abs=1e-6
        )
        assert "one seed" in basis(cells, [effect])
    else:
        difference, half = least_squares(values, weights)
        assert effect.test is not None
        assert effect.difference == pytest.approx(difference, abs=1e-6)
        assert effect.test.interval.half == pytest.approx(half, abs=1e-6)


def told(
    difference: float, adjusted: float | None, *, images: bool = True, seeds: bool = True, half: float = 4.0
) -> Effect:
    interval = Interval(low=difference - half, high=difference + half)
    test = Contrast(
        difference=difference,
        interval=interval,
        p_value=adjusted or 0.0,
        se=1.0,
        df=9.0,
        over_seeds=seeds,
        over_images=images,
    )
    return Effect(difference=difference, test=None if adjusted is None else test, adjusted=adjusted)


@pytest.mark.parametrize(
    ("effect", "verdict", "interval"),
    [
        (told(5.0, 0.049), "holds", "+1.0 to +9.0"),
        (told(5.0, 0.051), "cannot be told", "+1.0 to +9.0"),
        (told(-5.0, 0.01), "does not hold", "-9.0 to -1.0"),
        (told(-3.0, 0.2), "cannot be told", "-7.0 to +1.0"),
        (told(4.0, 0.2), "cannot be told", "0.0 to +8.0"),
        (told(5.0, 0.01, seeds=False), "holds for these runs", "+1.0 to +9.0 over images alone"),
        (told(-5.0, 0.01, images=False), "does not hold on these images", "-9.0 to -1.0 over seeds alone"),
        (told(-5.0, 0.5, images=False), "cannot be told", "-9.0 to -1.0 over seeds alone"),
        (told(5.0, None), "cannot be told", ""),
    ],
)
def test_an_order_is_told_by_the_corrected_p(effect: Effect, verdict: str, interval: str) -> None:
    assert (effect.verdict + effect.scope, effect.interval) == (verdict, interval)


def test_with_ranks_an_interval_is_over_images_and_seeds() -> None:
    cells = with_ranks({"a": 6.0, "b": 7.0}, seeds=3)
    effect = effect_of(cells, {"a": 1.0, "b": -1.0})
    # Of two methods with as many seeds, one pooled variance is the mean of both: the test of the two.
    found = compare(cells.samples["a"], cells.samples["b"])
    assert effect.test is not None
    assert effect.test.se == pytest.approx(found.se)
    assert effect.difference == pytest.approx(found.difference)
    alone = effect_of(cells_of(dict(cells.rsums)), {"a": 1.0, "b": -1.0})
    assert alone.test is not None
    assert alone.test.se < effect.test.se
    note = basis(cells, [effect])
    assert "over test images, paired, and over seeds" in note
    assert "4 degrees of freedom" in note
    assert "may share a letter there" in note


def test_all_that_is_asked_is_corrected_together() -> None:
    cells = with_ranks({"a": 5.0, "b": 6.0, "c": 7.0}, seeds=2)
    asked = {"ab": {"a": 1.0, "b": -1.0}, "bc": {"b": 1.0, "c": -1.0}, "ac": {"a": 1.0, "c": -1.0}}
    effects = cells.effects(asked | {"ad": {"a": 1.0, "d": -1.0}})
    p_values = [contrast(cells.samples, weights).p_value for weights in asked.values()]
    assert [effect.adjusted for effect in effects.values()] == pytest.approx(holm(p_values))
    assert list(effects) == list(asked)
    assert "corrected for the 3 differences" in basis(cells, effects.values())


def test_one_seed_with_ranks_speaks_of_these_runs() -> None:
    cells = with_ranks({"a": 1.0, "b": 20.0}, seeds=1)
    effect = effect_of(cells, {"a": 1.0, "b": -1.0})
    assert effect.verdict + effect.scope == "holds for these runs"
    assert "these runs, not of other seeds" in basis(cells, [effect])


def test_where_ranks_lack_seeds_alone_are_counted_and_it_is_said() -> None:
    full = with_ranks({"a": 2.0, "b": 9.0, "c": 30.0}, seeds=3)
    kept = {name: own for name, own in full.samples.items() if name != "c"}
    cells = Cells(groups={}, rsums=full.rsums, samples=kept)
    effects = cells.effects({"ab": {"a": 1.0, "b": -1.0}, "bc": {"b": 1.0, "c": -1.0}})
    assert effects["ab"].scope == ""
    assert effects["bc"].scope == " on these images"
    note = basis(cells, effects.values())
    assert "The ranks of `c` were not kept" in note
    assert "4 degrees of freedom" in note
    assert "may share a letter" not in basis(cells_of(dict(full.rsums)), [effects["bc"]])


def test_cells_of_another_protocol_are_shown_and_not_compared(make_row: Make, tmp_path: Path) -> None:
    rows = [make_row(variant=name) for name in ("ranking", "instance", "both")]
    rows.append(make_row(variant="full", passport="fedcba9876543210"))
    lacking = make_row(variant="instance-two", seed=1)
    del lacking.metrics["recall.t2i.recall@5"]  # type: ignore[attr-defined]
    cells = choose(grouped([*rows, lacking]), STAGES, "recall", Ranks(tmp_path))
    assert set(cells.groups) == set(STAGES) - {"ranking-two"}
    assert set(cells.rsums) == {"ranking", "instance", "both"}
    assert cells.lacking(["both", "full"]) == "`full` of another protocol or without all recalls"
    assert cells.lacking(["ranking-two", "full"]).startswith("`ranking-two` not run; `full` of")
    assert cells.lacking(["both"]) == ""


def test_of_two_recipes_that_with_more_seeds_is_the_cell(make_row: Make) -> None:
    rows = [make_row(variant="full", seed=seed, recipe="new", date="2026-02-02") for seed in (0, 1)]
    rows.append(make_row(variant="full", seed=2, recipe="old", date="2026-03-03"))
    assert chosen(grouped(rows), ["full"])["full"].first.recipe == "new"
    newer = [make_row(variant="full", seed=s, recipe="newer", date="2026-02-03", shift=0.1) for s in (3, 4)]
    assert chosen(grouped([*rows, *newer]), ["full"])["full"].first.recipe == "newer"
    # A second axis makes it a cell of something else.
    other = make_row(labels={"variant": "full", "dim": "64", "dataset": "flickr8k"})
    assert chosen(grouped([other]), ["full"]) == {}
