"""`harness compare`: two methods on the same test images, and whether a test can tell them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.console import emit, out, plain, say, table
from harness.cli.lookup import find_run
from harness.cli.options import Home, Json, Place, load_catalog, place
from harness.cli.points import number, probability, signed, span, title_of

if TYPE_CHECKING:
    from harness.execute.compared import RankedRun
    from harness.statistics import Comparison, Decided, Sample, Win
    from harness.store import Store

SHOWN = 12
"""Differences between the runs' specifications that are printed."""
Runs = tuple["RankedRun", ...]


def compare(
    a: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="A run's fingerprint or its first characters; commas between seeds."
        ),
    ],
    b: Annotated[str, typer.Argument(metavar="RUN", help="The run or runs that it is compared with.")],
    figure: Annotated[
        str, typer.Option("--figure", help="What decides: rsum, or a recall as in i2t.recall@1.")
    ] = "rsum",
    folds: Annotated[
        int, typer.Option("--folds", min=1, help="Means over so many folds; MSCOCO 1K is 5.")
    ] = 1,
    seeds: Annotated[
        bool, typer.Option("--seeds", help="Add the stored runs that differ in the seed only.")
    ] = False,
    evaluator: Annotated[
        str | None,
        typer.Option(
            "--evaluator", help="Compare the ranks that this evaluator counted.", show_default=False
        ),
    ] = None,
    queries: Annotated[int, typer.Option("--queries", min=0, help="Queries to print for each side.")] = 5,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Print the paired difference of two runs with interval and p-value, and the queries that each wins."""
    from harness.errors import InputError
    from harness.execute.compared import one_question, ranked_run
    from harness.statistics import compare as test
    from harness.statistics import decided
    from harness.statistics.sample import known
    from harness.store import Store

    known(figure)
    if evaluator is not None and folds > 1:
        raise InputError(
            "--evaluator and --folds exclude each other", hint="The evaluator has folds of its own."
        )
    where = place(home)
    store = Store(where.home)
    names = sides_of(store, a, b, seeds=seeds)
    sides = [
        tuple(ranked_run(store, name, evaluator=evaluator, folds=folds) for name in side) for side in names
    ]
    for part in one_question([*sides[0], *sides[1]], evaluator):
        say(f"the runs differ in their {part}: a difference may come from there", style="yellow")
    _warn_of_mixtures(store, sides)
    samples = [[run.sample for run in side] for side in sides]
    found = test(*samples, figure=figure)
    wins = decided(*samples, figure=figure)
    texts = _captions(sides[0][0], where) if queries else {}
    if as_json:
        emit(_json(sides, found, wins, texts, queries))
        return
    _print_runs(sides)
    _print_figures(samples)
    _print_verdict(found, samples, folds, evaluator)
    _print_wins(wins, sides[0][0], texts, queries)


def sides_of(store: Store, a: str, b: str, *, seeds: bool) -> list[list[str]]:
    """Return the fingerprints that two arguments name, one list a side.

    Raises:
        InputError: if an argument names no run, a run twice, or one of the other side.
    """
    from harness.errors import InputError
    from harness.execute.compared import seeds_of

    sides = []
    for text in (a, b):
        named = [find_run(store, part.strip()) for part in text.split(",") if part.strip()]
        if not named:
            raise InputError(f"{text!r} names no run", hint="harness compare RUN RUN")
        all_named = [other for run in named for other in seeds_of(store, run)] if seeds else named
        if not seeds and len(set(named)) < len(named):
            raise InputError(f"{text!r} names a run twice")
        sides.append(list(dict.fromkeys(all_named)))
    both = set(sides[0]) & set(sides[1])
    if both:
        raise InputError(f"run {min(both)} stands on both sides: nothing differs from itself")
    return sides


def _warn_of_mixtures(store: Store, sides: Sequence[Runs]) -> None:
    from harness.execute.compared import recipe

    for name, side in zip("AB", sides, strict=True):
        if len({recipe(store, run.result) for run in side}) > 1:
            say(
                f"the runs of {name} differ in more than the seed; they are averaged all the same",
                style="yellow",
            )


def _captions(run: RankedRun, where: Place) -> Mapping[str, str]:
    """Return the caption of each id, none where the dataset is not at hand."""
    from pathlib import Path

    from harness.errors import HarnessError
    from harness.execute.compared import captions_of
    from harness.registry import find_registry

    try:
        return captions_of(run, where.data, load_catalog(False), find_registry(Path.cwd()).parent)
    except HarnessError as error:
        say(f"captions are shown by their ids: {error.args[0]}", style="yellow")
        return {}


def _print_runs(sides: Sequence[Runs]) -> None:
    from harness.execute.differences import differences

    a, b = (side[0].result for side in sides)
    rows = [["runs", *("\n".join(_run(run) for run in side) for side in sides)]]
    told = differences(a.spec, b.spec)
    rows += [list(row) for row in told[:SHOWN]]
    title = f"{a.dataset}, {a.images:,} test images, {a.captions:,} captions"
    table(title, ["", "A", "B"], rows)
    if len(told) > SHOWN:
        say(f"... and {len(told) - SHOWN} more differences; `harness show RUN --json` has all")


def _run(run: RankedRun) -> str:
    return f"{run.result.fingerprint} (seed {run.result.spec.get('seed', '–')})"


def _print_figures(samples: Sequence[Sequence[Sample]]) -> None:
    from harness.statistics import FIGURES, bootstrap, paired_bootstrap

    intervals = [bootstrap(side) for side in samples]
    gaps = paired_bootstrap(*samples)
    rows = []
    for name in FIGURES:
        values = [_mean(side, name) for side in samples]
        shown = [f"{number(v, name)}  {span(i[name], name)}" for v, i in zip(values, intervals, strict=True)]
        rows.append(
            [title_of(name), *shown, signed(values[0] - values[1], name), span(gaps[name], name, sign=True)]
        )
    columns = ["", "A", "B", "A - B", "95 % interval"]
    table("Recalls in percent, with 95 % bootstrap intervals over images", columns, rows, numeric=1)


def _print_verdict(
    found: Comparison, samples: Sequence[Sequence[Sample]], folds: int, evaluator: str | None
) -> None:
    from harness.statistics import detectable, paired_sd

    name = found.figure
    ground = f"{found.images:,} images" + (f" in {folds} folds" if folds > 1 else "")
    ground += f", {found.seeds[0]} and {found.seeds[1]} seeds" if found.over_seeds else ""
    judged = f" as {evaluator} counts" if evaluator else ""
    lines = [
        f"{title_of(name)}{judged}: A - B = {signed(found.difference, name)}, 95 % interval "
        f"{span(found.interval, name, sign=True)}, {probability(found.p_value)} (paired t-test, {ground})."
    ]
    if found.distinct:
        better = "A" if found.difference > 0 else "B"
        lines.append(f"The test tells them apart at 5 %: {better} is better.")
    else:
        lines.append("The test cannot tell them apart at 5 %.")
    if found.over_seeds:
        lines.append("It speaks of the methods: the variance between seeds is counted.")
    else:
        least = detectable(found.images, paired_sd(*samples, figure=name))
        lines.append(
            "It speaks of these runs: other seeds may differ, and are counted where both sides have two or more "
            f"(--seeds). Four times in five it finds a difference of {number(least, name)}."
        )
    out.print(plain("\n".join(lines)), markup=False, soft_wrap=True)


def _print_wins(wins: Decided, run: RankedRun, texts: Mapping[str, str], count: int) -> None:
    for names, found in (("AB", wins.a), ("BA", wins.b)):
        title = f"{names[0]} wins and {names[1]} loses {len(found):,} of {wins.queries:,} queries"
        rows = [_row(win, run, texts) for win in found[:count]]
        if rows:
            columns = ["query", "image", "caption", f"rank {names[0]}", f"rank {names[1]}"]
            table(title, columns, rows, numeric=3)
        else:
            out.print(plain(f"{title}."), markup=False, soft_wrap=True)


def _row(win: Win, run: RankedRun, texts: Mapping[str, str]) -> list[str]:
    image, caption = _ids(win, run)
    shown = texts.get(caption or f"{image}#0", caption or "–")
    kind = "caption" if win.side == "t2i" else "image"
    return [kind, image, shown, _rank(win.rank), _rank(win.other)]


def _rank(rank: float) -> str:
    return f"{rank:,.0f}" if rank.is_integer() else f"{rank:,.1f}"


def _ids(win: Win, run: RankedRun) -> tuple[str, str | None]:
    """Return the ids of the image and, where it is the query, of the caption."""
    if win.side == "i2t":
        return run.image_ids[win.query], None
    caption = run.caption_ids[win.query]
    return caption.rpartition("#")[0], caption


def _json(
    sides: Sequence[Runs], found: Comparison, wins: Decided, texts: Mapping[str, str], count: int
) -> dict[str, Any]:
    import dataclasses

    from harness.execute.differences import differences
    from harness.statistics import FIGURES, bootstrap, paired_bootstrap

    samples = [[run.sample for run in side] for side in sides]
    told = {}
    for name, side, mine in zip("ab", sides, samples, strict=True):
        intervals = bootstrap(mine)
        told[name] = {
            "runs": [run.result.fingerprint for run in side],
            "passports": sorted({run.result.passport for run in side}),
            "figures": {f: _mean(mine, f) for f in FIGURES},
            "intervals": {f: dataclasses.asdict(intervals[f]) for f in FIGURES},
            "wins": len(getattr(wins, name)),
            "queries": [_query(win, sides[0][0], texts) for win in getattr(wins, name)[:count]],
        }
    gaps = paired_bootstrap(*samples)
    return {
        **told,
        "differences": [list(row) for row in differences(sides[0][0].result.spec, sides[1][0].result.spec)],
        "test": {**dataclasses.asdict(found), "distinct": found.distinct, "over_seeds": found.over_seeds},
        "bootstrap": {name: dataclasses.asdict(gap) for name, gap in gaps.items()},
        "queries": wins.queries,
    }


def _query(win: Win, run: RankedRun, texts: Mapping[str, str]) -> dict[str, Any]:
    image, caption = _ids(win, run)
    return {
        "side": win.side,
        "image": image,
        "caption_id": caption,
        "caption": texts.get(caption) if caption else None,
        "rank": win.rank,
        "other": win.other,
    }


def _mean(samples: Sequence[Sample], figure: str) -> float:
    return sum(sample.figures()[figure] for sample in samples) / len(samples)


__all__ = ["compare"]
