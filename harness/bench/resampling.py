"""`harness bench statistics`: what the intervals of a row take beside its evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.bench.contest import Contender, Rounds, contest
from harness.bench.galleries import embeddings, gallery
from harness.bench.origin import load_average, origin_of
from harness.bench.report import Fact, Ratio, Report
from harness.errors import RunError
from harness.execute.settings import settle
from harness.ranking import rank
from harness.statistics import Interval, bootstrap, paired_bootstrap, ratio_bootstrap
from harness.statistics.sample import FIGURES, KS, RECALLS, RSUM, SIDES, Sample

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Doubles = npt.NDArray[np.float64]

OURS, EVALUATION, LOOP, SCIPY = "bootstrap", "evaluation", "plain loop", "scipy.stats.bootstrap, one figure"
RATIOS, PAIRED = "ratios of sums over images, six figures", "differences of two methods"
PART = 0.05
"""Of the resamples that the plain loop draws."""
PACKAGES = ("torch", "numpy", "scipy")
ABOUT = (
    "95 % intervals of seven figures, the six recalls and rSum, over resampled images, each with all its captions. "
    "The evaluation is the ranking of the same gallery in both directions, without which there is nothing to resample. "
    "The plain loop gathers the hits of the drawn images and of their captions for one resample after the other; SciPy "
    "resamples one figure of the seven, i2t R@1, and no captions. Figures that an evaluator tells image by image are "
    "resampled as ratios of sums, here the six recalls once more; a method is compared with another on the same drawn "
    "images, here with one whose ranks are twice as far from the first. Before anything is reported, the loop's "
    "figures of the same drawn images must equal the resampled ones to the bit, and the ratios' intervals those of the "
    "recalls to six decimals."
)


@dataclass(frozen=True, kw_only=True)
class StatisticsBench(Rounds):
    """What to measure.

    Attributes:
        images: of the gallery; there are five captions to each.
        dim: size of the embedding.
        resamples: 40 or more.
    """

    images: int = 5000
    dim: int = 2048
    resamples: int = 1000


def measure(bench: StatisticsBench, told: Callable[[str], None]) -> Report:
    """Time the bootstrap beside the evaluation that it belongs to.

    Raises:
        RunError: if a plain loop over the same drawn images finds other figures.
    """
    load = load_average()
    settle(bench.workspace)
    split = gallery(bench.images)
    told(f"{bench.images:,} images, {len(split.captions):,} captions, {bench.resamples:,} resamples")
    image, text = embeddings(split, bench.dim)
    ranked = rank(split, image, text)
    sample = Sample(ranked.i2t.rank(), ranked.t2i.rank(), split.caption_image)
    other = Sample(2 * sample.i2t - 1, 2 * sample.t2i - 1, split.caption_image)
    told_by_image = shares(sample)
    check_resamples(sample, min(bench.resamples, 40))
    some = max(1, round(PART * bench.resamples))
    contenders = [
        Contender(name=OURS, call=lambda: bootstrap([sample], resamples=bench.resamples)),
        Contender(name=RATIOS, call=lambda: ratio_bootstrap(told_by_image, resamples=bench.resamples)),
        Contender(name=PAIRED, call=lambda: paired_bootstrap([sample], [other], resamples=bench.resamples)),
        Contender(name=EVALUATION, call=lambda: rank(split, image, text), weigh=False),
        Contender(
            name=LOOP,
            call=lambda: [plain_figures(sample, row) for row in draws(sample.images, some)],
            part=some / bench.resamples,
        ),
        Contender(name=SCIPY, call=lambda: _scipy(sample, bench.resamples)),
    ]
    ratios = [
        *(Ratio(over=name, under=EVALUATION, most=0.1) for name in (OURS, RATIOS, PAIRED)),
        Ratio(over=LOOP, under=OURS),
        Ratio(over=SCIPY, under=OURS),
    ]
    title = f"{bench.resamples:,} resamples of {bench.images:,} images"
    group = contest(title, contenders, bench, ratios=ratios, check=check_ratios, facts=_facts)
    return Report(
        benchmark="statistics",
        section="statistics",
        heading="Statistics",
        about=ABOUT,
        groups=(group,),
        origin=origin_of(bench.workspace, PACKAGES, load),
    )


def shares(sample: Sample) -> dict[str, tuple[Doubles, Doubles]]:
    """Return the sums and counts of every recall image by image, as an evaluator tells them."""
    import numpy as np

    asked = {"i2t": np.ones(sample.images), "t2i": sample.captions}
    return {name: (sample.hits[:, place], asked[name[:3]]) for place, name in enumerate(RECALLS)}


def check_ratios(found: Mapping[str, Any]) -> None:
    """Hold the intervals of ratios to those of recalls.

    Raises:
        RunError: if a bound differs by more than their rounding.
    """
    for name, ratio in found[RATIOS].items():
        recall = found[OURS][name]
        if not max(abs(ratio.low - recall.low), abs(ratio.high - recall.high)) <= 1e-6:
            raise RunError(f"the interval of {name} is {recall}, as a ratio of sums {ratio}")


def draws(images: int, resamples: int) -> Any:
    """Return (resamples, images) drawn images."""
    import numpy as np

    return np.random.default_rng(0).integers(0, images, (resamples, images))


def plain_figures(sample: Sample, drawn: Ints) -> dict[str, float]:
    """Return the figures of drawn images and of all their captions, gathered one by one."""
    import numpy as np

    first = np.searchsorted(sample.owner, np.arange(sample.images + 1))
    rows = np.concatenate([np.arange(first[image], first[image + 1]) for image in drawn])
    ranks = {"i2t": sample.i2t[drawn], "t2i": sample.t2i[rows]}
    found = {f"{side}.recall@{k}": float(np.mean(ranks[side] <= k)) for side in SIDES for k in KS}
    return found | {RSUM: 100.0 * sum(found.values())}


def check_resamples(sample: Sample, resamples: int) -> None:
    """Check resampled figures against a plain loop over the same drawn images.

    Raises:
        RunError: if one differs.
    """
    import numpy as np

    from harness.statistics.intervals import draw_counts, resampled_figures

    fast = resampled_figures([[sample]], resamples, 0)[0]
    counts = np.concatenate(list(draw_counts(sample.images, resamples, 0))).astype(np.int64)
    for row, times in enumerate(counts):
        plain = plain_figures(sample, np.repeat(np.arange(sample.images), times))
        for name in FIGURES:
            if plain[name] != fast[name][row]:
                raise RunError(
                    f"resample {row}: {name} is {fast[name][row]!r}, by a plain loop {plain[name]!r}"
                )


def _scipy(sample: Sample, resamples: int) -> Any:
    import numpy as np
    from scipy import stats

    hits = (sample.i2t <= 1).astype(np.float64)
    return stats.bootstrap(
        (hits,), np.mean, n_resamples=resamples, method="percentile", rng=np.random.default_rng(0)
    )


def _facts(found: Mapping[str, Any]) -> list[Fact]:
    interval: Interval = found[OURS]["i2t.recall@1"]
    other = found[SCIPY].confidence_interval
    value = ", ".join(
        f"{100 * low:.2f}–{100 * high:.2f} %"
        for low, high in ((interval.low, interval.high), (other.low, other.high))
    )
    return [Fact(name="i2t R@1, harness's interval and SciPy's from other draws", value=value)]
