"""All checks over datasets, other datasets, and the runs of a store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data import OpenDataset, open_dataset
from harness.data.checks import number
from harness.errors import DataError, StoreError
from harness.leaks.between import Side, shared_between, shared_with_list
from harness.leaks.captions import shared_captions
from harness.leaks.findings import CHECKS, Check, Finding
from harness.leaks.images import look_at, photo_series, shared_images
from harness.leaks.looks import Progress
from harness.leaks.names import IdList
from harness.leaks.pretraining import Known, known_of
from harness.leaks.selection import check_selection
from harness.leaks.vocabulary import check_vocabularies, part_of
from harness.store import Result, Store

if TYPE_CHECKING:
    from harness.catalog import Catalog


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was examined, and all findings: leaks first, then in the order of the checks.

    Attributes:
        datasets: by name the numbers of images and captions that were examined.
        runs: how many stored runs.
        quiet: checks that were made and found nothing.
    """

    datasets: Mapping[str, Mapping[str, int]]
    runs: int
    findings: Sequence[Finding]
    quiet: Sequence[Check] = ()


def examine(
    datasets: Sequence[OpenDataset],
    against: Sequence[OpenDataset | IdList],
    results: Sequence[Result],
    *,
    home: Path,
    data: Path,
    catalog: Catalog,
    folder: Path,
    progress: Progress | None = None,
) -> Report:
    """Look for every kind of leak.

    Args:
        datasets: whose splits are compared.
        against: what their test images are looked for in.
        results: stored runs.
        home: the store; looks of images are kept there.
        data: folder of all prepared datasets.
        folder: of registry.yaml.
    """
    findings: list[Finding] = []
    sides: dict[str, Side] = {}

    def side(dataset: OpenDataset) -> Side:
        if dataset.name not in sides:
            sides[dataset.name] = Side(dataset.name, look_at(dataset, home, progress))
        return sides[dataset.name]

    for dataset in datasets:
        splits = side(dataset).splits
        findings += shared_images(dataset.name, splits, progress, drawn=dataset.source is None)
        findings += photo_series(dataset.name, splits)
        findings += shared_captions(dataset)
        for other in against:
            if isinstance(other, IdList):
                findings += shared_with_list(side(dataset), other)
            elif other.name != dataset.name:
                findings += shared_between(side(dataset), side(other), progress)
    findings += _runs(results, home, data, catalog, folder, progress)
    counts = {
        dataset.name: {
            "images": len(dataset.records),
            "captions": sum(len(record.captions) for record in dataset.records),
        }
        for dataset in datasets
    }
    unique = dict.fromkeys(findings)  # two datasets that are examined against each other tell the same
    ordered = sorted(unique, key=lambda finding: (finding.severity != "leak", CHECKS.index(finding.check)))
    found = {finding.check for finding in ordered}
    made: Mapping[Check, bool] = {
        "images": bool(datasets),
        "series": bool(datasets),
        "captions": bool(datasets),
        "datasets": bool(datasets and against),
        "vocabulary": bool(results),
        "selection": bool(results),
        "pretraining": bool(results),
    }
    return Report(
        datasets=counts,
        runs=len(results),
        findings=tuple(ordered),
        quiet=tuple(check for check in CHECKS if made[check] and check not in found),
    )


def _runs(
    results: Sequence[Result],
    home: Path,
    data: Path,
    catalog: Catalog,
    folder: Path,
    progress: Progress | None,
) -> list[Finding]:
    opened: dict[str, OpenDataset | DataError] = {}

    def of_run(result: Result) -> OpenDataset:
        try:
            key = str(result.spec["protocol"])
            if key not in opened:
                opened[key] = _open(result, data, catalog, folder)
        except DataError as error:
            opened[key] = error
        except (KeyError, TypeError) as error:
            raise StoreError(f"run {result.fingerprint} was stored by another version ({error})") from error
        found = opened[key]
        if isinstance(found, DataError):
            raise found
        return found

    if results and progress:
        progress(0, 0, f"reading {number(len(results), 'run')}")
    store = Store(home)
    return [
        *check_selection(results, store, of_run),
        *check_vocabularies(results, store, catalog, folder, of_run),
        *_pretrained(results),
    ]


def _open(result: Result, data: Path, catalog: Catalog, folder: Path) -> OpenDataset:
    from harness.data import protocol_of
    from harness.data.prepared import dataset_spec

    part = part_of(result.spec["dataset"], folder)
    dataset = open_dataset(part, data, catalog)
    if protocol_of(part, data, dataset_spec(catalog, part.use)) != result.spec["protocol"]:
        raise DataError(
            f"dataset {part.name!r} has other records than when run {result.fingerprint} was made"
        )
    return dataset


def _pretrained(results: Sequence[Result]) -> list[Finding]:
    found: dict[tuple[str, Known, str], list[str]] = defaultdict(list)
    for result in results:
        for known, name in known_of(result.spec):
            found[result.dataset, known, name].append(result.fingerprint)
    return [
        Finding(
            severity=known.severity,
            check="pretraining",
            subject=dataset,
            what=f"{number(len(runs), 'run')} with weights {name!r}: {known.what} (source: {known.source})",
            count=len(runs),
            items=tuple(runs),
            next="Report these figures apart from those of models that did not see test, and say so.",
        )
        for (dataset, known, name), runs in found.items()
    ]
