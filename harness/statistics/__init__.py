"""Intervals, paired tests and what it takes to tell two methods apart, from the rank of every query."""

from harness.statistics.comparison import ALPHA, Comparison, compare
from harness.statistics.intervals import RESAMPLES, Interval, bootstrap, paired_bootstrap
from harness.statistics.multiple import holm, letters
from harness.statistics.sample import FIGURES, RECALLS, RSUM, Sample

__all__ = [
    "ALPHA",
    "FIGURES",
    "RECALLS",
    "RESAMPLES",
    "RSUM",
    "Comparison",
    "Interval",
    "Sample",
    "bootstrap",
    "compare",
    "holm",
    "letters",
    "paired_bootstrap",
]
