"""`harness bench matrix`: cells that share their work beside the same cells alone."""

from __future__ import annotations

from typing import Any

from harness.cli.bench_options import BenchThreads, Busy, Rounds, Source, Write, deliver, plain_form
from harness.cli.options import Dataset, Json, Limit, Matrix, Only, RegistryFile, Seed, Strict, load_registry

FIVE = tuple(f"variant={label}" for label in ("instance", "instance-two", "full", "bag-of-words", "cca"))
"""Cells that share a first stage, features and words, and two rivals."""


def matrix(
    matrix: Matrix = "ablations",
    dataset: Dataset = None,
    only: Only = None,
    seed: Seed = None,
    limit: Limit = None,
    rounds: Rounds = 1,
    threads: BenchThreads = None,
    source: Source = None,
    write: Write = False,
    busy: Busy = False,
    strict: Strict = False,
    as_json: Json = False,
    registry_file: RegistryFile = None,
) -> None:
    """Measure cells that share their work beside the same cells alone, and two of them side by side.

    Every cell is trained at least twice: choose a part of a matrix by --only, and a small dataset. Without a choice it
    is five cells of the matrix `ablations`, with its first seed, on the small embedded dataset.
    """

    def made(workspace: Any, told: Any) -> Any:
        from harness.bench.matrix import MatrixBench, measure

        chosen = bool(dataset or only or seed) or matrix != "ablations"
        bench = MatrixBench(
            workspace=workspace,
            rounds=rounds,
            seconds=0.0,
            registry=load_registry(registry_file).path,
            matrix=matrix,
            datasets=tuple(dataset or (() if chosen else ("shapes-mini",))),
            only=tuple(only or (() if chosen else FIVE)),
            seeds=tuple(seed or (() if chosen else (0,))),
            limit=limit,
        )
        return measure(bench, told)

    deliver(
        plain_form("matrix"),
        made,
        source,
        write=write,
        busy=busy,
        strict=strict,
        as_json=as_json,
        threads=threads,
        registry_file=registry_file,
    )
