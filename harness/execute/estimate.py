"""What a plan will take, before anything starts: seconds from measured steps, bytes from real shapes."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.checkpoint import COPIES
from harness.errors import HarnessError
from harness.execute.caches import Reading
from harness.execute.costs import Known, cost_key, known_costs
from harness.execute.disk import TENSOR, free_bytes, record_bytes
from harness.execute.measure import Bench, Measured
from harness.execute.outcome import Workspace
from harness.plan import Plan, RunSpec
from harness.store import Store

Tell = Callable[[int, int, RunSpec], None]


def _untold(part: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, kw_only=True)
class RunEstimate:
    """What one run will take.

    Attributes:
        seconds: of the run itself; ``None`` where it cannot be told.
        feature_seconds: of features and decoded images that it is the first to need.
        bytes: that it stores.
        feature_bytes: of those.
        passing_bytes: of its checkpoint, which is deleted when it ends.
        source: whether steps were ``measured`` now, or finished runs ``stored`` what they took; ``none``.
        reason: why it cannot be told.
    """

    seconds: float | None = None
    feature_seconds: float = 0.0
    bytes: int = 0
    feature_bytes: int = 0
    passing_bytes: int = 0
    source: Literal["measured", "stored", "none"] = "none"
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What the runs of a plan that are to do will take, each once.

    Attributes:
        runs: by fingerprint, in the order of the plan.
        shared_seconds: what they would take beyond that if every cell trained its whole chain by itself.
        measured: combinations that were measured.
        stored: combinations that finished runs tell of.
        free_bytes: free where the store lies.
    """

    runs: Mapping[str, RunEstimate]
    shared_seconds: float
    measured: int
    stored: int
    free_bytes: int

    @property
    def seconds(self) -> float:
        """Seconds of all runs that could be estimated, what they cache included."""
        return sum((run.seconds or 0.0) + run.feature_seconds for run in self.runs.values())

    @property
    def feature_seconds(self) -> float:
        """Seconds of features and decoded images that are not cached yet."""
        return sum(run.feature_seconds for run in self.runs.values())

    @property
    def bytes(self) -> int:
        """Bytes that will be stored, caches included."""
        return sum(run.bytes + run.feature_bytes for run in self.runs.values())

    @property
    def needed_bytes(self) -> int:
        """Bytes that must be free: what is stored, and the largest checkpoint on the way with its copies."""
        return self.bytes + COPIES * max((run.passing_bytes for run in self.runs.values()), default=0)

    @property
    def unknown(self) -> int:
        """Runs that could not be estimated."""
        return sum(run.seconds is None for run in self.runs.values())


def estimate(
    plan: Plan, workspace: Workspace, tell: Tell, tell_part: Callable[[str], None] = _untold
) -> Estimate:
    """Estimate every run of a plan that is not stored; nothing is written to the store.

    Runs that differ in seed, epochs, rates or parent alone share one measurement, and where runs of the combination
    are finished on this hardware, their own cost stands in for it.

    Args:
        tell: called before each measurement with its number, their number, and the run that is measured.
        tell_part: called before each part of a measurement with what is measured; what an earlier one measured is not
            measured again.
    """
    store = Store(workspace.home)
    todo = [run for run in plan.runs if not store.finished(run.fingerprint)]
    keys = {run.fingerprint: cost_key(run.as_dict()) for run in todo}
    known = known_costs(store, workspace, set(keys.values()))
    fresh: dict[str, RunSpec] = {}
    for run in todo:
        if (key := keys[run.fingerprint]) not in known:
            fresh.setdefault(key, run)
    found: dict[str, Measured | str] = {}
    # A temporary folder takes what a training writes.
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        bench = Bench(workspace, Path(folder), tell_part)
        for number, (key, run) in enumerate(fresh.items(), start=1):
            tell(number, len(fresh), run)
            found[key] = _measured(bench, run)
    return _Sums(plan, todo, workspace, store).estimate(keys, known, found)


