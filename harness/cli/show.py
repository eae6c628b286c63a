"""`harness show`: one stored run, or a row of the leaderboards."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.completion import complete_run
from harness.cli.console import emit, out, plain, say, table
from harness.cli.figures import duration, size
from harness.cli.lookup import all_runs, one_of
from harness.cli.options import Home, Json, RegistryFile, load_catalog, place

if TYPE_CHECKING:
    from harness.execute.runs import Runs
    from harness.store import Result, Store


def show(
    run: Annotated[
        str,
        typer.Argument(
            help="Fingerprint of a stored run or of a leaderboard row, or its first characters.",
            autocompletion=complete_run,
        ),
    ],
    as_json: Json = False,
    registry_file: RegistryFile = None,
    home: Home = None,
) -> None:
    """Print figures, learning curve, cost and provenance of a stored run; of a row, what the leaderboards keep."""
    import dataclasses

    from harness.store import Store

    where = place(home).home
    store = Store(where)
    stored = [fingerprint for fingerprint in store.fingerprints() if fingerprint.startswith(run)]
    if len(stored) != 1:
        runs = all_runs(where, registry_file)
        _show_row(runs, one_of(runs.fingerprints, run, runs.where), as_json=as_json)
        return
    found = stored[0]
    # What is shown is checked first; other files are only named below where they are damaged.
    store.checked(found, "result.json")
    result = store.result(found)
    folder = store.folder(found)
    history, intervals = _history(store, result), _intervals(store, result)
    if as_json:
        told = {"result": dataclasses.asdict(result), "intervals": intervals, "history": history}
        emit(told | {"folder": str(folder)})
        return
    _print_figures(result, intervals)
    if history:
        _print_history(history, "Solution" if _closed(result) else "Learning curve")
    rows = [
        *(_trained(result) if result.cost else _imported(result.spec)),
        [
            "gallery",
            f"{result.dataset}: {result.images:,} images, {result.captions:,} captions",
        ],
        *_protocol(result),
        ["hardware", result.provenance["hardware"]],
        ["versions", ", ".join(f"{k} {v}" for k, v in result.provenance["versions"].items())],
        ["command", result.provenance["command"]],
        ["revision", result.provenance["revision"] or "–"],
        ["finished", result.provenance["finished"]],
    ]
    table(f"Run {result.fingerprint}", ["", ""], rows)
    out.print(plain(f"files: {folder}"), markup=False, soft_wrap=True)
    damaged = store.damage(found)
    for path in damaged:
        say(f"damaged: {path}; run it again with --force", style="red")
    if damaged:
        raise typer.Exit(1)


def _show_row(runs: Runs, fingerprint: str, *, as_json: bool) -> None:
    import dataclasses

    from harness.cli.committed import print_row

    row = runs.rows[fingerprint]
    if as_json:
        emit({"row": dataclasses.asdict(row)})
    else:
        print_row(row, runs.ranks(fingerprint))


def _protocol(result: Result) -> list[list[str]]:
    """Return the passport as the leaderboards have it, its parts, and by which labels evaluators judged."""
    from harness.execute.rows import identities
    from harness.passport import passport, with_figures

    entries = sorted(result.figures.items())
    labels = [[f"labels of {name}", entry["labels"]] for name, entry in entries if entry.get("labels")]
    if not result.protocol:
        return [["passport", result.passport], *labels]
    parts = with_figures(result.protocol, identities(result.figures))
    return [["passport", passport(parts)], *([f"  {name}", text] for name, text in parts.items()), *labels]


def _history(store: Store, result: Result) -> list[dict[str, float]]:
    """Return what each epoch of training told; nothing of an imported run."""
    if not result.cost:
        return []
    text = store.checked(result.fingerprint, "history.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _batch(result: Result) -> list[list[str]]:
    parts = result.provenance.get("accumulate", 1)
    return (
        [["batch", f"{result.spec['stage']['batch']} images, embedded in {parts} parts"]] if parts > 1 else []
    )


def _trained(result: Result) -> list[list[str]]:
    cost = result.cost
    val = f"rSum {result.val_rsum:.1f}"
    trained = f"{result.epochs} epochs, best on val at {result.best_epoch} ({val})"
    return [
        ["trained", f"in closed form ({val} on val)" if _closed(result) else trained],
        *_batch(result),
        ["parameters", f"{cost['parameters']:,.0f} trained, {cost['frozen_parameters']:,.0f} frozen"],
        [
            "time",
            f"{duration(cost['train_seconds'])} training, {duration(cost['prepare_seconds'])} before it",
        ],
        ["peak memory", size(cost["peak_memory_bytes"])],
        *_embedding(cost),
    ]


def _embedding(cost: Mapping[str, float]) -> list[list[str]]:
    """Return what embedding takes, of runs that measured it."""
    if "image_flops" not in cost:
        return []
    operations = (
        f"{cost['image_flops'] / 1e9:.2f} GFLOP an image, {cost['text_flops'] / 1e6:.2f} MFLOP a caption"
    )
    speeds = f"{cost['images_per_second']:,.0f} images/s, {cost['captions_per_second']:,.0f} captions/s"
    return [["embedding", f"{operations}; {speeds}"]]


def _imported(spec: Mapping[str, Any]) -> list[list[str]]:
    paths = ", ".join(path for path in (spec["visual"], spec["textual"]) if path)
    return [
        ["imported", f"{spec['method']}{f' ({paths})' if paths else ''}: {spec['form']} of another code"],
        ["source", spec["source"] or "–"],
        ["file", f"{spec['file']}, sha256 {spec['sha256']}"],
    ]


def _intervals(store: Store, result: Result) -> dict[str, dict[str, list[float]]]:
    """Return the bounds of all intervals; of ranks that are damaged there are none, and they are named below."""
    from harness.export import intervals_of
    from harness.queries import FILE

    found = intervals_of(store, result, ranks=not store.damage(result.fingerprint, {FILE}))
    return {
        evaluator: {name: [interval.low, interval.high] for name, interval in each.items()}
        for evaluator, each in found.items()
    }


def _print_figures(result: Result, intervals: Mapping[str, Mapping[str, list[float]]]) -> None:
    from harness.cli.scores import listed, units

    found = units(load_catalog(False), result.images, result.captions)
    figures = {name: {**entry, "intervals": intervals[name]} for name, entry in result.figures.items()}
    table("Figures", ["figure", "value (95 %)"], listed(figures, found), numeric=1)


def _closed(result: Result) -> bool:
    """Tell whether a run was solved in closed form, which tables count as an epoch."""
    return bool(result.spec.get("stage", {}).get("epochs") == 0)


def _print_history(history: list[dict[str, float]], title: str) -> None:
    known = [key for key in history[-1] if key not in ("epoch", "rate", "seconds")]
    # As many as a terminal holds: the whole, the choice on val, then the losses and their parts as far as they fit.
    first = [key for key in ("loss", "val.rsum") if key in known]
    columns, room = [], max(60, out.width - 10)
    for key in [*first, *sorted((key for key in known if key not in first), key=lambda key: key.count("."))]:
        room -= max(len(key), 8) + 3
        if room >= 0:
            columns.append(key)
    shown = [row for row in history if "val.rsum" in row] or history
    step = max(1, -(-len(shown) // 15))
    picked = [*shown[:-1:step], shown[-1]]
    rows = [
        [f"{row['epoch']:.0f}", *(f"{row[c]:.3f}" if c in row else "–" for c in columns)] for row in picked
    ]
    left = len(known) - len(columns)
    more = f" ({left} more columns with --json)" if left else ""
    table(f"{title}{more}", ["epoch", *columns], rows, numeric=0)
