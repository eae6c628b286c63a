"""Embeddings or ranks that another code wrote, checked, ranked, scored and stored as a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.build import check
from harness.data import OpenDataset, open_dataset
from harness.durable import file_sha256
from harness.errors import HarnessError, InputError
from harness.evaluate import EMBEDDINGS, RANKS, write_embeddings, write_ranks
from harness.execute.aligned import align_ranks, rank_embeddings
from harness.execute.foreign import Embeddings, ForeignRanks, read_foreign
from harness.execute.outcome import Workspace
from harness.execute.provenance import now, versions
from harness.execute.ranks_only import EmbeddingsNeededError
from harness.execute.registered import dataset_part, evaluator_part, usual_evaluators
from harness.execute.score import Judgment, judged, merged, no_figure
from harness.execute.settings import settle
from harness.execute.stored import IMPORT
from harness.passport import IMAGE_VIEW, PREPROCESSING, SCORES, TEXT_VIEW, TIES_LOSE, gallery, passport
from harness.plan import Part
from harness.plan.fingerprint import digest
from harness.protocols import Split
from harness.queries import FILE, Queries, write_queries
from harness.ranking import Ranked
from harness.registry import Registry
from harness.store import Result, Store

VIEW = "imported"
"""What the passport says of test views and preprocessing: another code chose them."""
OWN_COUNTED, OWN_RANKED = f"the method's own, {TIES_LOSE}", "the method's own, ties as its code ranks them"
"""What the passport says of scores that nobody but the other code has seen."""
HANDS = ("python", "retrieval-harness", "numpy", "torch")
"""Whose versions had a hand in the figures."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What a person says of a file.

    Args:
        method: name of the method, as tables show it.
        dataset: name of a dataset of the registry, or of a prepared one.
        visual, textual: what its two paths are; empty where nobody tells.
        source: where it comes from: an address, a paper, a person.
        seed: of several imports of one method that differ in the seed; ``None`` for a single one.
    """

    file: Path
    method: str
    dataset: str
    split: str = "test"
    visual: str = ""
    textual: str = ""
    source: str = ""
    seed: int | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Imported:
    """A file that was checked and scored.

    Attributes:
        result: with figures.
        notes: what was left out or noticed.
        ranking, queries: what is stored with it.
    """

    result: Result
    notes: tuple[str, ...]
    ranking: Ranked
    queries: Queries


def examine(
    given: Submission, registry: Registry, workspace: Workspace, evaluators: Sequence[str] = ()
) -> Imported:
    """Check a file against its dataset, rank and score it. Nothing is stored.

    Args:
        evaluators: names of the registry; none for those that experiments have on the dataset. One that needs
            embeddings where there are ranks alone is left out; of those not asked for, one that fails is, too.

    Raises:
        InputError: if a name is unknown, the file is missing, or no evaluator is left.
        DataError: if the dataset is not prepared, or the file is not what docs/importing.md describes: lists ids
            that are missing, unknown or doubled.
        ScoreError: names embeddings that are NaN or infinite.
    """
    if not given.method.strip():
        raise InputError("the method has no name", hint='--as "Method"')
    part = dataset_part(given.dataset, registry, workspace.catalog, workspace.data)
    parts = [
        evaluator_part(name, registry, workspace.catalog, given.dataset)
        for name in evaluators or usual_evaluators(registry, given.dataset)
    ]
    for evaluator in parts:
        check(evaluator, "evaluator", workspace.catalog)
    dataset = open_dataset(part, workspace.data, workspace.catalog)
    split = dataset.split(given.split)
    settle(workspace)
    foreign = read_foreign(given.file)
    if isinstance(foreign, Embeddings):
        ranking, notes = rank_embeddings(foreign, split, given.file)
    else:
        ranking, notes = align_ranks(foreign, split, given.file)
    found = _judged(parts, ranking, dataset, workspace, notes, asked=bool(evaluators))
    bare = _result(given, part, dataset, split, foreign, workspace)
    result, queries = merged(bare, found, ranking, None)
    return Imported(result=result, notes=tuple(notes), ranking=ranking, queries=queries)


def keep(imported: Imported, store: Store) -> None:
    """Store an import as a run; call it with the run's lock held."""

    def write(folder: Path) -> None:
        if imported.result.spec["form"] == "embeddings":
            write_embeddings(folder / EMBEDDINGS, imported.ranking)
        write_ranks(folder / RANKS, imported.ranking)
        write_queries(folder / FILE, imported.queries)

    store.recover(imported.result.fingerprint)
    store.publish(imported.result, write)


def _judged(
    parts: Sequence[Part],
    ranking: Ranked,
    dataset: OpenDataset,
    workspace: Workspace,
    notes: list[str],
    *,
    asked: bool,
) -> dict[str, Judgment]:
    found = {}
    for part in parts:
        try:
            found[part.name] = judged(part.name, part, ranking, dataset.source, workspace.catalog)
            if asked and not found[part.name].entry["values"]:
                notes.append(no_figure(part.name, dataset.name))
        except EmbeddingsNeededError as error:
            notes.append(f"evaluator {part.name!r} is left out: {error.message}")
        except HarnessError as error:
            if asked:
                raise
            notes.append(f"evaluator {part.name!r} is left out: {error.args[0]}")
    if not found:
        raise InputError("no evaluator can score the file", hint="\n".join(notes))
    return found


def _result(
    given: Submission,
    part: Part,
    dataset: OpenDataset,
    split: Split,
    foreign: Embeddings | ForeignRanks,
    workspace: Workspace,
) -> Result:
    parts = gallery(split, dataset.content) | {IMAGE_VIEW: VIEW, TEXT_VIEW: VIEW, PREPROCESSING: VIEW}
    if isinstance(foreign, ForeignRanks):
        parts[SCORES] = OWN_COUNTED if foreign.counted else OWN_RANKED
    asked: dict[str, Any] = {
        "kind": IMPORT,
        "method": given.method,
        "dataset": part.key,
        "protocol": dataset.passport,
        "split": given.split,
    }
    whole: dict[str, Any] = {**asked, "sha256": file_sha256(given.file)}
    spec: dict[str, Any] = {
        "kind": IMPORT,
        "form": "embeddings" if isinstance(foreign, Embeddings) else "ranks",
        "method": given.method,
        "visual": given.visual,
        "textual": given.textual,
        "source": given.source,
        "file": given.file.name,
        "sha256": whole["sha256"],
        "split": given.split,
        "dataset": part.as_dict(),
        "protocol": dataset.passport,
        # Seeds are averaged within one recipe.
        "recipe": digest(whole if given.seed is None else asked),
    }
    if given.seed is not None:
        spec["seed"] = whole["seed"] = given.seed
    return Result(
        fingerprint=digest(whole),
        spec=spec,
        dataset=part.name,
        passport=passport(parts),
        protocol=parts,
        images=len(split.records),
        captions=len(split.captions),
        limit=None,
        figures={},
        val_rsum=None,
        epochs=0,
        best_epoch=0,
        cost={},
        provenance=_provenance(workspace, part),
    )


def _provenance(workspace: Workspace, part: Part) -> Mapping[str, Any]:
    entry = workspace.catalog.find("dataset", part.use)
    plugins = {entry.distribution: entry.version}
    mine = {name: version for name, version in versions({}).items() if name in HANDS}
    return {
        "versions": mine | plugins,
        "hardware": "unknown",
        "command": workspace.command,
        "revision": workspace.revision,
        "finished": now(),
    }
