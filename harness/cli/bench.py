"""`harness bench`: how fast the harness is beside what people use today, and components beside each other."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.bench_options import BenchThreads, Rounds, Seconds, Source, Write, deliver
from harness.cli.bench_text import text
from harness.cli.options import Json, Strict

app = typer.Typer(help="Measure how fast the harness is beside what people use today.")

Sizes = Annotated[
    list[int] | None,
    typer.Option(
        "--images",
        min=2,
        help="Images of a gallery; may be repeated (default: 1000, 5000).",
        show_default=False,
    ),
]


@app.callback(invoke_without_command=True)
def group(context: typer.Context) -> None:
    """Measure how fast the harness is beside what people use today; without a name, list the benchmarks.

    Each runs what it compares in interleaved rounds, on this machine, and checks first that all find the same. None
    takes more than some minutes; --rounds 1 --seconds 0 is quickest. Nothing is stored: --json prints all figures,
    --write puts them into docs/performance.md of a checkout.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def evaluation(
    images: Sizes = None,
    dim: Annotated[int, typer.Option("--dim", min=1, help="Size of the embedding.")] = 2048,
    rounds: Rounds = 3,
    seconds: Seconds = 0.5,
    threads: BenchThreads = None,
    source: Source = None,
    write: Write = False,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Measure ranking beside the bare matrix product, CLIP_benchmark, torchmetrics and a loop of sorts."""
    from harness.bench.evaluation import SIZES, EvaluationBench, measure

    deliver(
        "evaluation",
        lambda workspace, told: measure(
            EvaluationBench(
                workspace=workspace,
                rounds=rounds,
                seconds=seconds,
                sizes=tuple(dict.fromkeys(images or SIZES)),
                dim=dim,
            ),
            told,
        ),
        source=source,
        write=write,
        strict=strict,
        as_json=as_json,
        threads=threads,
    )


app.command()(text)
