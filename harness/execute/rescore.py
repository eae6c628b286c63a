"""Figures of stored runs, computed anew from their ranks and embeddings. No model is built and no image read."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.build import check
from harness.catalog import Catalog
from harness.data import OpenDataset
from harness.durable import Waiting, hold
from harness.errors import HarnessError, InputError
from harness.execute.outcome import Workspace
from harness.execute.ranks_only import EmbeddingsNeededError
from harness.execute.registered import EVALUATORS, evaluator_of, evaluator_part
from harness.execute.score import Judgment, judged, merged, no_figure
from harness.execute.settings import settle
from harness.execute.stored import needed_files, open_stored, read_stored
from harness.plan import Part, canonical
from harness.protocols import Split
from harness.queries import FILE, Queries, write_queries
from harness.registry import Registry
from harness.store import Result, Store

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure before and after; ``None`` where there was or is none.

    Attributes:
        interval: bounds of the 95 % interval over images of the new one, where its evaluator tells it by image.
    """

    evaluator: str
    name: str
    old: float | None
    new: float | None
    interval: tuple[float, float] | None = None

    @property
    def fate(self) -> str:
        """Say what became of it: ``same``, ``changed``, ``new`` or ``gone``."""
        if self.old is None or self.new is None:
            return "new" if self.old is None else "gone"
        return "same" if self.old == self.new else "changed"


