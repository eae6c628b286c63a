"""The gallery of a stored run, without its model: dataset, split and ranking."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.data import OpenDataset, open_dataset, protocol_of
from harness.errors import StoreError
from harness.evaluate import EMBEDDINGS, RANKS, read_ranking
from harness.execute.outcome import Workspace
from harness.execute.ranks_only import read_ranks_only
from harness.execute.then import difference, go_on
from harness.passport import GALLERY, gallery
from harness.plan import Part
from harness.plan.files import files_of
from harness.protocols import Split
from harness.ranking import Ranked
from harness.specs import DatasetSpec
from harness.store import Result, Store

IMPORT = "import"
"""Kind, in its specification, of a run whose embeddings or ranks another code wrote."""


def imported(spec: Mapping[str, Any]) -> bool:
    """Tell whether another code made a run."""
    return spec.get("kind") == IMPORT


def needed_files(result: Result) -> tuple[str, ...]:
    """Return the names of the stored files that its figures follow from."""
    return (RANKS,) if result.spec.get("form") == "ranks" else (EMBEDDINGS, RANKS)


def open_stored(result: Result, workspace: Workspace, folder: Path) -> tuple[OpenDataset, Split]:
    """Open the dataset of a run as it is now, and the split that was evaluated.

    Only the dataset's plugin must be installed. Another revision of it will do, as long as images, captions and
    positives of the gallery are the same: tags are what a new label set may add.

    Args:
        folder: of registry.yaml: where the relative paths of ``file:`` parameters start.

    Raises:
        DataError: if the dataset is not prepared.
        StoreError: if the gallery is another one than then.
    """
    kept = result.spec["dataset"]
    declared = workspace.catalog.find("dataset", kept["use"]).spec
    part = Part(**{**kept, "revision": declared.revision, "files": files_of(kept["params"], folder)})
    dataset = open_dataset(part, workspace.data, workspace.catalog)
    split = dataset.split(result.spec.get("split", "test"), result.limit)
    assert isinstance(declared, DatasetSpec)
    if result.protocol:
        then, now = result.protocol.get(GALLERY, ""), gallery(split, dataset.content)[GALLERY]
    else:  # Results of versions that kept the hash of the passport alone.
        then, now = result.spec.get("protocol", ""), protocol_of(part, workspace.data, declared)
    if then != now:
        hashes = then.rpartition(" ")[2], now.rpartition(" ")[2]  # a gallery's stands behind its numbers
        raise StoreError(
            f"dataset {part.name!r} has other {split.name} images or captions than run {result.fingerprint} was "
            f"evaluated on ({difference(result, split, hashes, Store(workspace.home))})",
            hint=go_on(result, part.name, declared, workspace.data),
        )
    return dataset, split


def read_stored(result: Result, split: Split, store: Store) -> Ranked:
    """Rebuild the ranking of a run from its stored files, which are checked first.

    Raises:
        StoreError: names the file that is missing or damaged.
        ScoreError: if its ids are not those of `split`.
    """
    paths = {name: store.checked(result.fingerprint, name) for name in needed_files(result)}
    if EMBEDDINGS not in paths:
        return read_ranks_only(paths[RANKS], split)
    return read_ranking(paths[EMBEDDINGS], paths[RANKS], split)