def _measured(bench: Bench, run: RunSpec) -> Measured | str:
    """Return what a run takes, or why it cannot be measured."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return bench.measure(run)
    except HarnessError as error:
        return error.message
    # A component is somebody else's code: whatever it raises, the other runs have their estimate.
    except (Exception, SystemExit) as error:
        return f"{type(error).__name__}: {error}"


class _Sums:
    """Adds up what runs share: features, and the weights that a parent stores already."""

    def __init__(self, plan: Plan, todo: list[RunSpec], workspace: Workspace, store: Store) -> None:
        self.plan, self.todo, self.workspace, self.store = plan, todo, workspace, store
        self.specs = {run.fingerprint: run for run in plan.runs}
        self.claimed: set[str] = set()
        self.saved: dict[str, frozenset[str]] = {}

    def estimate(
        self, keys: Mapping[str, str], known: Mapping[str, Known], found: Mapping[str, Measured | str]
    ) -> Estimate:
        runs: dict[str, RunEstimate] = {}
        for run in self.todo:
            key = keys[run.fingerprint]
            if key in known:
                runs[run.fingerprint] = self._known(run, known[key])
            else:
                runs[run.fingerprint] = self._of(run, found[key])
        return Estimate(
            runs=runs,
            shared_seconds=self._shared(runs),
            measured=sum(isinstance(entry, Measured) for entry in found.values()),
            stored=len(known),
            free_bytes=free_bytes(self.workspace.home),
        )

    def _known(self, run: RunSpec, known: Known) -> RunEstimate:
        self.saved[run.fingerprint] = known.names
        return RunEstimate(
            seconds=known.cost.seconds(run.stage),
            bytes=known.bytes,
            passing_bytes=2 * known.bytes if run.stage.epochs else 0,
            source="stored",
        )

    def _of(self, run: RunSpec, found: Measured | str) -> RunEstimate:
        if isinstance(found, str):
            return RunEstimate(reason=found)
        names = frozenset(found.sizes) - (found.spared - self._inherited(run))
        self.saved[run.fingerprint] = names
        weights = sum(found.sizes[name] + TENSOR for name in names)
        seconds, size = 0.0, 0.0
        for reading in found.readings:
            missing = self._claim(reading)
            seconds += missing * reading.image_seconds
            size += missing * reading.image_bytes
        return RunEstimate(
            seconds=found.cost.seconds(run.stage),
            feature_seconds=seconds,
            bytes=weights + found.gallery + record_bytes(run),
            feature_bytes=round(size),
            # The weights as they stand, the best ones, and what the optimiser keeps.
            passing_bytes=2 * weights + found.moments if run.stage.epochs else 0,
            source="measured",
        )

    def _claim(self, reading: Reading) -> int:
        """Return how many images no cache has and no earlier run of the plan will have put there."""
        if reading.address in self.claimed:
            return 0
        self.claimed.add(reading.address)
        return reading.missing(self.workspace.home)

    def _inherited(self, run: RunSpec) -> frozenset[str]:
        """Return the names of the weights that the parent stores, or has stored."""
        if run.parent is None:
            return frozenset()
        if run.parent not in self.saved and self.store.finished(run.parent):
            from safetensors import safe_open

            path = self.store.checked(run.parent, "weights.safetensors")
            with safe_open(path, framework="numpy") as file:
                self.saved[run.parent] = frozenset(file.keys())
        return self.saved.get(run.parent, frozenset())

    def _shared(self, runs: Mapping[str, RunEstimate]) -> float:
        """Return the seconds of trainings that cells have in common, beyond the first of each."""
        uses = dict.fromkeys(runs, 0)
        for cell in self.plan.cells:
            for fingerprint in self._chain(cell.run.fingerprint):
                if fingerprint in uses:
                    uses[fingerprint] += 1
        return sum((runs[name].seconds or 0.0) * max(count - 1, 0) for name, count in uses.items())

    def _chain(self, fingerprint: str | None) -> Iterator[str]:
        while fingerprint is not None:
            yield fingerprint
            fingerprint = self.specs[fingerprint].parent
