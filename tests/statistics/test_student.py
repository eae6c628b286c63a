"""Student's t against scipy's."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from harness.statistics.student import Error, probability, seed_variance


@pytest.mark.parametrize("df", [1, 2, 3, 4, 5, 6, 7, 12, 31, 200])
def test_quantiles_and_probabilities_are_those_of_scipy(df: int) -> None:
    for level in (0.05, 0.5, 0.9, 0.95, 0.99):
        expected = stats.t.ppf((1 + level) / 2, df)
        assert 1.0 - Error(se=1.0, df=df).probability(expected) == pytest.approx(level, rel=1e-9)
    assert Error(se=1.0, df=df).probability(0.0) == 1.0
    half = Error(se=2.0, df=df).interval(5.0).half
    assert half == pytest.approx(2.0 * stats.t.ppf(0.975, df), rel=1e-9)


def test_pooling_weighs_a_method_by_its_degrees_of_freedom() -> None:
    variance, df = seed_variance([(1.0, 3.0), (5.0,), (0.0, 0.0, 6.0)])
    assert df == 3
    assert math.sqrt(variance) == pytest.approx(math.sqrt((2.0 + 24.0) / 3))
    assert seed_variance([(1.0,), (2.0,)]) == (0.0, 0)


@pytest.mark.parametrize(
    ("p", "text"), [(1e-9, "p < 0.0001"), (0.00077, "p = 0.00077"), (0.0412, "p = 0.041"), (0.999, "p = 1")]
)
def test_a_p_value_as_people_write_it(p: float, text: str) -> None:
    assert probability(p) == text
