"""Intervals by a bootstrap over images: the captions of an image move together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import ParameterError
from harness.specs import Scale, declared_scale
from harness.statistics.sample import KS, RECALLS, RSUM, Sample, one_gallery

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

RESAMPLES = 1000
TAIL = 0.025
"""What a 95 % interval leaves out on each side."""

_CELLS = 2**20
"""Resampled images in one block: some 30 MB at work."""
_DIGITS = 6
"""Of a bound that comes from a power, whose last bits differ between machines."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A 95 % interval, in the unit of its figure."""

    low: float
    high: float

    @property
    def half(self) -> float:
        """Half its width."""
        return (self.high - self.low) / 2

    def holds(self, value: float) -> bool:
        """Tell whether a value lies in it."""
        return self.low <= value <= self.high


def bootstrap(samples: Sequence[Sample], *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Interval]:
    """Return the 95 % percentile interval of every figure, see `FIGURES`.

    Images are drawn with replacement, as many as there are, each with all its captions (cluster bootstrap: Davison
    and Hinkley 1997, section 3.8; percentile interval: Efron and Tibshirani 1993, chapter 13). Where every query
    of a recall is a hit, or none is, no resample differs; then the bound is that of Clopper and Pearson (1934) for
    n of n images, 0.025^(1/n).

    Args:
        samples: of one method on one gallery, one a seed. The interval is that of their mean: all are read on
            the same drawn images. It speaks of other images, not of other seeds.
        resamples: 40 or more.
        seed: of the draw. The same seed gives the same intervals on every machine: sums of whole numbers are
            exact, and bounds are values of resamples.

    Raises:
        ScoreError: if samples are of different galleries.
        ParameterError: if there are too few resamples.
    """
    one_gallery(samples)
    drawn = resampled_figures([samples], resamples, seed)[0]
    found = {name: _percentiles(values) for name, values in drawn.items()}
    return _widened(found, samples[0].images)


