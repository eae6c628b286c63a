"""`harness data`: prepare, verify and list datasets."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.bar import Bar
from harness.cli.completion import complete_listed, complete_prepared
from harness.cli.console import emit, out, plain, say, table
from harness.cli.options import (
    Home,
    Json,
    Place,
    RegistryFile,
    Strict,
    assignments,
    load_catalog,
    load_registry,
    place,
)

if TYPE_CHECKING:
    from harness.catalog import Catalog
    from harness.data import DatasetStatus

app = typer.Typer(help="Prepare, verify and list datasets.", no_args_is_help=True)

Source = Annotated[
    Path | None,
    typer.Option("--from", help="Folder that holds the dataset as its authors give it.", show_default=False),
]
Images = Annotated[
    list[Path] | None,
    typer.Option(
        "--images",
        help="Folder, tar or zip of the images, where annotations lie elsewhere; archives may be several.",
        show_default=False,
    ),
]
Files = Annotated[
    list[Path] | None,
    typer.Option(
        "--annotations", help="An annotation file, or a folder of them; may be repeated.", show_default=False
    ),
]
Decode = Annotated[
    int | None,
    typer.Option(
        "--decode",
        min=16,
        help="Also decode every image once, to this shorter side: 256 for Stage II at 224.",
        show_default=False,
    ),
]
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
        str,
        typer.Argument(
            help="A dataset of registry.yaml, or one that a plugin brings, as `folder`.",
            autocompletion=complete_listed,
        ),
    ],
    source: Source = None,
    images: Images = None,
    files: Files = None,
    called: As = None,
    settings: Option = None,
    decode: Decode = None,
    strict: Strict = False,
    registry_file: RegistryFile = None,
    home: Home = None,
) -> None:
    """Read and check a dataset: every annotation, every image decoded once, checksums, a manifest."""
    from harness.data import prepare as prepare_dataset
    from harness.errors import InputError

    where, catalog, registry = place(home), load_catalog(strict), load_registry(registry_file)
    entry = registry.datasets.get(name)
    use, params = (entry.use, dict(entry.params)) if entry else (name, {})
    params |= assignments(settings or ())
    if catalog.find("dataset", use).spec.name == "folder" and called is None and entry is None:
        raise InputError(f"{name!r} needs a name for the prepared dataset", hint="Add --as NAME.")
    if (source is None) == (not images):
        raise InputError(
            "name the folder of the dataset with --from, or its images with --images and its annotations with "
            "--annotations",
            hint=f"harness data prepare {name} --from DIR",
        )
    first, *archives = [source] if source is not None else images or []
    with Bar() as bar:
        manifest = prepare_dataset(
            called or name,
            use,
            params,
            first,
            where.data,
            catalog,
            bar,
            files=files or (),
            archives=archives,
        )
    for note in [*manifest.notes, *manifest.lists]:
        say(f"note: {note}")
    rows = [[split, f"{n['images']:,}", f"{n['captions']:,}"] for split, n in manifest.counts.items()]
    state = "as it was prepared before" if manifest.unchanged else "prepared"
    table(f"{manifest.name}: {state}", ["split", "images", "captions"], rows, numeric=1)
    out.print(
        plain(f"passport {manifest.protocol[:16]}  ({where.data / manifest.name})"),
        markup=False,
        soft_wrap=True,
    )
    if decode is not None:
        _decode(manifest.name, use, params, decode, where, catalog)
    if entry is not None and called is None and params != dict(entry.params):
        given = ", ".join(f"{key}: {json.dumps(params[key])}" for key in sorted(params))
        say(
            f"registry.yaml has other parameters for {name!r} and will not take this for it: write {{{given}}} into "
            f"its entry of datasets, or prepare it under another name with --as NAME",
            style="yellow",
        )
        return
    if all(n["images"] for n in manifest.counts.values()):
        say(f"next: harness run --matrix ablations --dataset {manifest.name}")


def _decode(name: str, use: str, params: dict[str, Any], size: int, where: Place, catalog: Catalog) -> None:
    """Fill the cache of decoded images, split by split as runs read them."""
    from harness.data import open_dataset
    from harness.decoded import load_decoded
    from harness.plan import Part
    from harness.protocols import SPLITS

    revision = catalog.find("dataset", use).spec.revision
    part = Part(name=name, use=use, revision=revision, params=params, title=name)
    dataset = open_dataset(part, where.data, catalog)
    there = {record.split for record in dataset.records}
    with Bar() as bar:
        for split in (split for split in SPLITS if split in there):

            def tell(done: int, total: int, split: str = split) -> None:
                bar(done, total, f"decoding {split}")

            load_decoded(where.home, dataset, dataset.split(split).records, size=size, progress=tell)
    say(f"decoded to a shorter side of {size} pixels in {where.home / 'decoded'}")


@app.command()
def verify(
    name: Annotated[str, typer.Argument(help="A prepared dataset.", autocompletion=complete_prepared)],
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Read every file of a prepared dataset again and compare checksums."""
    from harness.cli.summary import given
    from harness.data import prepare_again
    from harness.data import verify as verify_dataset

    where = place(home)
    with Bar() as bar:
        problems = verify_dataset(name, where.data, bar)
    if as_json:
        emit({"name": name, "problems": problems})
    for problem in problems:
        say(f"problem: {problem}", style="red")
    if problems:
        words = "".join(f" {shlex.quote(word)}" for word in given({"home": home}))
        say(f"next: mend the files, then {prepare_again(where.data, name)}{words}")
        raise typer.Exit(1)
    if not as_json:
        out.print(plain(f"{name}: every file is as it was prepared"), markup=False)


@app.command()
def status(
    as_json: Json = False,
    strict: Strict = False,
    registry_file: RegistryFile = None,
    home: Home = None,
) -> None:
    """List the datasets of the registry and those that are prepared."""
    import dataclasses

    from harness.cli.summary import given
    from harness.data import status as dataset_status
    from harness.data.status import settings_of

    where = place(home)
    registry = load_registry(registry_file)
    words = "".join(f" {shlex.quote(word)}" for word in given({"registry": registry_file, "home": home}))
    found = [_here(entry, words) for entry in dataset_status(where.data, registry, load_catalog(strict))]
    if as_json:
        emit({"root": str(where.data), "datasets": [dataclasses.asdict(entry) for entry in found]})
        return
    rows: list[list[Any]] = []
    for entry in found:
        counts = "  ".join(f"{split} {n['images']:,}" for split, n in entry.counts.items())
        detail = "; ".join([*settings_of(entry.params), *([entry.detail] if entry.detail else [])])
        rows.append([entry.name, entry.state, counts or "–", detail])
    table("", ["dataset", "state", "images", "parameters, and what is wrong"], rows, whole=["images"])
    for command in (entry.command for entry in found if entry.command):
        out.print(plain(f"to get it: {command}"), markup=False, soft_wrap=True)
    out.print(
        plain(f"prepared datasets lie in {where.data} (HARNESS_DATA names another place)"),
        markup=False,
        soft_wrap=True,
    )


def _here(entry: DatasetStatus, words: str) -> DatasetStatus:
    """Add to the commands of a dataset the options that lead to this store."""
    if not (entry.command and words):
        return entry
    whole = entry.command + words
    return replace(entry, command=whole, detail=entry.detail.replace(entry.command, whole))
