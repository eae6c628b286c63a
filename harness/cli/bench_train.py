"""`harness bench train`: whole training steps beside what the image encoder takes alone."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from harness.cli.bench_options import (
    BenchDevice,
    BenchThreads,
    Busy,
    Profile,
    Rounds,
    Seconds,
    Source,
    Write,
    deliver,
    named,
    plain_form,
)
from harness.cli.options import Json, RegistryFile, Strict, load_registry

FEW, MANY = 64, 4096
"""Photographs on a CPU and on a GPU, whose workers have to be started in each epoch."""


def train(
    experiment: Annotated[str, typer.Option("--experiment", help="Of registry.yaml.")] = "dual-path",
    stage: Annotated[str, typer.Option("--stage", help="Of registry.yaml.")] = "two",
    profile: Profile = "laptop",
    images: Annotated[
        int | None,
        typer.Option(
            "--images",
            min=4,
            help=f"Generated photographs (default: {FEW}, on a GPU {MANY}).",
            show_default=False,
        ),
    ] = None,
    classes: Annotated[int, typer.Option("--classes", min=4, help="Classes of a classifier.")] = 6000,
    precision: Annotated[str, typer.Option("--precision", help="32-true or bf16-mixed.")] = "32-true",
    backend: Annotated[
        str | None,
        typer.Option("--compile", help="Backend of torch.compile, such as inductor.", show_default=False),
    ] = None,
    rounds: Rounds = 3,
    seconds: Seconds = 0.0,
    device: BenchDevice = "auto",
    threads: BenchThreads = None,
    source: Source = None,
    write: Write = False,
    busy: Busy = False,
    registry_file: RegistryFile = None,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Measure images a second of whole training steps, and the share of the image encoder's bare rate; peak memory."""

    def made(workspace: Any, told: Any) -> Any:
        from harness.bench.steps import TrainBench, measure
        from harness.bench.training import Recipe
        from harness.step import Numerics

        count = images or (MANY if workspace.device.startswith("cuda") else FEW)
        bench = TrainBench(
            workspace=workspace,
            rounds=rounds,
            seconds=seconds,
            recipe=Recipe(
                registry=load_registry(registry_file), experiment=experiment, profile=named(profile)
            ),
            stage=stage,
            images=count,
            classes=max(classes, count),
            numerics=Numerics(precision=precision, compile=backend or ""),
        )
        return measure(bench, told)

    deliver(
        plain_form("train"),
        made,
        source,
        write=write,
        busy=busy,
        strict=strict,
        as_json=as_json,
        threads=threads,
        device=device,
        registry_file=registry_file,
    )
