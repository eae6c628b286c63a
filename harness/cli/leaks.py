"""`harness leaks`: does anything of test lie in train?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from harness.cli.bar import Bar
from harness.cli.completion import complete_dataset
from harness.cli.console import emit, out, plain, say
from harness.cli.options import Home, Json, Place, RegistryFile, Strict, load_catalog, load_registry, place

if TYPE_CHECKING:
    from harness.catalog import Catalog
    from harness.data import OpenDataset
    from harness.leaks import IdList, Report
    from harness.plan import Part
    from harness.registry import Registry
    from harness.store import Result, Store

SHOWN = 3
"""Items of a finding that are printed; --json has all."""

Datasets = Annotated[
    list[str] | None,
    typer.Option(
        "--dataset",
        "-d",
        help="Examine this dataset and its runs only; may be repeated (default: all that are prepared).",
        show_default=False,
        autocompletion=complete_dataset,
    ),
]
Against = Annotated[
    list[str] | None,
    typer.Option(
        "--against",
        help="Look for test images in the train split of this dataset, or in a file with an image a line.",
        show_default=False,
        autocompletion=complete_dataset,
    ),
]


def leaks(
    dataset: Datasets = None,
    against: Against = None,
    as_json: Json = False,
    strict: Strict = False,
    registry_file: RegistryFile = None,
    home: Home = None,
) -> None:
    """Find what test shares with train: images, near-duplicates, words, choices; exit code 1 where there is a leak."""
    from harness.leaks import examine
    from harness.leaks import leaks as leaks_of
    from harness.store import Store

    where, catalog, registry = place(home), load_catalog(strict), load_registry(registry_file)
    parts = _parts(where, registry, catalog, [*(dataset or ()), *_names(against)])
    own = dataset or [name for name, part in parts.items() if not _embedded(part, catalog)]
    others = [_other(entry, parts, where, catalog) for entry in against or ()]
    with Bar() as bar:
        report = examine(
            [_open(name, parts, where, catalog) for name in dict.fromkeys(own)],
            others,
            _results(Store(where.home), dataset),
            home=where.home,
            data=where.data,
            catalog=catalog,
            folder=registry.path.parent,
            progress=bar,
        )
    if as_json:
        emit(_document(report))
    else:
        _print(report)
    if leaks_of(report.findings):
        raise typer.Exit(1)


def _parts(where: Place, registry: Registry, catalog: Catalog, asked: list[str]) -> dict[str, Part]:
    """Return what can be opened: prepared datasets, and the embedded ones of the registry."""
    from harness.data import prepared_parts
    from harness.data.prepared import dataset_spec
    from harness.errors import InputError
    from harness.plan import Part

    parts = dict(prepared_parts(where.data, asked=asked))
    for entry in registry.datasets.values():
        try:
            spec = dataset_spec(catalog, entry.use)
        except InputError:
            continue  # its plugin is not installed; `harness data status` says so
        if spec.embedded:
            parts[entry.name] = Part(
                name=entry.name,
                use=entry.use,
                revision=spec.revision,
                params=entry.params,
                title=entry.title or entry.name,
            )
    return parts


def _embedded(part: Part, catalog: Catalog) -> bool:
    from harness.data.prepared import dataset_spec

    return dataset_spec(catalog, part.use).embedded


def _open(name: str, parts: dict[str, Part], where: Place, catalog: Catalog) -> OpenDataset:
    from harness.data import open_dataset
    from harness.errors import DataError, nearest

    if name not in parts:
        raise DataError(
            f"dataset {name!r} is not prepared in {where.data}{nearest(name, parts)}",
            hint=f"harness data prepare {name} --from DIR",
        )
    return open_dataset(parts[name], where.data, catalog)


def _names(against: list[str] | None) -> list[str]:
    return [entry for entry in against or () if not Path(entry).is_file()]


def _other(entry: str, parts: dict[str, Part], where: Place, catalog: Catalog) -> OpenDataset | IdList:
    from harness.errors import DataError, nearest
    from harness.leaks import read_ids

    if entry not in parts and Path(entry).is_file():
        return read_ids(Path(entry))
    if entry not in parts and _a_file(entry):
        raise DataError(
            f"--against {entry}: no such file, and no dataset of that name{nearest(entry, parts)}",
            hint="Name a file with an image a line, or a prepared dataset: harness data status lists them.",
        )
    return _open(entry, parts, where, catalog)


def _a_file(entry: str) -> bool:
    """Tell whether what is neither a file nor a dataset was meant to be a file."""
    from harness.specs import valid_name

    return bool(Path(entry).suffix) or not valid_name(entry)


def _results(store: Store, datasets: list[str] | None) -> list[Result]:
    from harness.errors import StoreError

    results = []
    for fingerprint in store.fingerprints():
        try:
            result = store.result(fingerprint)
        except (StoreError, TypeError) as error:
            say(f"left out: run {fingerprint}: {str(error).splitlines()[0]}", style="yellow")
            continue
        if not datasets or result.dataset in datasets:
            results.append(result)
    return results


def _document(report: Report) -> dict[str, Any]:
    import dataclasses

    return {
        "datasets": {name: dict(counts) for name, counts in report.datasets.items()},
        "runs": report.runs,
        "leaks": sum(finding.severity == "leak" for finding in report.findings),
        "nothing_found": list(report.quiet),
        "findings": [dataclasses.asdict(finding) for finding in report.findings],
    }


def _print(report: Report) -> None:
    examined = [f"{name} ({n['images']:,} images)" for name, n in report.datasets.items()]
    runs = f"{report.runs:,} stored run{'' if report.runs == 1 else 's'}"
    _line(f"examined: {', '.join([*examined, runs])}")
    for finding in report.findings:
        _line("")
        head = Text(finding.severity, style="bold red" if finding.severity == "leak" else "bold")
        out.print(
            head.append(
                plain(f"  {finding.check}, {finding.subject}: {finding.what}"), style="not bold default"
            ),
            soft_wrap=True,
        )
        more = len(finding.items) - SHOWN
        for item in (*finding.items[:SHOWN], *([f"and {more:,} more"] if more > 0 else [])):
            _line(f"      {item}")
        if finding.severity == "leak":
            _line(f"      next: {finding.next}")
    found = sum(finding.severity == "leak" for finding in report.findings)
    _line("")
    if report.quiet:
        _line(f"nothing found by the checks of {', '.join(report.quiet)}")
    if found:
        say(f"{found} leak{'' if found == 1 else 's'}; --json lists every item", style="red")
    else:
        _line("no leak found")
    if not report.datasets:
        say("no dataset is prepared; next: harness data status", style="yellow")


def _line(text: str) -> None:
    out.print(plain(text), markup=False, soft_wrap=True)
