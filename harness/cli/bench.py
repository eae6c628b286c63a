"""`harness bench`: how fast components are beside each other."""

from __future__ import annotations

import contextlib
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.console import emit, out, plain, say, table
from harness.cli.device import check_device, find_device
from harness.cli.options import Json, Strict, assignments, load_catalog, load_registry, place

if TYPE_CHECKING:
    from harness.bench import TextReport

app = typer.Typer(help="Measure how fast components are beside each other.", no_args_is_help=True)

ENCODERS = ("words", "gru", "lstm")
NO_PROFILE = "none"

Encoders = Annotated[
    list[str] | None,
    typer.Option(
        "--encoder",
        "-e",
        help="A text encoder of registry.yaml, the one to compare with first; may be repeated "
        f"(default: {', '.join(ENCODERS)}).",
        show_default=False,
    ),
]
Profile = Annotated[
    str, typer.Option("--profile", help="A profile of registry.yaml; `none` measures the paper's sizes.")
]
Lengths = Annotated[
    list[int] | None,
    typer.Option(
        "--length",
        min=1,
        help="Words of a caption; may be repeated (default: 8, 16, 32, 64).",
        show_default=False,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A parameter for all encoders, as in vectors=null; may be repeated.",
        show_default=False,
    ),
]
Dim = Annotated[
    int | None,
    typer.Option(
        "--dim", min=1, help="Size of the embedding (default: the experiment's).", show_default=False
    ),
]


# A group of one command would be that command.
@app.callback()
def group() -> None:
    """Measure how fast components are beside each other."""


@app.command()
def text(
    encoder: Encoders = None,
    profile: Profile = "laptop",
    length: Lengths = None,
    batch: Annotated[int, typer.Option("--batch", min=2, help="Captions of a step.")] = 128,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Interleaved rounds.")] = 7,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.0, help="Least time of one measurement.")
    ] = 0.5,
    dim: Dim = None,
    settings: Settings = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")] = "auto",
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads", min=1, help="CPU threads (default: the cores there are).", show_default=False
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Measure nothing; show what --json printed earlier.", show_default=False),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Write the section of docs/performance.md.")] = False,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Measure captions a second of text encoders in training and inference, and how much faster the first one is."""
    from harness.bench import TextBench, measure, read_report, summary, write_section

    check_device(device)
    registry = load_registry()
    if source is not None:
        report = read_report(source)
    else:
        bench = TextBench(
            registry=registry,
            workspace=_workspace(device, threads, strict),
            encoders=tuple(dict.fromkeys(encoder or ENCODERS)),
            profile=None if profile == NO_PROFILE else profile,
            **({"lengths": tuple(dict.fromkeys(length))} if length else {}),
            batch=batch,
            rounds=rounds,
            seconds=seconds,
            dim=dim,
            settings=_settings(settings),
        )
        # What a component prints is no output of ours: `--json` is read by programs.
        with contextlib.redirect_stdout(sys.stderr):
            report = measure(bench, say)
    if as_json:
        emit(summary(report))
    else:
        _print(report)
    if write:
        say(f"written: {write_section(report, registry.path.parent)}")


def _workspace(device: str, threads: int | None, strict: bool) -> Any:
    from harness.execute import Workspace
    from harness.execute.provenance import default_threads, source_revision

    where = place(None)
    return Workspace(
        home=where.home,
        data=where.data,
        catalog=load_catalog(strict),
        device=find_device(device),
        threads=threads or default_threads(),
        command=shlex.join(["harness", *sys.argv[1:]]),
        revision=source_revision(),
    )


def _settings(pairs: list[str] | None) -> dict[str, Any]:
    from harness.errors import InputError

    found = assignments(pairs or [])
    if "length" in found:
        raise InputError("--set length is what the benchmark varies", hint="Give --length N.")
    return found


def _print(report: TextReport) -> None:
    from harness.bench import MODES, spread

    first = report.encoders[0]
    rows = []
    for mode in MODES:
        for length in report.lengths:
            row: list[object] = [mode, length]
            for encoder in report.encoders:
                found = spread(report.rounds(encoder.name, mode, length))
                row.append(f"{found.median:,.0f}\n({found.low:,.0f}–{found.high:,.0f})")
            for encoder in report.encoders[1:]:
                found = spread(report.ratios(encoder.name, mode, length))
                row.append(f"{found.median:.2f}\n({found.low:.2f}–{found.high:.2f})")
            rows.append(row)
    ratios = [f"{first.name} / {encoder.name}" for encoder in report.encoders[1:]]
    table(
        f"Captions a second, batches of {report.batch}: median of {len(report.speeds[0].rounds)} rounds (quartiles)",
        ["", "words", *(encoder.title for encoder in report.encoders), *ratios],
        rows,
        numeric=1,
    )
    machine = report.machine
    load = "" if machine.load is None else f", load average {machine.load:.2f} before it began"
    out.print(plain(f"{machine.hardware}, device {machine.device}{load}"), markup=False, soft_wrap=True)
