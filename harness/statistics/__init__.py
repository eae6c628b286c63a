"""Intervals, paired tests and what it takes to tell two methods apart, from the rank of every query."""

from harness.statistics.comparison import ALPHA, Comparison, compare
from harness.statistics.decided import Decided, Win, decided
from harness.statistics.effects import (
    Cell,
    Contrast,
    MainEffect,
    attribution,
    contrast,
    contrasts,
    seed_contrast,
)
from harness.statistics.intervals import RESAMPLES, Interval, bootstrap, paired_bootstrap, ratio_bootstrap
from harness.statistics.multiple import holm, letters, letters_apart
from harness.statistics.sample import FIGURES, RECALLS, RSUM, Sample, same_ranks, samples
from harness.statistics.sizing import (
    POWER,
    Needed,
    binomial_sd,
    detectable,
    images_needed,
    paired_sd,
    power,
    power_of,
    seed_sd,
    seeds_needed,
)
from harness.statistics.student import probability, seed_variance

__all__ = [
    "ALPHA",
    "FIGURES",
    "POWER",
    "RECALLS",
    "RESAMPLES",
    "RSUM",
    "Cell",
    "Comparison",
    "Contrast",
    "Decided",
    "Interval",
    "MainEffect",
    "Needed",
    "Sample",
    "Win",
    "attribution",
    "binomial_sd",
    "bootstrap",
    "compare",
    "contrast",
    "contrasts",
    "decided",
    "detectable",
    "holm",
    "images_needed",
    "letters",
    "letters_apart",
    "paired_bootstrap",
    "paired_sd",
    "power",
    "power_of",
    "probability",
    "ratio_bootstrap",
    "same_ranks",
    "samples",
    "seed_contrast",
    "seed_sd",
    "seed_variance",
    "seeds_needed",
]
