"""`harness bench`: how fast the harness is beside what people use today, and components beside each other."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from harness.cli.bench_matrix import matrix
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
from harness.cli.bench_text import text
from harness.cli.bench_train import train
from harness.cli.embedding import embedding
from harness.cli.options import Json, RegistryFile, Strict, load_registry

app = typer.Typer(help="Measure how fast the harness is beside what people use today.")

Dim = Annotated[int, typer.Option("--dim", min=1, help="Size of the embedding.")]
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

    Each runs what it compares in interleaved rounds, on this machine, and checks first that all find the same. Most
    take minutes, loss and matrix ten or more; --rounds 1 --seconds 0 is quickest. Nothing is stored: --json prints
    all figures, --write puts them into docs/performance.md of a checkout.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def evaluation(
    images: Sizes = None,
    dim: Dim = 2048,
    rounds: Rounds = 3,
    seconds: Seconds = 0.5,
    threads: BenchThreads = None,
    source: Source = None,
    write: Write = False,
    busy: Busy = False,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Measure ranking beside the bare matrix product, CLIP_benchmark, torchmetrics and a loop of sorts."""

    def made(workspace: Any, told: Any) -> Any:
        from harness.bench.evaluation import SIZES, EvaluationBench, measure

        sizes = tuple(dict.fromkeys(images or SIZES))
        bench = EvaluationBench(workspace=workspace, rounds=rounds, seconds=seconds, sizes=sizes, dim=dim)
        return measure(bench, told)

    deliver(
        plain_form("evaluation"),
        made,
        source,
        write=write,
        busy=busy,
        strict=strict,
        as_json=as_json,
        threads=threads,
    )


@app.command()
def statistics(
    images: Annotated[int, typer.Option("--images", min=2, help="Images of the gallery.")] = 5000,
    dim: Dim = 2048,
    resamples: Annotated[int, typer.Option("--resamples", min=40, help="Resamples of an interval.")] = 1000,
    rounds: Rounds = 5,
    seconds: Seconds = 0.5,
    threads: BenchThreads = None,
    source: Source = None,
    write: Write = False,
    busy: Busy = False,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Measure the intervals of a row beside its evaluation, a plain loop and SciPy's bootstrap."""

    def made(workspace: Any, told: Any) -> Any:
        from harness.bench.resampling import StatisticsBench, measure

        sizes = {"images": images, "dim": dim, "resamples": resamples}
        return measure(StatisticsBench(workspace=workspace, rounds=rounds, seconds=seconds, **sizes), told)

    deliver(
        plain_form("statistics"),
        made,
        source,
        write=write,
        busy=busy,
        strict=strict,
        as_json=as_json,
        threads=threads,
    )


@app.command()
def startup(
    matrix: Annotated[str, typer.Option("--matrix", help="Trained once, in a temporary store.")] = "smoke",
    rounds: Rounds = 5,
    seconds: Seconds = 0.0,
    threads: BenchThreads = None,
    source: Source = None,
    write: Write = False,
    busy: Busy = False,
    strict: Strict = False,
    as_json: Json = False,
    registry_file: RegistryFile = None,
) -> None:
    """Measure the help, lists and the run of a stored matrix beside an empty program and bare imports."""

    def made(workspace: Any, told: Any) -> Any:
        from harness.bench.startup import StartupBench, measure

        registry = load_registry(registry_file)
        return measure(
            StartupBench(
                workspace=workspace, rounds=rounds, seconds=seconds, registry=registry, matrix=matrix
            ),
            told,
        )

    deliver(
        plain_form("startup"),
        made,
        source,
        write=write,
        busy=busy,
        strict=strict,
        as_json=as_json,
        threads=threads,
        registry_file=registry_file,
    )


@app.command("input")
def images(
    images: Annotated[int, typer.Option("--images", min=2, help="Generated JPEGs.")] = 64,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images of a step.")] = 32,
    rounds: Rounds = 5,
    seconds: Seconds = 0.5,
    threads: BenchThreads = 1,
    source: Source = None,
    write: Write = False,
    busy: Busy = False,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Measure images a second from files and from the decoded cache beside transforms of PIL and torchvision."""

    def made(workspace: Any, told: Any) -> Any:
        from harness.bench.images import InputBench, measure

        bench = InputBench(
            workspace=workspace, rounds=rounds, seconds=seconds, images=images, batch=min(batch, images)
        )
        return measure(bench, told)

    deliver(
        plain_form("input"),
        made,
        source,
        write=write,
        busy=busy,
        strict=strict,
        as_json=as_json,
        threads=threads,
    )


@app.command()
def stage1(
    experiment: Annotated[
        str, typer.Option("--experiment", help="Of registry.yaml; its stage freezes the backbone.")
    ] = "dual-path",
    profile: Profile = "laptop",
    images: Annotated[int, typer.Option("--images", min=4, help="Generated photographs.")] = 64,
    classes: Annotated[int, typer.Option("--classes", min=4, help="Classes of a classifier.")] = 6000,
    rounds: Rounds = 3,
    seconds: Seconds = 0.2,
    device: BenchDevice = "auto",
    threads: BenchThreads = None,
    source: Source = None,
    write: Write = False,
    busy: Busy = False,
    strict: Strict = False,
    as_json: Json = False,
    registry_file: RegistryFile = None,
) -> None:
    """Measure an epoch over cached features of a frozen backbone beside one that computes them anew."""

    def made(workspace: Any, told: Any) -> Any:
        from harness.bench.stage import StageBench, measure
        from harness.bench.training import Recipe

        recipe = Recipe(registry=load_registry(registry_file), experiment=experiment, profile=named(profile))
        bench = StageBench(
            workspace=workspace, rounds=rounds, seconds=seconds, recipe=recipe, images=images, classes=classes
        )
        return measure(bench, told)

    deliver(
        plain_form("stage1"),
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


@app.command()
def loss(
    classes: Annotated[
        list[int] | None,
        typer.Option(
            "--classes", min=4, help="May be repeated (default: 29783, 113287).", show_default=False
        ),
    ] = None,
    batch: Annotated[
        list[int] | None,
        typer.Option(
            "--batch", min=1, help="Pairs of a step; may be repeated (default: 32, 256).", show_default=False
        ),
    ] = None,
    dim: Dim = 2048,
    rounds: Rounds = 3,
    seconds: Seconds = 0.2,
    device: BenchDevice = "auto",
    threads: BenchThreads = None,
    source: Source = None,
    write: Write = False,
    busy: Busy = False,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Measure time, memory and gradient error of the instance loss at the number of classes of whole datasets."""

    def made(workspace: Any, told: Any) -> Any:
        from harness.bench.losses import BATCHES, CLASSES, LossBench, measure

        bench = LossBench(
            workspace=workspace,
            rounds=rounds,
            seconds=seconds,
            classes=tuple(dict.fromkeys(classes or CLASSES)),
            batches=tuple(dict.fromkeys(batch or BATCHES)),
            dim=dim,
        )
        return measure(bench, told)

    deliver(
        plain_form("loss"),
        made,
        source,
        write=write,
        busy=busy,
        strict=strict,
        as_json=as_json,
        threads=threads,
        device=device,
    )


app.command()(matrix)
app.command()(text)
app.command()(train)
app.command()(embedding)
