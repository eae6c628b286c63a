"""The contract of a dataset."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.catalog import Catalog
from harness.errors import InputError, PluginError
from harness.protocols import Dataset
from harness.specs import DatasetSpec
from harness.testing import dataset_checks
from harness.testing.contract import Check, quiet, run_checks
from harness.testing.dataset_checks import Subject
from harness.testing.making import Made, made
from harness.testing.settings import ADVICE, UNTOUCHED
from harness.testing.violation import Violation


def check_dataset(
    dataset: str | Dataset,
    *,
    params: Mapping[str, Any] | None = None,
    source: Path | None = None,
    catalog: Catalog | None = None,
) -> list[Violation]:
    """Hold a dataset to its contract: `DATASET_CHECKS`.

    Args:
        dataset: the name of an installed one, or a live one, which is copied and neither opened nor prepared.
        params: parameters of an installed one, as registry.yaml would give them; the `sample` of its declaration
            by default.
        source: folder of one that is read from files; by default what the `example` of its declaration writes.
            Passports are compared where it holds at most 500 images, since all are decoded for that.
        catalog: where the name is looked up; what is installed by default.

    Returns:
        What is wrong, nothing if all is well.

    Raises:
        InputError: if there is no such dataset, its parameters do not fit, a live one comes with parameters, or one
            that is read from files has neither `source` nor example.
        PluginError: if the plugin cannot be imported or lacks a method, or the example fails.
        RunError: if it cannot be built.
    """
    how = made("dataset", dataset, params=params, catalog=catalog, values={})
    embedded = how.spec.embedded if isinstance(how.spec, DatasetSpec) else hasattr(dataset, "pixels")
    with tempfile.TemporaryDirectory(prefix="harness-dataset-") as folder:
        scratch = Path(folder).resolve()
        if embedded:
            source = None
        elif source is None:
            source = scratch / "example"
            source.mkdir()
            make_example(how, source)
        subject = Subject(made=how, embedded=embedded, source=source, scratch=scratch)
        return run_checks("dataset", how.name, DATASET_CHECKS, subject)


def make_example(how: Made, folder: Path) -> None:
    """Write the files of a dataset's example into an empty folder.

    Raises:
        InputError: if it declares none.
        PluginError: if the function cannot be imported, fails, or writes nothing.
    """
    target = how.spec.example if isinstance(how.spec, DatasetSpec) else ""
    if not target:
        raise InputError(
            f"dataset {how.name!r} is read from files and there is no example of them",
            hint="Name a function that writes some into an empty folder, as 'example' of its DatasetSpec; or give "
            "check_dataset() a 'source'.",
        )
    module, _, attribute = target.partition(":")
    name = f"example {target} of dataset {how.name!r}"
    try:
        with quiet():
            getattr(importlib.import_module(module), attribute)(folder)
    except (Exception, SystemExit) as error:
        raise PluginError(f"{name} failed: {type(error).__name__}: {error}") from error
    if not any(folder.iterdir()):
        raise PluginError(f"{name} wrote nothing into the folder that it was given")


DATASET_CHECKS: Mapping[str, Check[Subject]] = {
    "records": Check(
        summary="ids are unique, splits are known and disjoint, captions say something",
        where="annotations(): how ids are formed, how splits are cut, and whether captions are stripped",
        run=dataset_checks.records,
    ),
    "splits": Check(
        summary="each split has images, and none that another one holds",
        where="annotations(): how splits are cut",
        run=dataset_checks.splits,
    ),
    "stable order": Check(
        summary="the same records in the same order, always and everywhere",
        where="sets, os.listdir(), glob() and hash(), whose order differs: sort; and what is drawn without a seed",
        run=dataset_checks.order,
    ),
    "pixels": Check(
        summary="a generated image is (height, width, 3) uint8 and always the same",
        where="pixels(): draw from a generator of your own, seeded by the record",
        run=dataset_checks.pixels,
    ),
    "passport": Check(
        summary="the same passport whenever it is opened, and from wherever it was prepared",
        where="paths, times and counters in ids, captions or tags",
        run=dataset_checks.protocol,
    ),
    "empty folder": Check(
        summary="a folder without its files is a DataError",
        where="annotations(): collect what is missing and raise one DataError that lists it",
        run=dataset_checks.nothing,
    ),
    "global state": Check(
        summary=UNTOUCHED,
        where=ADVICE,
        run=dataset_checks.global_state,
    ),
}
"""Name -> check, in the order in which they are run."""
