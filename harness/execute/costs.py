"""What a run costs, what of its specification determines that, and what finished runs tell of it."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import StoreError
from harness.execute.outcome import Workspace
from harness.execute.provenance import hardware
from harness.plan.fingerprint import digest
from harness.plan.records import PRECISION
from harness.registry import Stage
from harness.store import Result, Store


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What the parts of a run take, in seconds; features of a frozen part, which runs share, are not in it.

    Attributes:
        prepare: building the model and preparing captions.
        epoch: one pass over the training images, or an objective's solution in closed form.
        evaluation: one look at val.
        test: embedding and ranking the test split.
    """

    prepare: float
    epoch: float
    evaluation: float
    test: float

    def seconds(self, stage: Stage) -> float:
        """Return what a whole run takes under a stage's schedule; early stopping is not foreseen."""
        passes = max(stage.epochs, 1)
        looks = math.ceil(passes / stage.evaluate_every) if stage.epochs else 1
        return self.prepare + passes * self.epoch + looks * self.evaluation + self.test


@dataclass(frozen=True, kw_only=True)
class Known:
    """What finished runs of one combination took, and what one of them holds on disk.

    Attributes:
        bytes: size of its files.
        names: of the weights that it stored.
    """

    cost: Cost
    bytes: int
    names: frozenset[str]


def cost_key(spec: Mapping[str, Any]) -> str:
    """Return the address of all that determines the cost of a run: not its seed, epochs, rates or parent.

    Args:
        spec: as `RunSpec.as_dict` returns it and a result holds it.
    """

    def part(of: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "use": of["use"],
            "revision": of["revision"],
            "params": of["params"],
            "files": of.get("files"),
        }

    stage = spec["stage"]
    return digest(
        {
            "dataset": [part(spec["dataset"]), spec["protocol"], spec["limit"]],
            "image": part(spec["image"]),
            "text": part(spec["text"]),
            "losses": {loss["name"]: part(loss) for loss in spec["losses"]},
            "stage": [sorted(stage["freeze"]), stage["batch"], stage["optimizer"], stage["views"]],
            "clip": stage["clip"] is not None,
            "closed": stage["epochs"] == 0,
            "dim": spec["dim"],
            "precision": spec.get("precision", PRECISION),
        }
    )


def read_key(spec: Mapping[str, Any]) -> str:
    """Return the address of what a run reads: dataset and encoders."""
    dataset = [_part_key(spec["dataset"]), spec["protocol"], spec["limit"]]
    return digest([dataset, _part_key(spec["image"]), _part_key(spec["text"])])


def _part_key(part: Mapping[str, Any]) -> list[Any]:
    return [part["use"], part["revision"], part["params"], part.get("files", {})]


def known_costs(store: Store, workspace: Workspace, wanted: Collection[str]) -> dict[str, Known]:
    """Return what finished runs took, by the address of their combination; medians over several.

    Only those on this hardware count, compiled as now, and with batches embedded whole.

    Args:
        wanted: addresses to look for, see `cost_key`.
    """
    if not wanted:
        return {}
    here = hardware(workspace.device, workspace.threads, workspace.devices)
    found: dict[str, list[tuple[Result, Cost]]] = {}
    prepared: dict[str, float] = {}
    for fingerprint in store.fingerprints():
        try:
            result = store.result(fingerprint)
            told = result.provenance
            parts = told.get("accumulate", 1)
            if (told["hardware"], told.get("compile", ""), parts) != (here, workspace.compile, 1):
                continue
            # The first run over the same inputs computed features, too; later ones read them.
            read, seconds = read_key(result.spec), float(result.cost["prepare_seconds"])
            prepared[read] = min(prepared.get(read, seconds), seconds)
            if (key := cost_key(result.spec)) in wanted:
                cost = _cost(store, result)
                found.setdefault(key, []).append((result, cost))
        except (StoreError, KeyError, TypeError, ValueError):
            continue  # damaged, or of a version that kept less: measured anew
    return {key: _known(store, runs, prepared[read_key(runs[0][0].spec)]) for key, runs in found.items()}


def _cost(store: Store, result: Result) -> Cost:
    lines = store.checked(result.fingerprint, "history.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    test = float(result.cost["test_seconds"])
    closed = result.spec["stage"]["epochs"] == 0
    epoch, evaluation = (rows[0]["seconds"], test) if closed else _split(rows, test)
    return Cost(prepare=float(result.cost["prepare_seconds"]), epoch=epoch, evaluation=evaluation, test=test)


def _split(rows: Sequence[Mapping[str, float]], test: float) -> tuple[float, float]:
    """Tell what an epoch took from what its look at val did; `test` stands in where every epoch had one."""
    starts = [0.0, *(row["seconds"] for row in rows)]
    took = [row["seconds"] - start for row, start in zip(rows, starts, strict=False)]
    looked = [seconds for row, seconds in zip(rows, took, strict=True) if "val.rsum" in row]
    plain = [seconds for row, seconds in zip(rows, took, strict=True) if "val.rsum" not in row]
    both = statistics.median(looked)
    epoch = statistics.median(plain) if plain else max(both - test, 0.1 * both)
    return epoch, max(both - epoch, 0.0)


def _known(store: Store, runs: Sequence[tuple[Result, Cost]], prepare: float) -> Known:
    from safetensors import safe_open

    costs = [cost for _, cost in runs]
    folder = store.folder(runs[-1][0].fingerprint)
    with safe_open(folder / "weights.safetensors", framework="numpy") as file:
        names = frozenset(file.keys())
    return Known(
        cost=Cost(
            prepare=prepare,
            epoch=statistics.median(cost.epoch for cost in costs),
            evaluation=statistics.median(cost.evaluation for cost in costs),
            test=statistics.median(cost.test for cost in costs),
        ),
        bytes=sum(path.stat().st_size for path in folder.iterdir()),
        names=names,
    )
