"""`harness bench matrix`: cells that share their work beside the same cells alone, and two of them side by side."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.bench.contest import Contender, Rounds, contest
from harness.bench.origin import load_average, origin_of
from harness.bench.processes import MAIN, Processes
from harness.bench.render import clock
from harness.bench.report import Fact, Group, Ratio, Report
from harness.bench.rounds import spread
from harness.errors import InputError, RunError
from harness.store import Store

TOGETHER, ALONE = "cells in one run", "each cell alone"
IMPORTS, ALL_IMPORTS = "imports of the one run", "imports of each cell alone"
ONE_BY_ONE, BESIDE = "two cells, one after the other", "two cells side by side"
WHOLE = "the whole matrix"
PACKAGES = ("torch", "timm", "gensim")
Figures = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class MatrixBench(Rounds):
    """What to measure.

    Attributes:
        registry: the file; the processes that run cells read it.
        matrix, datasets, only, seeds, limit: choose cells as `harness run` does.
    """

    registry: Path
    matrix: str
    datasets: Sequence[str] = ()
    only: Sequence[str] = ()
    seeds: Sequence[int] = ()
    limit: int | None = None


def measure(bench: MatrixBench, told: Callable[[str], None]) -> Report:
    """Run the chosen cells together, alone and side by side, each time into stores of their own.

    Raises:
        InputError: if fewer than two cells are chosen.
        RunError: if a run fails, or a cell's figures depend on how it was run.
    """
    load = load_average()
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        cells = _Cells(bench, Path(folder))
        told(f"{len(cells.labels)} cells of {bench.matrix}: {', '.join(map(_spelled, cells.labels))}")
        groups = (cells.shared(), *cells.beside(told))
    datasets = ", ".join(dict.fromkeys(run["spec"]["dataset"]["name"] for run in cells.plan.runs))
    return Report(
        benchmark="matrix",
        section="matrix",
        heading="Matrix",
        about=(
            f"Matrix `{bench.matrix}` on {datasets}, of it {len(cells.labels)} cells "
            f"({' '.join(cells.chosen) or 'all'}), each from an empty store. "
            "Together they are one process, in which a run that several need is trained once, and frozen features, "
            "decoded images and vocabularies are computed once; alone, every cell is a process with a store of its "
            "own. Imports are processes that import what those imported, in the same order, and do nothing; they are "
            "timed after them. Side by side are two cells that share no run: two processes with half of the threads "
            "each. A cell must have the same figures together and alone, or nothing is reported."
        ),
        groups=groups,
        origin=origin_of(bench.workspace, PACKAGES, load),
    )


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What `harness plan` tells of cells, and of the runs that they need."""

    runs: Sequence[Mapping[str, Any]]
    cells: Sequence[Mapping[str, Any]]

    def chains(self) -> list[list[str]]:
        """Return each cell's run, and all that it starts from."""
        parents = {run["fingerprint"]: run["parent"] for run in self.runs}
        found = []
        for cell in self.cells:
            chain, step = [], cell["fingerprint"]
            while step is not None:
                chain.append(step)
                step = parents[step]
            found.append(chain)
        return found

    def shares(self) -> str:
        """Return how many trainings there are, with and without sharing."""
        naive = sum(map(len, self.chains()))
        return f"{len(self.cells)} cells, {naive} trainings naively, {len(self.runs)} distinct"


