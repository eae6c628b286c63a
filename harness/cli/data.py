"""`harness data`: prepare, verify and list datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from harness.cli.console import emit, log, out, plain, say, table
from harness.cli.options import Home, Json, Strict, load_catalog, load_registry, place

app = typer.Typer(help="Prepare, verify and list datasets.", no_args_is_help=True)

Source = Annotated[Path, typer.Option("--from", help="Folder that holds the dataset as its authors give it.")]
As = Annotated[
    str | None,
    typer.Option(
        "--as", help="Name of the prepared dataset (default: the registry's name).", show_default=False
    ),
]
Option = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="A parameter of the dataset, as in val_seed=1; may be repeated.", show_default=False
    ),
]


@app.command()
def prepare(
    name: Annotated[
        str, typer.Argument(help="A dataset of registry.yaml, or one that a plugin brings, as `folder`.")
    ],
    source: Source,
    called: As = None,
    settings: Option = None,
    strict: Strict = False,
    home: Home = None,
) -> None:
    """Read and check a dataset: every annotation, every image decoded once, checksums, a manifest."""
    from harness.data import prepare as prepare_dataset
    from harness.errors import InputError
    from harness.registry import read_value

    where, catalog, registry = place(home), load_catalog(strict), load_registry()
    entry = registry.datasets.get(name)
    use, params = (entry.use, dict(entry.params)) if entry else (name, {})
    for pair in settings or []:
        key, separator, value = pair.partition("=")
        if not separator:
            raise InputError(f"--set takes parameter=value, not {pair!r}")
        params[key] = read_value(value, f"--set {key}")
    if catalog.find("dataset", use).spec.name == "folder" and called is None and entry is None:
        raise InputError(f"{name!r} needs a name for the prepared dataset", hint="Add --as NAME.")
    with _Bar() as bar:
        manifest = prepare_dataset(called or name, use, params, source, where.data, catalog, bar)
    for note in manifest.notes:
        say(f"note: {note}")
    rows = [[split, n["images"], n["captions"]] for split, n in manifest.counts.items()]
    state = "as it was prepared before" if manifest.unchanged else "prepared"
    table(f"{manifest.name}: {state}", ["split", "images", "captions"], rows, numeric=1)
    out.print(
        plain(f"passport {manifest.protocol[:16]}  ({where.data / manifest.name})"),
        markup=False,
        soft_wrap=True,
    )
    say(f"next: harness run --matrix ablations --dataset {manifest.name}")


@app.command()
def verify(
    name: Annotated[str, typer.Argument(help="A prepared dataset.")],
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Read every file of a prepared dataset again and compare checksums."""
    from harness.data import verify as verify_dataset

    where = place(home)
    with _Bar() as bar:
        problems = verify_dataset(name, where.data, bar)
    if as_json:
        emit({"name": name, "problems": problems})
    for problem in problems:
        say(f"problem: {problem}", style="red")
    if problems:
        say(f"next: mend the files, then harness data prepare {name} --from DIR")
        raise typer.Exit(1)
    if not as_json:
        out.print(plain(f"{name}: every file is as it was prepared"), markup=False)


@app.command()
def status(as_json: Json = False, strict: Strict = False, home: Home = None) -> None:
    """List the datasets of the registry and those that are prepared."""
    import dataclasses

    from harness.data import status as dataset_status

    where = place(home)
    found = dataset_status(where.data, load_registry(), load_catalog(strict))
    if as_json:
        emit({"root": str(where.data), "datasets": [dataclasses.asdict(entry) for entry in found]})
        return
    rows: list[list[Any]] = []
    for entry in found:
        counts = "  ".join(f"{split} {n['images']:,}" for split, n in entry.counts.items())
        rows.append([entry.name, entry.state, counts or "–", entry.command or "–", entry.detail])
    table("", ["dataset", "state", "images", "to get it", "detail"], rows)
    out.print(
        plain(f"prepared datasets lie in {where.data} (HARNESS_DATA names another place)"),
        markup=False,
        soft_wrap=True,
    )


class _Bar:
    """A progress bar as a callback."""

    def __init__(self) -> None:
        self.shown = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=log,
            transient=True,
            disable=not log.is_terminal,
        )
        self.task = self.shown.add_task("", total=None)

    def __enter__(self) -> _Bar:
        self.shown.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shown.stop()

    def __call__(self, done: int, total: int, note: str = "") -> None:
        self.shown.update(self.task, completed=done, total=total, description=plain(note))
