"""Contrasts and their intervals against least squares over all seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.leaderboard import Row, grouped
from harness.leaderboard.effects import Cells, Effect, basis, choose, pooled
from harness.leaderboard.losses import EFFECTS, STAGES

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
    effect = cells_of(values).effect(EFFECTS[name])
    difference, half = least_squares(values, EFFECTS[name])
    assert effect.difference == pytest.approx(difference)
    assert effect.half == pytest.approx(half)
    assert sum(EFFECTS[name].values()) == pytest.approx(0.0)


seeds = st.lists(st.floats(0, 600), min_size=1, max_size=4).map(tuple)


@given(st.fixed_dictionaries(dict.fromkeys("abc", seeds)))
def test_any_contrast_is_that_of_a_linear_model(values: dict[str, tuple[float, ...]]) -> None:
    weights = {"a": 1.0, "b": -0.5, "c": -0.5}
    effect = cells_of(values).effect(weights)
    if sum(map(len, values.values())) == 3:
        assert effect.half is None
        assert "one seed" in basis(cells_of(values))
    else:
        difference, half = least_squares(values, weights)
        assert effect.difference == pytest.approx(difference, abs=1e-6)
        assert effect.half == pytest.approx(half, abs=1e-6)


def test_pooling_weighs_a_cell_by_its_degrees_of_freedom() -> None:
    spread = pooled([(1.0, 3.0), (5.0,), (0.0, 0.0, 6.0)])
    assert spread.df == 3
    assert spread.sd == pytest.approx(np.sqrt((2.0 + 24.0) / 3))
    assert pooled([(1.0,), (2.0,)]).df == 0


@pytest.mark.parametrize(
    ("difference", "half", "verdict", "interval"),
    [
        (5.0, 4.9, "holds", "+0.1 to +9.9"),
        (5.0, 5.0, "cannot be told", "0.0 to +10.0"),
        (-5.0, 4.0, "does not hold", "-9.0 to -1.0"),
        (-5.0, 6.0, "cannot be told", "-11.0 to +1.0"),
        (5.0, None, "cannot be told", ""),
    ],
)
def test_an_order_is_told_where_the_interval_leaves_zero_out(
    difference: float, half: float | None, verdict: str, interval: str
) -> None:
    effect = Effect(difference=difference, half=half)
    assert (effect.verdict, effect.interval) == (verdict, interval)


def test_cells_of_another_protocol_are_shown_and_not_compared(make_row: Make) -> None:
    rows = [make_row(variant=name) for name in ("ranking", "instance", "both")]
    rows.append(make_row(variant="full", passport="fedcba9876543210"))
    lacking = make_row(variant="instance-two", seed=1)
    del lacking.metrics["recall.t2i.recall@5"]  # type: ignore[attr-defined]
    cells = choose(grouped([*rows, lacking]), STAGES, "recall")
    assert set(cells.groups) == set(STAGES) - {"ranking-two"}
    assert set(cells.rsums) == {"ranking", "instance", "both"}
    assert cells.lacking(["both", "full"]) == "`full` of another protocol or without all recalls"
    assert cells.lacking(["ranking-two", "full"]).startswith("`ranking-two` not run; `full` of")
    assert cells.lacking(["both"]) == ""


def test_of_two_recipes_that_with_more_seeds_is_the_cell(make_row: Make) -> None:
    rows = [make_row(variant="full", seed=seed, recipe="new", date="2026-02-02") for seed in (0, 1)]
    rows.append(make_row(variant="full", seed=2, recipe="old", date="2026-03-03"))
    assert choose(grouped(rows), ["full"], "recall").groups["full"].first.recipe == "new"
    newer = [make_row(variant="full", seed=s, recipe="newer", date="2026-02-03", shift=0.1) for s in (3, 4)]
    assert choose(grouped([*rows, *newer]), ["full"], "recall").groups["full"].first.recipe == "newer"
    # A second axis makes it a cell of something else.
    other = make_row(labels={"variant": "full", "dim": "64", "dataset": "flickr8k"})
    assert choose(grouped([other]), ["full"], "recall").groups == {}
