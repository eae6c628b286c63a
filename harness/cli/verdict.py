"""What `harness compare` says: who is compared, both sides' figures, and whether a test tells them apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.cli.console import out, plain, say, table
from harness.cli.points import number, signed, span, title_of
from harness.statistics import probability

if TYPE_CHECKING:
    from harness.execute.ranked import RankedRun
    from harness.leaderboard import Standing
    from harness.statistics import Comparison, Sample

SHOWN = 12
"""Differences between the runs' specifications that are printed."""
Sides = Sequence[Sequence["RankedRun"]]
Samples = Sequence[Sequence["Sample"]]


def print_runs(sides: Sides) -> None:
    """Print methods, runs and passports of both sides, and what the first run of each was made of."""
    a, b = (side[0] for side in sides)
    told = made_of(a, b)
    rows = [
        ["method", *("\n".join(dict.fromkeys(run.title for run in side)) for side in sides)],
        ["runs", *("\n".join(_run(run) for run in side) for side in sides)],
        ["passport", *("\n".join(dict.fromkeys(run.table_passport[:8] for run in side)) for side in sides)],
        *told[:SHOWN],
    ]
    images, captions = a.sample.images, len(a.sample.t2i)
    table(f"{a.dataset}, {images:,} test images, {captions:,} captions", ["", "A", "B"], rows)
    if len(told) > SHOWN:
        say(f"... and {len(told) - SHOWN} more differences; `harness compare --json` has all")


def made_of(a: RankedRun, b: RankedRun) -> list[list[str]]:
    """Return what two runs differ in, beside the seed; of a row alone, or an import, only the paths are known."""
    from harness.execute.differences import differences
    from harness.execute.stored import imported

    specs = [run.spec for run in (a, b) if run.spec is not None and not imported(run.spec)]
    if len(specs) == 2:
        return [list(row) for row in differences(*specs)]
    paths = [
        ["image path", a.visual or "–", b.visual or "–"],
        ["text path", a.textual or "–", b.textual or "–"],
    ]
    return [path for path in paths if path[1] != path[2]]


def _run(run: RankedRun) -> str:
    seed = "" if run.seed is None else f" seed {run.seed}"
    return f"{run.fingerprint}{seed}{' (row)' if run.result is None else ''}"


def print_figures(samples: Samples) -> None:
    """Print the figures of both sides and their difference, with intervals."""
    from harness.statistics import FIGURES, bootstrap, paired_bootstrap

    intervals = [bootstrap(side) for side in samples]
    gaps = paired_bootstrap(*samples)
    rows = []
    for name in FIGURES:
        values = [mean(side, name) for side in samples]
        shown = [f"{number(v, name)} ({span(i[name], name)})" for v, i in zip(values, intervals, strict=True)]
        rows.append(
            [title_of(name), *shown, signed(values[0] - values[1], name), span(gaps[name], name, sign=True)]
        )
    columns = ["", "A", "B", "A - B", "95 % interval"]
    table("Recalls in percent, with 95 % bootstrap intervals over images", columns, rows, numeric=1)


def print_verdict(
    found: Comparison,
    samples: Samples,
    standing: Sequence[Standing],
    *,
    folds: int = 1,
    evaluator: str | None = None,
) -> None:
    """Print the test in words, and what the tables say of the two."""
    lines = _same(found, samples) or [*_test(found, folds, evaluator), *_reach(found, samples)]
    lines += [_table(each) for each in standing]
    out.print(plain("\n".join(lines)), markup=False, soft_wrap=True)


def _same(found: Comparison, samples: Samples) -> list[str]:
    """Say that nothing differs, where nothing does."""
    from harness.statistics import same_ranks

    if found.differing:
        return []
    if same_ranks(*samples):
        return ["A and B have the same rank for every query: no figure tells them apart."]
    return [
        f"{title_of(found.figure)}: A and B hit the same queries of every image: there is nothing to test."
    ]


def _test(found: Comparison, folds: int, evaluator: str | None) -> list[str]:
    name = found.figure
    ground = f"{found.images:,} images" + (f" in {folds} folds" if folds > 1 else "")
    ground += f", {found.seeds[0]} and {found.seeds[1]} seeds" if found.over_seeds else ""
    judged = f" as {evaluator} counts" if evaluator else ""
    first = (
        f"{title_of(name)}{judged}: A - B = {signed(found.difference, name)}, 95 % interval "
        f"{span(found.interval, name, sign=True)}, {probability(found.p_value)} (paired t-test, {ground})."
    )
    if not found.distinct:
        return [first, "The test cannot tell them apart at 5 %."]
    better = "A" if found.difference > 0 else "B"
    return [first, f"The test tells them apart at 5 %: {better} is better."]


def _reach(found: Comparison, samples: Samples) -> list[str]:
    """Say whom the test speaks of."""
    from harness.statistics import detectable, paired_sd

    if found.over_seeds:
        return ["It speaks of the methods: the variance between seeds is counted."]
    least = detectable(found.images, paired_sd(*samples, figure=found.figure))
    return [
        "It speaks of these runs: other seeds may differ, and are counted where both sides have two or more "
        f"(--seeds). Four times in five it finds a difference of {number(least, found.figure)}."
    ]


def _table(standing: Standing) -> str:
    """Say what a table says of the two, and why that may be something else."""
    a, b = standing.letters
    told = "it tells them apart" if standing.distinct else "they share a letter: it does not tell them apart"
    seeds = f"{standing.seeds[0]} and {standing.seeds[1]} seeds"
    variance = "one variance between seeds for all rows" if standing.over_seeds else "no row with two seeds"
    return (
        f"In the table {standing.page} A is in group {a} and B in group {b}; {told}. Its test ({seeds}, {variance}) "
        f"says {probability(standing.p_value)}, after Holm's correction for {standing.pairs:,} pairs "
        f"{probability(standing.adjusted)}."
    )


def mean(samples: Sequence[Sample], figure: str) -> float:
    """Return the mean of a figure over seeds."""
    return sum(sample.figures()[figure] for sample in samples) / len(samples)