def ratio_bootstrap(
    shares: Mapping[str, tuple[Floats, Floats]],
    *,
    scales: Mapping[str, Scale] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return the 95 % percentile interval of figures that are ratios of sums over images.

    Images are drawn as in `bootstrap`, and so is the bound of a rate that is 0 or 1 in all images. No bound lies beyond
    an end of its figure's scale, which one of a linearised figure may pass. Bounds are rounded to the sixth decimal:
    sums of what is no whole number depend on their order.

    Args:
        shares: figure -> (n,) sums and (n,) counts of each of n images, counts not negative. All are of one gallery.
        scales: how figures are read, as their evaluator declares it: a rate is what lies in 0..1. A figure without
            a scale is taken for a rate if no image adds less than 0 or more than it counts.
        resamples: 40 or more.
        seed: of the draw.

    Raises:
        ParameterError: if there are too few resamples.
    """
    import numpy as np

    if not shares:
        return {}
    _enough(resamples)
    columns = np.stack([side for pair in shares.values() for side in pair], axis=1)
    drawn = np.concatenate([counts @ columns for counts in draw_counts(len(columns), resamples, seed)])
    found = {}
    for place, (name, (sums, counts)) in enumerate(shares.items()):
        values, queries = drawn[:, 2 * place], drawn[:, 2 * place + 1]
        # A draw of images that all lack queries says nothing.
        interval = _percentiles(values[queries > 0] / queries[queries > 0])
        low, high = _ends(declared_scale(name, scales or {}), sums, counts)
        found[name] = _clipped(interval, low, high)
        if (low, high) != (0.0, 1.0):
            continue
        rest = TAIL ** (1 / max(1, int((counts > 0).sum())))
        if (sums == 0).all():
            found[name] = Interval(low=0.0, high=round(1.0 - rest, _DIGITS))
        elif (sums == counts).all():
            found[name] = Interval(low=round(rest, _DIGITS), high=1.0)
    return found


def paired_bootstrap(
    a: Sequence[Sample], b: Sequence[Sample], *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Interval]:
    """Return the 95 % percentile interval of the difference a - b of every figure, on the same drawn images.

    Args and errors are those of `bootstrap`.
    """
    one_gallery([*a, *b])
    first, second = resampled_figures([a, b], resamples, seed)
    return {name: _percentiles(first[name] - second[name]) for name in first}


def resampled_figures(
    methods: Sequence[Sequence[Sample]], resamples: int, seed: int
) -> list[dict[str, Floats]]:
    """Return for each method its (resamples,) figures."""
    import numpy as np

    _enough(resamples)
    captions = methods[0][0].captions
    hits = [np.sum([sample.hits for sample in samples], axis=0) for samples in methods]
    columns = np.concatenate([*hits, captions[:, None]], axis=1)
    # Whole numbers far below 2^53: exact in any order in which a library adds them.
    sums = np.concatenate([counts @ columns for counts in draw_counts(len(captions), resamples, seed)])
    width = len(RECALLS)
    return [
        _figures(sums[:, place * width : (place + 1) * width], sums[:, -1], len(samples), len(captions))
        for place, samples in enumerate(methods)
    ]


def _enough(resamples: int) -> None:
    if resamples < 1 / TAIL:
        raise ParameterError(f"{resamples} resamples are too few for a 95 % interval; take 1,000")


def draw_counts(images: int, resamples: int, seed: int) -> Iterator[Floats]:
    """Yield how often each image is drawn: blocks of (rows, images), `resamples` rows in all."""
    import numpy as np

    # Raw numbers: the streams of numpy's bit generators are fixed, those of its distributions may change.
    stream = np.random.PCG64(seed)
    rows = max(1, _CELLS // images)
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        raw = np.asarray(stream.random_raw(count * images)) >> np.uint64(32)
        # Multiply and shift (Lemire 2019): the bias is below images / 2^32.
        picked = ((raw * np.uint64(images)) >> np.uint64(32)).astype(np.int64).reshape(count, images)
        flat = picked + images * np.arange(count)[:, None]
        yield np.bincount(flat.ravel(), minlength=count * images).reshape(count, images).astype(np.float64)


def _figures(hits: Floats, captions: Floats, samples: int, images: int) -> dict[str, Floats]:
    import numpy as np

    # A draw of images that all lack captions has no recall; it counts as 0.
    queries = (np.full_like(captions, images), np.maximum(captions, 1.0))
    values = [hits[:, place] / (samples * queries[place // len(KS)]) for place in range(len(RECALLS))]
    return dict(zip(RECALLS, values, strict=True)) | {RSUM: 100.0 * sum(values[1:], start=values[0])}


def _percentiles(values: Floats) -> Interval:
    """Return the k-th value from below and from above, k = floor((resamples + 1) 0.025)."""
    import numpy as np

    ordered = np.sort(values)
    place = int((len(ordered) + 1) * TAIL) - 1
    return Interval(low=float(ordered[place]), high=float(ordered[-1 - place]))


def _ends(scale: Scale | None, sums: Floats, counts: Floats) -> tuple[float, float]:
    """Return what a figure cannot fall below and cannot exceed."""
    if scale is None:
        return (0.0, 1.0) if (sums >= 0).all() and (sums <= counts).all() else (-math.inf, math.inf)
    low, high = (scale.worst, scale.best) if scale.better != "lower" else (scale.best, scale.worst)
    return -math.inf if low is None else low, math.inf if high is None else high


def _clipped(interval: Interval, low: float, high: float) -> Interval:
    return Interval(
        low=max(low, min(high, round(interval.low, _DIGITS))),
        high=max(low, min(high, round(interval.high, _DIGITS))),
    )


def _widened(found: Mapping[str, Interval], images: int) -> dict[str, Interval]:
    bound = TAIL ** (1 / images)
    widened = dict(found)
    for name in RECALLS:
        # Both bounds at an end: no hit or no miss in nearly all resamples.
        if found[name].high == 0.0:
            widened[name] = Interval(low=0.0, high=round(1.0 - bound, _DIGITS))
        elif found[name].low == 1.0:
            widened[name] = Interval(low=round(bound, _DIGITS), high=1.0)
    if found[RSUM].low == found[RSUM].high:
        low, high = (sum(getattr(widened[name], side) for name in RECALLS) for side in ("low", "high"))
        widened[RSUM] = Interval(low=round(100.0 * low, _DIGITS), high=round(100.0 * high, _DIGITS))
    return widened