class _Cells:
    def __init__(self, bench: MatrixBench, folder: Path) -> None:
        self.bench, self.folder, self.stores = bench, folder, itertools.count()
        # In a folder of its own: tables of other runs are not touched.
        self.processes = Processes(folder / "work")
        self.processes.folder.mkdir()
        own = {"version": 1, "extends": str(bench.registry.absolute())}
        (self.processes.folder / "registry.yaml").write_text(json.dumps(own), encoding="utf-8")
        self.matrix = ["--matrix", bench.matrix]
        self.datasets = [word for name in bench.datasets for word in ("--dataset", name)]
        limit = ["--limit", str(bench.limit)] if bench.limit else []
        self.some = [
            *self.datasets,
            *(word for seed in bench.seeds for word in ("--seed", str(seed))),
            *limit,
        ]
        self.only = [word for pair in bench.only for word in ("--only", pair)]
        self.chosen = [*self.some, *self.only]
        self.plan = self._plan(*self.chosen)
        self.cells = self.plan.cells
        self.labels: list[Mapping[str, str]] = [cell["labels"] for cell in self.cells]
        if len(self.labels) < 2:
            raise InputError(
                f"{len(self.labels)} cells of {bench.matrix!r} are chosen; it takes two to compare",
                hint=f"Choose more of them: harness plan --matrix {bench.matrix} --no-estimate",
            )

    def shared(self) -> Group:
        """Run all cells together, and each alone; then import what they imported."""
        title = "shared work"
        works = contest(
            title,
            [
                Contender(name=TOGETHER, call=self._together, slow=True, weigh=False),
                Contender(name=ALONE, call=self._alone, slow=True, weigh=False),
            ],
            self.bench,
            check=_same,
        )
        imports = contest(
            title,
            [
                Contender(name=IMPORTS, call=self._imports, slow=True, weigh=False),
                Contender(name=ALL_IMPORTS, call=self._all_imports, slow=True, weigh=False),
            ],
            self.bench,
        )
        return replace(
            works,
            timed=(*works.timed, *imports.timed),
            ratios=(Ratio(over=ALONE, under=TOGETHER, least=1.5), Ratio(over=ALL_IMPORTS, under=ALONE)),
            facts=(*self._facts(), *_beyond(works, imports)),
        )

    def beside(self, told: Callable[[str], None]) -> tuple[Group, ...]:
        """Run two cells that share no run, one after the other and side by side; where all share one, say so."""
        pair = self._independent()
        if pair is None:
            why = "left out: any two of these cells share a run"
            told(f"side by side: {why}")
            return (Group(title="side by side", timed=(), facts=(Fact(name=BESIDE, value=why),)),)
        threads = self.bench.workspace.threads
        names = " and ".join(map(_spelled, pair))
        return (
            contest(
                f"{names}, {threads} threads in all",
                [
                    Contender(
                        name=ONE_BY_ONE,
                        call=lambda: [self._cell(cell, threads) for cell in pair],
                        slow=True,
                        weigh=False,
                    ),
                    Contender(name=BESIDE, call=lambda: self._beside(pair), slow=True, weigh=False),
                ],
                self.bench,
                ratios=[Ratio(over=ONE_BY_ONE, under=BESIDE)],
            ),
        )

    def _beside(self, pair: Sequence[Mapping[str, str]]) -> list[Figures]:
        half = max(1, self.bench.workspace.threads // 2)
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda labels: self._cell(labels, half), pair))

    def _independent(self) -> tuple[Mapping[str, str], Mapping[str, str]] | None:
        chains = [set(chain) for chain in self.plan.chains()]
        for (a, one), (b, other) in itertools.combinations(enumerate(chains), 2):
            if not one & other:
                return self.labels[a], self.labels[b]
        return None

    def _plan(self, *chosen: str) -> _Plan:
        home = ["--home", str(self.folder / "plan")]
        found = self._harness("plan", *self.matrix, *chosen, "--no-estimate", "--json", *home)
        return _Plan(runs=found["runs"], cells=found["cells"])

    def _together(self) -> Figures:
        return self._run(self.chosen, self.bench.workspace.threads, self._modules("together"))

    def _alone(self) -> Figures:
        found: dict[str, Any] = {}
        for place, labels in enumerate(self.labels):
            found |= self._cell(labels, self.bench.workspace.threads, self._modules(place))
        return found

    def _imports(self) -> None:
        self.processes.imported(self._modules("together"))

    def _all_imports(self) -> None:
        for place in range(len(self.labels)):
            self.processes.imported(self._modules(place))

    def _modules(self, of: object) -> Path:
        return self.folder / f"modules-{of}.json"

    def _cell(self, labels: Mapping[str, str], threads: int, modules: Path | None = None) -> Figures:
        only = [word for axis, label in labels.items() for word in ("--only", f"{axis}={label}")]
        return self._run([*self.some, *only], threads, modules)

    def _run(self, arguments: Sequence[str], threads: int, modules: Path | None) -> Figures:
        """Run cells into a store of their own; return the figures of each, by fingerprint."""
        home = self.folder / f"home-{next(self.stores)}"
        words = ["run", *self.matrix, *arguments, "--threads", str(threads), "--json", "--home", str(home)]
        cells = self._harness(*words, modules=modules)["cells"]
        return {cell["fingerprint"]: cell["figures"] for cell in cells}

    def _harness(self, *arguments: str, modules: Path | None = None) -> Any:
        return json.loads(self.processes.run(MAIN, *arguments, modules=modules))

    def _facts(self) -> list[Fact]:
        """Say what is shared: by the chosen cells, and by all of the matrix on these datasets."""
        home = self.bench.workspace.home
        facts = [Fact(name="the plan shares", value=self.plan.shares()), *_stored(self.plan, home)]
        if self.chosen != self.datasets:
            whole = self._plan(*self.datasets)
            facts += [Fact(name=WHOLE, value=whole.shares()), *_stored(whole, home, f"{WHOLE}, ")]
        return facts


def _beyond(works: Group, imports: Group) -> list[Fact]:
    """Say how much faster sharing is where nobody pays for imports: a ratio of times without them, round by round."""

    def rest(work: str, of: str) -> list[float]:
        pairs = zip(works.seconds(work), imports.seconds(of), strict=True)
        return [whole - imported for whole, imported in pairs]

    together, alone = rest(TOGETHER, IMPORTS), rest(ALONE, ALL_IMPORTS)
    if min(*together, *alone) <= 0:  # work so short that the machine's noise is larger
        return []
    ratio = spread([a / t for a, t in zip(alone, together, strict=True)]).median
    times = f"{clock(spread(alone).median)} alone, {clock(spread(together).median)} in one run"
    return [Fact(name="without imports", value=f"{times}: {ratio:.2f} times")]


def _stored(plan: _Plan, home: Path, of: str = "") -> list[Fact]:
    """Say what sharing trainings saves by the seconds of runs that are all stored; features are not in them."""
    store, runs = Store(home), [run["fingerprint"] for run in plan.runs]
    if not all(store.finished(run) for run in runs):
        return []
    seconds = {run: float(store.result(run).cost["train_seconds"]) for run in runs}
    distinct = sum(seconds.values())
    naive = sum(seconds[run] for chain in plan.chains() for run in chain)
    value = f"{clock(naive)} naively, {clock(distinct)} distinct: {naive / max(distinct, 1e-9):.2f} times"
    return [Fact(name=f"{of}trainings as they are stored in {home.name}", value=value)]


def _same(found: Mapping[str, Figures]) -> None:
    if set(found) >= {TOGETHER, ALONE} and found[TOGETHER] != found[ALONE]:
        raise RunError("the figures of a cell depend on whether it runs alone")


def _spelled(labels: Mapping[str, str]) -> str:
    return " ".join(f"{axis}={label}" for axis, label in labels.items())
