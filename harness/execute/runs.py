"""All runs that a person can name: those of a store, and the rows of the leaderboards whose ranks are committed."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.execute.ranked import RankedRun, committed_run, ranked_run
from harness.leaderboard import RESULTS, Ranks, Row, read_rows
from harness.store import Result, Store


class Runs:
    """Stored runs and committed rows, by fingerprint. A run that is both is read from the store.

    Args:
        folder: the leaderboards; ``None`` for the store alone.
    """

    def __init__(self, store: Store, folder: Path | None = None) -> None:
        self.store = store
        self.rows: dict[str, Row] = {}
        self._titled: dict[str, dict[str, str]] = {}
        self._ranks = None if folder is None else Ranks(folder)
        if self._ranks is not None and folder is not None:
            for row in read_rows(folder / RESULTS):
                if self._ranks.path(row.fingerprint).is_file():
                    self.rows.setdefault(row.fingerprint, row)
                    for name in (row.title, f"{row.dataset}:{row.title}"):
                        self._titled.setdefault(name, {})[row.fingerprint] = f"{row.dataset}:{row.title}"

    @cached_property
    def stored(self) -> frozenset[str]:
        """The fingerprints of the store."""
        return frozenset(self.store.fingerprints())

    @cached_property
    def fingerprints(self) -> list[str]:
        """All fingerprints, sorted."""
        return sorted(self.stored | self.rows.keys())

    @property
    def where(self) -> str:
        """The places that were looked into, for messages."""
        return f"{self.store.home} and the leaderboards" if self.rows else str(self.store.home)

    def ranks(self, fingerprint: str) -> Path:
        """Return the file of a row's committed ranks."""
        assert self._ranks is not None
        return self._ranks.path(fingerprint)

    def read(self, fingerprint: str, *, evaluator: str | None = None, folds: int = 1) -> RankedRun:
        """Read the ranks of a run; see `ranked_run` and `committed_run`.

        Raises:
            StoreError: names the file that is missing or damaged.
            InputError: if it keeps no such ranks; or `folds` of a row, which has no embeddings, is asked for.
        """
        row = self.rows.get(fingerprint)
        if fingerprint in self.stored or row is None or self._ranks is None:
            named = self._named.get(self.method(fingerprint))
            return ranked_run(self.store, fingerprint, evaluator=evaluator, folds=folds, row=named)
        if folds > 1:
            raise InputError(
                f"folds are ranked from embeddings, and of row {fingerprint} only ranks are committed",
                hint="--evaluator recall-1k takes the ranks that MSCOCO 1K was counted from, where a row has them.",
            )
        return committed_run(self._ranks, row, evaluator=evaluator)

    def method(self, fingerprint: str) -> str:
        """Return a hash of all that a run was made from but the seed; runs of one method share it."""
        if fingerprint in self.rows:
            return _of_row(self.rows[fingerprint])
        own = recipe(self.store, self.store.result(fingerprint))
        return self._of_rows.get(own, own)

    def titled(self, text: str) -> list[str]:
        """Return the rows, by seed, of the method that tables call `text`; none if they call none so.

        Args:
            text: a title, or ``dataset:title``.

        Raises:
            InputError: if several methods are called so; names them.
        """
        found = self._titled.get(text, {})
        methods: dict[str, list[str]] = {}
        for fingerprint in found:
            methods.setdefault(self.method(fingerprint), []).append(fingerprint)
        if len(methods) > 1:
            told = [f"{found[each[0]]} ({', '.join(each)})" for each in methods.values()]
            raise InputError(
                f"{len(methods)} methods are called {text!r}: {'; '.join(told)}",
                hint="Name one as dataset:method, or by a fingerprint.",
            )
        return sorted(found, key=lambda fingerprint: (self._seed(fingerprint), fingerprint))

    def seeds_of(self, fingerprint: str) -> list[str]:
        """Return the runs of a run's method, itself too, by seed."""
        wanted = self.method(fingerprint)
        same = [other for other in self.fingerprints if self.method(other) == wanted]
        return sorted(same, key=lambda other: (self._seed(other), other))

    @cached_property
    def _of_rows(self) -> dict[str, str]:
        """The method by row of each recipe of the store, where one of its runs is a row."""
        both = self.stored & self.rows.keys()
        return {recipe(self.store, self.store.result(run)): _of_row(self.rows[run]) for run in sorted(both)}

    @cached_property
    def _named(self) -> dict[str, Row]:
        """A row of each method that has one."""
        return {_of_row(row): row for row in self.rows.values()}

    def _seed(self, fingerprint: str) -> int:
        if fingerprint in self.stored:
            return int(self.store.result(fingerprint).spec.get("seed", 0))
        return self.rows[fingerprint].seed


def recipe(store: Store, result: Result) -> str:
    """Return a hash of all that a run was made from but the seed, of the runs that it starts from too."""
    spec: dict[str, Any] = {key: value for key, value in result.spec.items() if key != "seed"}
    parent = spec.get("parent")
    if parent is not None and store.finished(parent):
        spec["parent"] = recipe(store, store.result(parent))
    return hashlib.sha256(json.dumps([result.passport, spec], sort_keys=True).encode()).hexdigest()


def _of_row(row: Row) -> str:
    # A recipe is all but the seed; rows of versions that kept none stand for themselves.
    return hashlib.sha256(
        json.dumps([row.dataset, row.passport, row.recipe or row.fingerprint]).encode()
    ).hexdigest()