@dataclass(frozen=True, kw_only=True)
class Rescored:
    """What became of one run.

    Attributes:
        dataset: its dataset; empty where its result cannot be read.
        figures: of the evaluators that judged it.
        result: with the new figures; ``None`` where no evaluator judged it.
        notes: what was left as it is, and why.
        problems: what went wrong; the figures concerned are as they were.
    """

    fingerprint: str
    dataset: str = ""
    figures: tuple[Figure, ...] = ()
    result: Result | None = None
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class Rescorer:
    """Judges stored runs again.

    Args:
        registry: says what its evaluators are now.
        evaluators: names of the registry; none for those that a run was judged by.
        params: replace parameters of `evaluators`, whose figures then stand beside those of the registry.
        write: whether the store is updated.
        waiting: what to do while another process holds a run.

    Raises:
        InputError: if the registry has no such evaluator, a parameter does not fit, or is given without one.
    """

    def __init__(
        self,
        registry: Registry,
        workspace: Workspace,
        store: Store,
        *,
        evaluators: Sequence[str] = (),
        params: Mapping[str, Any] | None = None,
        write: bool = True,
        waiting: Waiting | None = None,
    ) -> None:
        if params and not evaluators:
            raise InputError(
                "parameters are given, and no evaluator that they are for", hint="--evaluator NAME"
            )
        self.registry, self.workspace, self.store = registry, workspace, store
        self.evaluators, self.params = tuple(evaluators), dict(params or {})
        self.write, self.waiting = write, waiting
        self._opened: dict[str, tuple[OpenDataset, Split]] = {}
        for name in self.evaluators:  # before anything is read
            check(evaluator_part(name, registry, self.catalog, "", self.params), "evaluator", self.catalog)

    @property
    def catalog(self) -> Catalog:
        """The installed plugins."""
        return self.workspace.catalog

    def rescore(self, fingerprint: str) -> Rescored:
        """Judge one run; whatever goes wrong is told in what is returned, and leaves the stored run as it was."""
        home = self.store.home
        lock = hold(home, fingerprint, self.waiting) if self.write else contextlib.nullcontext()
        try:
            # What a component prints is no output of ours.
            with contextlib.redirect_stdout(sys.stderr), lock:
                if self.write:
                    self.store.recover(fingerprint)
                return self._rescored(fingerprint)
        # A component is somebody else's code: whatever it raises, the other runs follow.
        except (Exception, SystemExit) as error:
            return Rescored(fingerprint=fingerprint, problems=(_cause(error),))

    def _rescored(self, fingerprint: str) -> Rescored:
        if damaged := self.store.damage(fingerprint, {"result.json"}):
            return _damaged(fingerprint, "", damaged)
        result = self.store.result(fingerprint)
        parts, notes = self._parts(result)
        if not parts:
            none = (
                () if notes else ("it has no figures to compute anew; name an evaluator: --evaluator NAME",)
            )
            return Rescored(fingerprint=fingerprint, dataset=result.dataset, notes=(*notes, *none))
        if damaged := self.store.damage(fingerprint, {*needed_files(result), FILE}):
            return _damaged(fingerprint, result.dataset, damaged)
        return self._judged(result, parts, notes)

    def _parts(self, result: Result) -> tuple[list[Part], tuple[str, ...]]:
        """Return the evaluators of a run, and why one that it was judged by is not among them."""
        if self.evaluators:
            given = [
                evaluator_part(name, self.registry, self.catalog, result.dataset, self.params)
                for name in self.evaluators
            ]
            return given, ()
        parts, notes = [], []
        for name, entry in sorted(result.figures.items()):
            try:
                parts.append(self._as_now(name, entry, result.dataset))
            except InputError as error:
                notes.append(f"evaluator {name!r} is left as it is: {error.message}")
        return parts, tuple(notes)

    def _as_now(self, name: str, entry: Mapping[str, Any], dataset: str) -> Part:
        if name in self.registry.names(EVALUATORS):
            return evaluator_part(name, self.registry, self.catalog, dataset)
        return evaluator_of(name, entry["use"], entry["params"], self.registry, self.catalog)

    def _judged(self, result: Result, parts: Sequence[Part], notes: tuple[str, ...]) -> Rescored:
        settle(self.workspace)
        dataset, split = self._open(result)
        ranking = read_stored(result, split, self.store)
        found: dict[str, Judgment] = {}
        problems, left = [], list(notes)
        for part in parts:
            try:
                found[part.name] = judged(part.name, part, ranking, dataset.source, self.catalog)
                if self.evaluators and not found[part.name].entry["values"]:
                    left.append(no_figure(part.name, result.dataset))
            except EmbeddingsNeededError as error:
                left.append(f"evaluator {part.name!r} is left out: {error.message}")
            except (Exception, SystemExit) as error:
                problems.append(f"evaluator {part.name!r}: {_cause(error)}")
        updated = None
        if found:
            updated, queries = merged(result, found, ranking, self.store)
            if self.write and (updated.figures != result.figures or self._differ(result, queries)):
                self.store.update(updated, lambda folder: write_queries(folder / FILE, queries))
        return Rescored(
            fingerprint=result.fingerprint,
            dataset=result.dataset,
            figures=tuple(
                figure for name in found for figure in _figures(name, result.figures, found[name].entry)
            ),
            result=updated,
            notes=tuple(left),
            problems=tuple(problems),
        )

    def _open(self, result: Result) -> tuple[OpenDataset, Split]:
        """Open the gallery of a run; runs of one gallery share it."""
        told = [result.spec["dataset"], result.spec.get("split"), result.limit, result.protocol]
        key = canonical([*told, result.spec.get("protocol")])
        if key not in self._opened:
            self._opened[key] = open_stored(result, self.workspace, self.registry.path.parent)
        return self._opened[key]

    def _differ(self, result: Result, queries: Queries) -> bool:
        """Tell whether the ranks behind the figures are others than those that are stored."""
        kept = self.store.queries(result.fingerprint)
        return (
            kept is None
            or kept.ranks.keys() != queries.ranks.keys()
            or any(not _equal(kept.ranks[name], ranks) for name, ranks in queries.ranks.items())
        )


def _equal(a: tuple[Ints, Ints], b: tuple[Ints, Ints]) -> bool:
    import numpy as np

    return all(np.array_equal(one, other) for one, other in zip(a, b, strict=True))


def _figures(
    evaluator: str, stored: Mapping[str, Mapping[str, Any]], entry: Mapping[str, Any]
) -> list[Figure]:
    old, new = stored.get(evaluator, {}).get("values", {}), entry["values"]
    bounds = {name: (low, high) for name, (low, high) in entry["intervals"].items()}
    return [
        Figure(
            evaluator=evaluator,
            name=name,
            old=old.get(name),
            new=new.get(name),
            interval=bounds.get(name),
        )
        for name in sorted({*old, *new})
    ]


def _damaged(fingerprint: str, dataset: str, paths: Sequence[str]) -> Rescored:
    told = tuple(f"{path} is missing or damaged; harness run --force makes it again" for path in paths)
    return Rescored(fingerprint=fingerprint, dataset=dataset, problems=told)


def _cause(error: BaseException) -> str:
    return str(error) if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
