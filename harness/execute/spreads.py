"""How much stored methods vary over images and seeds: what a sample size follows from."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import HarnessError
from harness.execute.ranked import RankedRun
from harness.execute.runs import Runs
from harness.passport import GALLERY, SAME_TRUTH
from harness.statistics import paired_sd, seed_sd

Methods = Sequence[Sequence[RankedRun]]


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The variances of one figure on one gallery.

    Attributes:
        dataset: its name; `gallery`, what tells it from another version of the dataset.
        images: number of test images.
        methods: number of methods, each with one seed or more.
        sds: standard deviations over images of the paired differences, one a pair of methods, ascending; none of a
            pair without any difference.
        alike: pairs of methods without any difference.
        seeds: standard deviation between seeds, pooled over methods; ``None`` where none has two.
        repeated: number of methods with two seeds or more.
    """

    dataset: str
    gallery: str
    images: int
    methods: int
    sds: tuple[float, ...]
    alike: int
    seeds: float | None
    repeated: int

    def sd(self, share: float) -> float:
        """Return the standard deviation that `share` of the pairs do not exceed, 0..1."""
        return self.sds[round(share * (len(self.sds) - 1))]


def spread(methods: Methods, figure: str, gallery: Methods = ()) -> Spread:
    """Return the variances of two methods or more on one gallery; the first seed of each is paired.

    Args:
        methods: one list of runs a method.
        gallery: all methods that were measured there: the variance between seeds is pooled over them, as for the
            letters of tables; without them, over `methods`.
    """
    first = methods[0][0]
    samples = [[run.sample for run in runs] for runs in methods]
    pairs = itertools.combinations(samples, 2)
    sds = [paired_sd(a[:1], b[:1], figure=figure) for a, b in pairs]
    everyone = [[run.sample for run in runs] for runs in gallery or methods]
    return Spread(
        dataset=first.dataset,
        gallery=first.protocol.get(GALLERY, first.passport).rpartition(" ")[2],
        images=samples[0][0].images,
        methods=len(everyone),
        sds=tuple(sorted(sd for sd in sds if sd > 0.0)),
        alike=sum(sd == 0.0 for sd in sds),
        seeds=seed_sd(everyone, figure=figure),
        repeated=sum(len(each) > 1 for each in everyone),
    )


def galleries(runs: Runs) -> tuple[list[list[list[RankedRun]]], list[str]]:
    """Return the methods of each gallery, each with its runs by seed.

    Returns:
        With them, what was left out of them, for people: runs whose ranks cannot be read.
    """
    found: dict[tuple[str, ...], dict[str, list[RankedRun]]] = {}
    left_out = []
    for fingerprint in runs.fingerprints:
        try:
            run = runs.read(fingerprint)
            method = runs.method(fingerprint)
        except HarnessError as error:
            left_out.append(str(error.args[0]))
            continue
        found.setdefault(question(run), {}).setdefault(method, []).append(run)
    return [[by_seed(each) for each in methods.values()] for methods in found.values()], left_out


def spreads(runs: Runs, figure: str) -> tuple[list[Spread], list[str]]:
    """Return the variances of all galleries on which two methods were measured, the largest first.

    Returns:
        With them, what was left out of them, for people: runs whose ranks cannot be read, methods of the same ranks.
    """
    measured, left_out = galleries(runs)
    found = [spread(methods, figure) for methods in measured if len(methods) > 1]
    left_out += [
        f"{each.alike:,} pair{'' if each.alike == 1 else 's'} of methods on {each.dataset} whose ranks are the same"
        for each in found
        if each.alike
    ]
    told = [each for each in found if each.sds]
    return sorted(told, key=lambda s: (-s.images, s.dataset, -s.methods, statistics.fmean(s.sds))), left_out


def question(run: RankedRun) -> tuple[str, ...]:
    """Return what two runs must share to be paired query by query."""
    parts = run.protocol
    asked = tuple(parts[part] for part in SAME_TRUTH) if parts else (run.passport,)
    return run.dataset, *asked


def by_seed(runs: Sequence[RankedRun]) -> list[RankedRun]:
    """Order runs by seed."""
    return sorted(runs, key=lambda run: (run.seed or 0, run.fingerprint))
