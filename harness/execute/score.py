"""Evaluators over a stored run: figures, and the ranks that they are counted from. No model is needed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.build import build
from harness.catalog import Catalog
from harness.data import open_dataset
from harness.errors import HarnessError
from harness.evaluate import intervals, judge, per_query
from harness.execute.outcome import Workspace
from harness.execute.stored import read_stored
from harness.plan import Part, RunSpec
from harness.protocols import Labelled, Split
from harness.queries import FILE, Queries, write_queries
from harness.ranking import Ranked
from harness.specs import EvaluatorSpec
from harness.store import Result, Store

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]


def score(
    result: Result, spec: RunSpec, evaluators: tuple[Part, ...], workspace: Workspace, store: Store
) -> Result:
    """Compute the figures that a stored run lacks, from its stored ranks and embeddings alone.

    Figures by labels are computed anew where other labels are there now; where none are, those of then stay.
    """
    if settled(result, evaluators):
        return result
    missing = lacking(result, evaluators)
    labelled = [part for part in evaluators if part.name not in missing and _by_labels(result, part)]
    dataset = open_dataset(spec.dataset, workspace.data, workspace.catalog)
    split = dataset.split("test", spec.limit)
    unread = _Unread(split, lambda: read_stored(result, split, store))
    for part in labelled:
        now = _labels_now(part, unread, dataset.source, workspace.catalog)
        if now and now != result.figures[part.name].get("labels"):
            missing[part.name] = part
    if not missing:
        return result
    ranking = unread.whole()
    found = {
        name: judged(name, part, ranking, dataset.source, workspace.catalog) for name, part in missing.items()
    }
    updated, queries = merged(result, found, ranking, store)
    store.update(updated, lambda folder: write_queries(folder / FILE, queries))
    return updated


class _Unread:
    """A ranking whose files are read once more than its split is asked for: to find labels, the split is enough."""

    def __init__(self, split: Split, read: Callable[[], Ranked]) -> None:
        self.split, self.whole = split, cache(read)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole(), name)


def settled(result: Result, evaluators: tuple[Part, ...]) -> bool:
    """Tell whether a result holds all that `score` would add to it, so that no evaluator is asked."""
    return not lacking(result, evaluators) and not any(_by_labels(result, part) for part in evaluators)


@dataclass(frozen=True, eq=False, kw_only=True)
class Judgment:
    """What one evaluator says of a ranking: its entry among the figures of a result, and the ranks behind it."""

    entry: Mapping[str, Any]
    ranks: tuple[Ints, Ints] | None


def judged(name: str, part: Part, ranking: Ranked, source: Path | None, catalog: Catalog) -> Judgment:
    """Build an evaluator and call it; `source` is the folder that the dataset was prepared from."""
    evaluator = build(part, "evaluator", catalog, source=source)
    spec = catalog.find("evaluator", part.use).spec
    scales = spec.scales if isinstance(spec, EvaluatorSpec) else {}
    values = judge(name, evaluator, ranking)
    counted = per_query(name, evaluator, ranking)
    entry = {
        **_identity(part),
        "values": values,
        "ranked": counted is not None,
        "intervals": intervals(name, evaluator, ranking, values, scales),
    }
    if isinstance(evaluator, Labelled) and (labels := str(evaluator.labels_of(ranking))):
        entry["labels"] = labels
    return Judgment(entry=entry, ranks=counted)


def no_figure(evaluator: str, dataset: str) -> str:
    """Say of an evaluator that applies to another gallery why it returned nothing, see `docs/protocols.md`."""
    return f"evaluator {evaluator!r} has no figure on {dataset!r}: its labels know none of these images"


def merged(
    result: Result, found: Mapping[str, Judgment], ranking: Ranked, store: Store | None
) -> tuple[Result, Queries]:
    """Return a result with judgments in place of older ones of the same names, and the ranks behind all of them.

    Args:
        store: holds the ranks behind the judgments that stay; ``None`` if there are none.
    """
    figures: dict[str, Mapping[str, Any]] = {**result.figures, **{n: j.entry for n, j in found.items()}}
    stored = store.queries(result.fingerprint) if store is not None else None
    kept = stored.ranks if stored is not None else {}
    ranks = {
        name: counted for name, counted in kept.items() if name not in found and figures[name].get("ranked")
    } | {name: judgment.ranks for name, judgment in found.items() if judgment.ranks is not None}
    queries = Queries(owner=ranking.split.caption_image, ranks=ranks)
    return Result(**{**vars(result), "figures": figures}), queries


def lacking(result: Result, evaluators: tuple[Part, ...]) -> dict[str, Part]:
    """Return the evaluators, by name, whose figures a result does not hold as they would be computed now."""
    return {part.name: part for part in evaluators if not _holds(result.figures.get(part.name), part)}


def _by_labels(result: Result, part: Part) -> bool:
    """Tell of an evaluator with an entry whether it may read labels; one without any has no figures either."""
    entry = result.figures[part.name]
    return bool(entry.get("labels")) or not entry.get("values")


def _labels_now(part: Part, ranking: Any, source: Path | None, catalog: Catalog) -> str:
    """Return the hash of the labels that are there now; empty where none can be read."""
    try:
        evaluator = build(part, "evaluator", catalog, source=source)
        return str(evaluator.labels_of(ranking)) if isinstance(evaluator, Labelled) else ""
    except HarnessError:
        return ""


def _holds(figures: Mapping[str, Any] | None, part: Part) -> bool:
    # Results of versions that kept no ranks a query, or made no intervals, do not speak of them.
    if figures is None or not {"ranked", "intervals"} <= figures.keys():
        return False
    return {key: figures.get(key) for key in ("use", "revision", "params")} == _identity(part)


def _identity(part: Part) -> dict[str, Any]:
    identity: dict[str, Any] = json.loads(
        json.dumps({"use": part.use, "revision": part.revision, "params": dict(part.params)})
    )
    return identity
