"""Evaluators over a stored run: figures, and the ranks that they are counted from. No model is needed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.build import build
from harness.data import open_dataset
from harness.evaluate import judge, per_query, read_ranking
from harness.execute.outcome import Workspace
from harness.plan import Part, RunSpec
from harness.queries import FILE, Queries, read_queries, write_queries
from harness.store import Result, Store


def score(
    result: Result, spec: RunSpec, evaluators: tuple[Part, ...], workspace: Workspace, store: Store
) -> Result:
    """Compute the figures that a stored run lacks, from its stored ranks and embeddings alone."""
    missing = lacking(result, evaluators)
    if not missing:
        return result
    dataset = open_dataset(spec.dataset, workspace.data, workspace.catalog)
    ranking = read_ranking(
        store.checked(result.fingerprint, "embeddings.safetensors"),
        store.checked(result.fingerprint, "ranks.parquet"),
        dataset.split("test", spec.limit),
    )
    figures: dict[str, Mapping[str, Any]] = dict(result.figures)
    ranks = {}
    for name, part in missing.items():
        evaluator = build(part, "evaluator", workspace.catalog, source=dataset.source)
        values = judge(name, evaluator, ranking)
        counted = per_query(name, evaluator, ranking)
        figures[name] = {**_identity(part), "values": values, "ranked": counted is not None}
        if counted is not None:
            ranks[name] = counted
    kept = {
        name: counted
        for name, counted in _stored_ranks(store, result).items()
        if figures[name]["ranked"] and name not in missing
    }
    queries = Queries(owner=ranking.split.caption_image, ranks=kept | ranks)
    updated = Result(**{**vars(result), "figures": figures})
    store.update(updated, lambda folder: write_queries(folder / FILE, queries))
    return updated


def lacking(result: Result, evaluators: tuple[Part, ...]) -> dict[str, Part]:
    """Return the evaluators, by name, whose figures a result does not hold as they would be computed now."""
    return {part.name: part for part in evaluators if not _holds(result.figures.get(part.name), part)}


def _holds(figures: Mapping[str, Any] | None, part: Part) -> bool:
    # Results of versions that kept no ranks a query do not say whether they are ranked.
    if figures is None or "ranked" not in figures:
        return False
    return {key: figures.get(key) for key in ("use", "revision", "params")} == _identity(part)


def _identity(part: Part) -> dict[str, Any]:
    identity: dict[str, Any] = json.loads(
        json.dumps({"use": part.use, "revision": part.revision, "params": dict(part.params)})
    )
    return identity


def _stored_ranks(store: Store, result: Result) -> Mapping[str, Any]:
    path: Path = store.folder(result.fingerprint) / FILE
    if not path.is_file():
        return {}
    return read_queries(store.checked(result.fingerprint, FILE)).ranks
