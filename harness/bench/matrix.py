"""`harness bench matrix`: cells that share their work beside the same cells alone, and two of them side by side."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.bench.contest import Contender, Rounds, contest
from harness.bench.origin import load_average, origin_of
from harness.bench.render import clock
from harness.bench.report import Fact, Group, Ratio, Report
from harness.errors import InputError, RunError
from harness.store import Store

TOGETHER, ALONE = "cells in one run", "each cell alone"
ONE_BY_ONE, BESIDE = "two cells, one after the other", "two cells side by side"
MAIN = "from harness.cli import main\nmain()"
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
        groups = (cells.shared(), cells.beside())
    chosen = " ".join(
        [*(f"--dataset {name}" for name in bench.datasets), *(f"--only {o}" for o in bench.only)]
    )
    return Report(
        benchmark="matrix",
        section="matrix",
        heading="Matrix",
        about=(
            f"Matrix `{bench.matrix}`, of it {len(cells.labels)} cells ({chosen or 'all'}), each from an empty store. "
            "Together they are one process, in which a run that several need is trained once, and frozen features, "
            "decoded images and vocabularies are computed once; alone, every cell is a process with a store of its "
            "own. Side by side, two cells that share nothing are two processes with half of the threads each. A cell "
            "must have the same figures together and alone, or nothing is reported."
        ),
        groups=groups,
        origin=origin_of(bench.workspace, PACKAGES, load),
    )


class _Cells:
    def __init__(self, bench: MatrixBench, folder: Path) -> None:
        self.bench, self.folder, self.stores = bench, folder, itertools.count()
        chosen = [*(["--limit", str(bench.limit)] if bench.limit else [])]
        chosen += [word for name in bench.datasets for word in ("--dataset", name)]
        chosen += [word for seed in bench.seeds for word in ("--seed", str(seed))]
        self.chosen = ["--matrix", bench.matrix, *chosen]
        self.only = [word for pair in bench.only for word in ("--only", pair)]
        home = ["--home", str(folder / "plan")]
        plan = self._harness("plan", *self.chosen, *self.only, "--no-estimate", "--json", *home)
        self.runs: list[Mapping[str, Any]] = plan["runs"]
        self.cells: list[Mapping[str, Any]] = plan["cells"]
        self.labels: list[Mapping[str, str]] = [cell["labels"] for cell in self.cells]
        if len(self.labels) < 2:
            raise InputError(
                f"{len(self.labels)} cells of {bench.matrix!r} are chosen; it takes two to compare"
            )

    def shared(self) -> Group:
        """Run all cells together, and each alone."""
        group = contest(
            "shared work",
            [
                Contender(name=TOGETHER, call=self._together, slow=True, weigh=False),
                Contender(name=ALONE, call=self._alone, slow=True, weigh=False),
            ],
            self.bench,
            ratios=[Ratio(over=ALONE, under=TOGETHER, least=1.5)],
            check=_same,
        )
        return replace(group, facts=tuple(self._facts()))

    def beside(self) -> Group:
        """Run two cells that share no run, one after the other and side by side."""
        first, second = self._independent()
        threads = self.bench.workspace.threads

        def one_by_one() -> list[Figures]:
            return [self._cell(labels, threads) for labels in (first, second)]

        def beside() -> list[Figures]:
            with ThreadPoolExecutor(2) as pool:
                half = max(1, threads // 2)
                return list(pool.map(lambda labels: self._cell(labels, half), (first, second)))

        names = " and ".join(map(_spelled, (first, second)))
        return contest(
            f"{names}, {threads} threads in all",
            [
                Contender(name=ONE_BY_ONE, call=one_by_one, slow=True, weigh=False),
                Contender(name=BESIDE, call=beside, slow=True, weigh=False),
            ],
            self.bench,
            ratios=[Ratio(over=ONE_BY_ONE, under=BESIDE)],
        )

    def _independent(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        chains = [set(self._chain(cell["fingerprint"])) for cell in self.cells]
        for (a, one), (b, other) in itertools.combinations(enumerate(chains), 2):
            if not one & other:
                return self.labels[a], self.labels[b]
        return self.labels[0], self.labels[1]

    def _chain(self, fingerprint: str) -> list[str]:
        parents = {run["fingerprint"]: run["parent"] for run in self.runs}
        chain, step = [], fingerprint
        while step is not None:
            chain.append(step)
            step = parents[step]
        return chain

    def _together(self) -> Figures:
        return self._run([*self.chosen, *self.only], self.bench.workspace.threads)

    def _alone(self) -> Figures:
        found: dict[str, Any] = {}
        for labels in self.labels:
            found |= self._cell(labels, self.bench.workspace.threads)
        return found

    def _cell(self, labels: Mapping[str, str], threads: int) -> Figures:
        only = [word for axis, label in labels.items() for word in ("--only", f"{axis}={label}")]
        return self._run([*self.chosen, *only], threads)

    def _run(self, arguments: Sequence[str], threads: int) -> Figures:
        """Run cells into a store of their own; return the figures of each, by fingerprint."""
        home = self.folder / f"home-{next(self.stores)}"
        words = ["run", *arguments, "--threads", str(threads), "--json", "--home", str(home)]
        cells = self._harness(*words)["cells"]
        return {cell["fingerprint"]: cell["figures"] for cell in cells}

    def _harness(self, *arguments: str) -> Any:
        # In a folder of its own: tables of other runs are not touched.
        folder = self.folder / "work"
        folder.mkdir(exist_ok=True)
        own = {"version": 1, "extends": str(self.bench.registry.absolute())}
        (folder / "registry.yaml").write_text(json.dumps(own), encoding="utf-8")
        done = subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-c", MAIN, *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = " ".join(done.stderr.split())[-500:]
            raise RunError(f"harness {' '.join(arguments)} ended with {done.returncode}: {said}")
        return json.loads(done.stdout)

    def _facts(self) -> list[Fact]:
        chains = [self._chain(cell["fingerprint"]) for cell in self.cells]
        naive = sum(map(len, chains))
        facts = [
            Fact(
                name="the plan shares",
                value=f"{len(self.cells)} cells, {naive} trainings naively, {len(self.runs)} distinct",
            )
        ]
        return facts + _stored(chains, [run["fingerprint"] for run in self.runs], self.bench.workspace.home)


def _stored(chains: Sequence[Sequence[str]], runs: Sequence[str], home: Path) -> list[Fact]:
    """Say what sharing trainings saves by the seconds of runs that are all stored; features are not in them."""
    store = Store(home)
    if not all(store.finished(run) for run in runs):
        return []
    seconds = {run: float(store.result(run).cost["train_seconds"]) for run in runs}
    distinct = sum(seconds.values())
    naive = sum(seconds[run] for chain in chains for run in chain)
    value = f"{clock(naive)} naively, {clock(distinct)} distinct: {naive / max(distinct, 1e-9):.2f} times"
    return [Fact(name=f"trainings as they are stored in {home.name}", value=value)]


def _same(found: Mapping[str, Figures]) -> None:
    if set(found) >= {TOGETHER, ALONE} and found[TOGETHER] != found[ALONE]:
        raise RunError("the figures of a cell depend on whether it runs alone")


def _spelled(labels: Mapping[str, str]) -> str:
    return " ".join(f"{axis}={label}" for axis, label in labels.items())
