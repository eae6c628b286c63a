"""Student's t against scipy's."""

from __future__ import annotations

import pytest
from scipy import stats

from harness.statistics.student import Error, central_quantile


@pytest.mark.parametrize("df", [1, 2, 3, 4, 5, 6, 7, 12, 31, 200])
def test_quantiles_and_probabilities_are_those_of_scipy(df: int) -> None:
    for level in (0.05, 0.5, 0.9, 0.95, 0.99):
        expected = stats.t.ppf((1 + level) / 2, df)
        assert central_quantile(level, df) == pytest.approx(expected, rel=1e-9)
        assert 1.0 - Error(se=1.0, df=df).probability(expected) == pytest.approx(level, rel=1e-9)
    assert Error(se=1.0, df=df).probability(0.0) == 1.0
