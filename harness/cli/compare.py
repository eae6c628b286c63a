"""`harness compare`: two methods on the same test images, and whether a test can tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.completion import complete_evaluator, complete_run
from harness.cli.console import emit, say
from harness.cli.lookup import all_runs, one_of
from harness.cli.options import (
    Home,
    Json,
    Place,
    RegistryFile,
    leaderboards,
    load_catalog,
    load_registry,
    place,
)

if TYPE_CHECKING:
    from harness.execute.compared import Asked
    from harness.execute.ranked import RankedRun
    from harness.execute.runs import Runs
    from harness.leaderboard import Standing
    from harness.statistics import Comparison, Decided


def compare(
    a: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="Fingerprint of a stored run or of a leaderboard row, or its first characters, as many as tell it "
            "from others, commas between seeds; or a method as tables call it, or dataset:method.",
            autocompletion=complete_run,
        ),
    ],
    b: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="The run or runs that it is compared with.", autocompletion=complete_run
        ),
    ],
    figure: Annotated[
        str, typer.Option("--figure", help="What decides: rsum, or a recall as in i2t.recall@1.")
    ] = "rsum",
    folds: Annotated[
        int, typer.Option("--folds", min=1, help="Means over so many folds; MSCOCO 1K is 5.")
    ] = 1,
    seeds: Annotated[
        bool, typer.Option("--seeds", help="Add the runs that differ in the seed only.")
    ] = False,
    evaluator: Annotated[
        str | None,
        typer.Option(
            "--evaluator",
            help="Compare the ranks that this evaluator counted.",
            show_default=False,
            autocompletion=complete_evaluator,
        ),
    ] = None,
    queries: Annotated[int, typer.Option("--queries", min=0, help="Queries to print for each side.")] = 5,
    as_json: Json = False,
    registry_file: RegistryFile = None,
    home: Home = None,
) -> None:
    """Print the paired difference of two runs with interval and p-value, and the queries that each wins."""
    from harness.cli.verdict import print_figures, print_runs, print_verdict
    from harness.cli.wins import print_wins
    from harness.errors import InputError
    from harness.execute.compared import Asked, one_question, scored_elsewhere
    from harness.statistics import compare as test
    from harness.statistics import decided
    from harness.statistics.sample import known

    known(figure)
    if evaluator is not None and folds > 1:
        raise InputError(
            "--evaluator and --folds exclude each other", hint="The evaluator has folds of its own."
        )
    where = place(home)
    runs = all_runs(where.home, registry_file)
    names = sides_of(runs, a, b, seeds=seeds)
    sides = [[runs.read(name, evaluator=evaluator, folds=folds) for name in side] for side in names]
    if parts := one_question([*sides[0], *sides[1]], evaluator):
        told = " and ".join([", ".join(parts[:-1]), parts[-1]] if parts[1:] else parts)
        say(f"the runs differ in their {told}: a difference may come from there", style="yellow")
    if note := scored_elsewhere([*sides[0], *sides[1]]):
        say(note, style="yellow")
    _warn_of_mixtures(runs, sides)
    samples = [[run.sample for run in side] for side in sides]
    found = test(*samples, figure=figure)
    wins = decided(*samples, figure=figure)
    asked = _asked([*sides[0], *sides[1]], where, registry_file) if queries else Asked()
    standing = (
        _standing(runs, names, registry_file) if figure == "rsum" and folds == 1 and evaluator is None else []
    )
    if as_json:
        emit(_json(sides, found, wins, asked, standing, queries))
        return
    print_runs(sides)
    print_figures(samples)
    print_verdict(found, samples, standing, folds=folds, evaluator=evaluator)
    if found.differing:
        print_wins(wins, asked, queries)


def sides_of(runs: Runs, a: str, b: str, *, seeds: bool) -> list[list[str]]:
    """Return the fingerprints that two arguments name, one list a side.

    Raises:
        InputError: if an argument names no run, a run twice, or one of the other side.
    """
    from harness.errors import InputError

    sides = []
    for text in (a, b):
        parts = [part.strip() for part in text.split(",") if part.strip()]
        # A title may hold commas.
        named = runs.titled(text) or [one_of(runs.fingerprints, part, runs.where) for part in parts]
        if not named:
            raise InputError(f"{text!r} names no run", hint="harness compare RUN RUN")
        all_named = [other for run in named for other in runs.seeds_of(run)] if seeds else named
        if not seeds and len(set(named)) < len(named):
            raise InputError(f"{text!r} names a run twice")
        sides.append(list(dict.fromkeys(all_named)))
    both = set(sides[0]) & set(sides[1])
    if both:
        raise InputError(f"run {min(both)} stands on both sides: nothing differs from itself")
    return sides


def _warn_of_mixtures(runs: Runs, sides: Sequence[Sequence[RankedRun]]) -> None:
    for name, side in zip("AB", sides, strict=True):
        if len({runs.method(run.fingerprint) for run in side}) > 1:
            say(
                f"the runs of {name} differ in more than the seed; they are averaged all the same",
                style="yellow",
            )


def _asked(runs: Sequence[RankedRun], where: Place, registry_file: Path | None) -> Asked:
    """Return ids and captions, as far as they are at hand: a stored run has ids, its dataset the captions."""
    from harness.errors import HarnessError
    from harness.execute.compared import Asked, asked

    run = next((run for run in runs if run.caption_ids), runs[0])
    try:
        return asked(run, where.data, load_catalog(False), load_registry(registry_file))
    except HarnessError as error:
        what = "their ids" if run.caption_ids else "their numbers"
        say(f"captions are shown by {what}: {error.args[0]}", style="yellow")
        return Asked(image_ids=run.image_ids, caption_ids=run.caption_ids)


def _standing(runs: Runs, names: Sequence[Sequence[str]], registry_file: Path | None) -> list[Standing]:
    """Return what the tables say of both, where they have both."""
    from harness.leaderboard import read_rows, standings
    from harness.leaderboard.results import RESULTS
    from harness.leaderboard.tables import EVALUATOR

    if not all(run in runs.rows for side in names for run in side):
        return []
    folder = leaderboards(load_registry(registry_file))
    return standings(read_rows(folder / RESULTS), folder, names[0], names[1], evaluators=[EVALUATOR])


def _json(
    sides: Sequence[Sequence[RankedRun]],
    found: Comparison,
    wins: Decided,
    asked: Asked,
    standing: Sequence[Standing],
    count: int,
) -> dict[str, Any]:
    import dataclasses

    from harness.cli.verdict import made_of, mean
    from harness.cli.wins import query
    from harness.statistics import FIGURES, bootstrap, paired_bootstrap

    samples = [[run.sample for run in side] for side in sides]
    told = {}
    for name, side, mine in zip("ab", sides, samples, strict=True):
        intervals = bootstrap(mine)
        told[name] = {
            "runs": [run.fingerprint for run in side],
            "methods": list(dict.fromkeys(run.title for run in side)),
            "passports": sorted({run.table_passport for run in side}),
            "figures": {f: mean(mine, f) for f in FIGURES},
            "intervals": {f: dataclasses.asdict(intervals[f]) for f in FIGURES},
            "wins": len(getattr(wins, name)),
            "queries": [query(win, asked) for win in getattr(wins, name)[:count]],
        }
    gaps = paired_bootstrap(*samples)
    return {
        **told,
        "differences": made_of(sides[0][0], sides[1][0]),
        "test": {**dataclasses.asdict(found), "distinct": found.distinct, "over_seeds": found.over_seeds},
        "tables": [dataclasses.asdict(each) for each in standing],
        "bootstrap": {name: dataclasses.asdict(gap) for name, gap in gaps.items()},
        "queries": wins.queries,
    }


__all__ = ["compare"]
