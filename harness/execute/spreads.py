"""How much stored methods vary over images and seeds: what a sample size follows from."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import HarnessError
from harness.execute.compared import RankedRun, ranked_run, recipe
from harness.passport import SAME_TRUTH
from harness.statistics import Sample, paired_sd, seed_sd
from harness.store import Store


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The variances of one figure on one gallery.

    Attributes:
        dataset: its name.
        images: number of test images.
        methods: number of methods, each with one seed or more.
        sds: standard deviations over images of the paired differences, one a pair of methods, ascending.
        seeds: standard deviation between seeds, pooled over methods; ``None`` where none has two.
        repeated: number of methods with two seeds or more.
    """

    dataset: str
    images: int
    methods: int
    sds: tuple[float, ...]
    seeds: float | None
    repeated: int

    def sd(self, share: float) -> float:
        """Return the standard deviation that `share` of the pairs do not exceed, 0..1."""
        return self.sds[round(share * (len(self.sds) - 1))]


def spread(dataset: str, methods: Sequence[Sequence[Sample]], figure: str) -> Spread:
    """Return the variances of two methods or more on one gallery; the first seed of each is paired."""
    pairs = itertools.combinations(methods, 2)
    sds = sorted(paired_sd(a[:1], b[:1], figure=figure) for a, b in pairs)
    return Spread(
        dataset=dataset,
        images=methods[0][0].images,
        methods=len(methods),
        sds=tuple(sds),
        seeds=seed_sd(methods, figure=figure),
        repeated=sum(len(samples) > 1 for samples in methods),
    )


def spreads(store: Store, figure: str) -> tuple[list[Spread], list[str]]:
    """Return the variances of all galleries of a store on which two methods were measured, the largest first.

    Returns:
        With them, what was left out of them, for people: runs whose ranks cannot be read.
    """
    galleries: dict[tuple[str, ...], dict[str, list[RankedRun]]] = {}
    left_out = []
    for fingerprint in store.fingerprints():
        try:
            run = ranked_run(store, fingerprint)
            method = recipe(store, run.result)
        except HarnessError as error:
            left_out.append(str(error.args[0]))
            continue
        galleries.setdefault(_question(run), {}).setdefault(method, []).append(run)
    found = []
    for methods in galleries.values():
        if len(methods) > 1:
            samples = [[run.sample for run in _by_seed(runs)] for runs in methods.values()]
            name = next(iter(methods.values()))[0].result.dataset
            found.append(spread(name, samples, figure))
    return sorted(found, key=lambda s: (-s.images, s.dataset, -s.methods, statistics.fmean(s.sds))), left_out


def _question(run: RankedRun) -> tuple[str, ...]:
    parts = run.result.protocol
    asked = tuple(parts[part] for part in SAME_TRUTH) if parts else (run.result.passport,)
    return run.result.dataset, *asked


def _by_seed(runs: Sequence[RankedRun]) -> list[RankedRun]:
    return sorted(runs, key=lambda run: (run.result.spec.get("seed", 0), run.result.fingerprint))
