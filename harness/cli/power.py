"""`harness power`: how many test images or seeds it takes to tell a difference apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.completion import complete_run
from harness.cli.console import emit, out, plain, say, table
from harness.cli.lookup import all_runs
from harness.cli.options import Home, Json, RegistryFile, place
from harness.cli.points import points, title_of

if TYPE_CHECKING:
    from harness.execute.spreads import Spread

CORRELATIONS = (0.0, 0.25, 0.5, 0.75)
"""Of the hits of two methods, where nothing was measured."""
WITHIN = (0.0, 0.25, 0.5)
"""Correlations of the hits of two captions of one image."""


def power(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN RUN]",
            help="Two runs or leaderboard rows, by the first characters of their fingerprints, seeds with commas, or "
            "two methods as tables call them; without them, all pairs of methods in the store and the leaderboards.",
            show_default=False,
            autocompletion=complete_run,
        ),
    ] = None,
    delta: Annotated[
        float, typer.Option("--delta", help="The difference to tell, in points of a table.")
    ] = 1.0,
    figure: Annotated[
        str, typer.Option("--figure", help="rsum, or a recall as in t2i.recall@5.")
    ] = "i2t.recall@1",
    recall: Annotated[
        float | None,
        typer.Option("--recall", help="No runs: a recall in percent, by the binomial.", show_default=False),
    ] = None,
    captions: Annotated[
        int, typer.Option("--captions", min=1, help="Captions of an image, for --recall.")
    ] = 5,
    alpha: Annotated[float, typer.Option("--alpha", help="Level of the two-sided test.")] = 0.05,
    reach: Annotated[float, typer.Option("--power", help="How often the test is to find it, 0..1.")] = 0.8,
    seeds: Annotated[
        bool, typer.Option("--seeds", help="Add the runs that differ in the seed only.")
    ] = False,
    as_json: Json = False,
    registry_file: RegistryFile = None,
    home: Home = None,
) -> None:
    """Say how many test images or seeds it takes to tell two methods apart that differ by --delta points."""
    from harness.errors import InputError
    from harness.statistics.sample import known
    from harness.statistics.sizing import check_test

    known(figure)
    check_test(delta, alpha, reach)
    test = _Test(delta, figure, alpha, reach)
    if recall is not None:
        if runs:
            raise InputError("--recall stands in place of runs, not beside them")
        test.by_recall(recall, captions, as_json)
        return
    found = (
        _of_runs(runs, figure, seeds, home, registry_file) if runs else _of_all(figure, home, registry_file)
    )
    if as_json:
        emit({**test.json, "galleries": [test.told(each) for each in found]})
        return
    test.print(found)


def _of_runs(
    arguments: Sequence[str], figure: str, seeds: bool, home: Any, registry_file: Any
) -> list[Spread]:
    from harness.cli.compare import sides_of
    from harness.errors import InputError
    from harness.execute.compared import one_question, scored_elsewhere
    from harness.execute.spreads import galleries, question, spread

    if len(arguments) != 2:
        raise InputError(
            f"power takes two runs or none, not {len(arguments)}",
            hint="Seeds of one method go with commas: A1,A2 B1,B2",
        )
    runs = all_runs(place(home).home, registry_file)
    a, b = ([runs.read(run) for run in side] for side in sides_of(runs, *arguments, seeds=seeds))
    one_question([*a, *b])
    if note := scored_elsewhere([*a, *b]):
        say(note, style="yellow")
    measured, _ = galleries(runs)
    gallery = next((each for each in measured if question(each[0][0]) == question(a[0])), [a, b])
    found = spread([a, b], figure, gallery)
    if not found.sds:
        raise InputError(
            f"runs {a[0].fingerprint} and {b[0].fingerprint} hit the same queries in {title_of(figure)}: nothing "
            "varies between them, and no number of images follows",
            hint="Name two methods that differ, or none: harness power takes all pairs that there are.",
        )
    return [found]


def _of_all(figure: str, home: Any, registry_file: Any) -> list[Spread]:
    from harness.errors import InputError
    from harness.execute.spreads import spreads

    runs = all_runs(place(home).home, registry_file)
    found, left_out = spreads(runs, figure)
    for line in left_out:
        say(f"left out: {line}", style="yellow")
    if not found:
        raise InputError(
            f"no two methods in {runs.where} were measured on the same test images",
            hint="Without runs: harness power --recall 70, which takes a recall in percent.",
        )
    return found


class _Test:
    """What is asked: a difference in points, the figure, level and power of the test."""

    def __init__(self, delta: float, figure: str, alpha: float, power: float) -> None:
        self.delta, self.figure, self.alpha, self.power = delta, figure, alpha, power
        self.unit = delta / points(1.0, figure)
        self.levels = {"alpha": alpha, "power": power}
        self.json = {"delta": delta, "figure": figure, **self.levels}

    @property
    def aim(self) -> str:
        """The question in words."""
        levels = f"{100 * self.alpha:g} % level, power {100 * self.power:g} %"
        return f"To tell a difference of {self.delta:g} in {title_of(self.figure)} ({levels})"

    def told(self, found: Spread) -> dict[str, Any]:
        """Return what it takes on one gallery."""
        from harness.statistics import detectable, images_needed, power_of, seeds_needed

        scale = points(1.0, self.figure)
        sds = [found.sd(share) for share in (0.5, 0.1, 0.9)]
        needed = [images_needed(self.unit, sd, **self.levels) for sd in sds]
        return {
            "dataset": found.dataset,
            "gallery": found.gallery,
            "images": found.images,
            "methods": found.methods,
            "pairs": len(found.sds),
            "sd_images": dict(zip(("median", "low", "high"), (scale * sd for sd in sds), strict=True)),
            "images_needed": dict(zip(("median", "low", "high"), needed, strict=True)),
            "power": power_of(self.unit, found.images, sds[0], alpha=self.alpha),
            "detectable": scale * detectable(found.images, sds[0], **self.levels),
            "sd_seeds": None if found.seeds is None else scale * found.seeds,
            "methods_with_seeds": found.repeated,
            "seeds_needed": None
            if found.seeds is None
            else seeds_needed(self.unit, found.seeds, **self.levels),
        }

    def print(self, galleries: Sequence[Spread]) -> None:
        """Print what it takes on each gallery, and what that rests on."""
        rows, seeds = [], []
        names = [found.dataset for found in galleries]
        for found in galleries:
            twice = names.count(found.dataset) > 1
            name = f"{found.dataset}\n{found.gallery[:8]}" if twice else found.dataset
            told = self.told(found)
            needed, sd = told["images_needed"], told["sd_images"]
            several = told["pairs"] > 1
            rows.append(
                [
                    name,
                    f"{found.images:,}",
                    f"{told['pairs']:,}",
                    f"{sd['median']:.1f}" + (f"\n({sd['low']:.1f}–{sd['high']:.1f})" if several else ""),
                    f"{needed['median']:,}"
                    + (f"\n({needed['low']:,}–{needed['high']:,})" if several else ""),
                    f"{100 * told['power']:.0f} %",
                    f"{told['detectable']:.1f}",
                ]
            )
            if told["seeds_needed"] is not None:
                methods = f"{told['methods_with_seeds']} of {found.methods}"
                seeds.append([name, methods, f"{told['sd_seeds']:.2f}", f"{told['seeds_needed']:,}"])
        columns = ["gallery", "images", "pairs", "sd an image", "images needed", "power now", "can tell now"]
        table(self.aim, columns, rows, numeric=1)
        if seeds:
            columns = ["gallery", "methods with seeds", "sd between seeds", "seeds needed of each"]
            table("Seeds, with these test images", columns, seeds, numeric=1)
        self._explain(any(len(found.sds) > 1 for found in galleries), bool(seeds))

    def _explain(self, several: bool, seeds: bool) -> None:
        lines = [
            "sd an image: standard deviation over images of what an image contributes to the difference of two "
            "methods, paired, with all its captions"
            + ("; median over pairs of methods, and of four pairs in five." if several else "."),
            "images needed: test images like these at which a paired t-test finds the difference, for the trained "
            "runs as they are. power now, can tell now: with the images that there are.",
        ]
        if seeds:
            lines.append(
                "sd between seeds: pooled over all methods with seeds on these images, in the store and the tables, as "
                "for the letters of the tables. seeds needed: trained runs of each method, for a t-test between their "
                "figures on these images; no number of seeds makes up for too few images."
            )
        else:
            lines.append(
                "No method has two seeds: how many seeds it takes is not known (--seed of harness run)."
            )
        _say(lines)

    def by_recall(self, recall: float, captions: int, as_json: bool) -> None:
        """Print what it takes where nothing was measured but a recall, in percent."""
        from harness.errors import ParameterError
        from harness.statistics import binomial_sd, images_needed

        if self.figure == "rsum":
            raise ParameterError(
                "--recall is one recall; rSum needs runs", hint="Give --figure t2i.recall@1, or runs."
            )
        if not 0.0 < recall < 100.0:
            raise ParameterError(f"--recall {recall:g} lies outside 0..100 percent")
        clustered = self.figure.startswith("t2i") and captions > 1
        within = WITHIN if clustered else (0.0,)
        size = captions if clustered else 1
        cells = [
            {
                "correlation": correlation,
                "icc": icc,
                "images_needed": images_needed(
                    self.unit,
                    binomial_sd(recall / 100.0, captions=size, icc=icc, correlation=correlation),
                    **self.levels,
                ),
            }
            for correlation in CORRELATIONS
            for icc in within
        ]
        if as_json:
            emit({**self.json, "recall": recall, "captions": size, "cells": cells})
            return
        rows = []
        for correlation in CORRELATIONS:
            row = [cell for cell in cells if cell["correlation"] == correlation]
            rows.append([f"{correlation:.2f}", *(f"{cell['images_needed']:,}" for cell in row)])
        title = f"{self.aim} near {recall:g} %: images needed"
        columns = [f"captions alike {icc:.2f}" for icc in within] if clustered else ["images"]
        table(title, ["methods alike", *columns], rows, numeric=1)
        lines = [
            "Nothing was measured: hits are binomial. methods alike: correlation of the hits of both methods on the "
            "same query, 0 if they have nothing in common.",
        ]
        if clustered:
            lines.append(
                f"captions alike: correlation of the hits of two of the {captions} captions of an image, which are "
                "no independent queries."
            )
        _say(
            [
                *lines,
                "`harness power` without --recall takes both from the store and the leaderboards.",
            ]
        )


def _say(lines: Sequence[str]) -> None:
    out.print(plain("\n".join(lines)), markup=False, soft_wrap=True)


__all__ = ["power"]
