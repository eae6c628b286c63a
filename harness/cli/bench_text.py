"""`harness bench text`: captions a second of text encoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.bench_options import (
    BenchDevice,
    BenchThreads,
    Busy,
    Form,
    Profile,
    Rounds,
    Seconds,
    Source,
    Write,
    deliver,
    named,
    print_group,
)
from harness.cli.completion import complete_encoder
from harness.cli.console import out, plain, table
from harness.cli.options import Json, RegistryFile, Strict, assignments, load_registry

if TYPE_CHECKING:
    from harness.bench.text_report import TextReport

ENCODERS = ("words", "gru", "lstm")

Encoders = Annotated[
    list[str] | None,
    typer.Option(
        "--encoder",
        "-e",
        help="A text encoder of registry.yaml, the one to compare with first; may be repeated "
        f"(default: {', '.join(ENCODERS)}).",
        show_default=False,
        autocompletion=complete_encoder,
    ),
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


def text(
    encoder: Encoders = None,
    profile: Profile = "laptop",
    length: Lengths = None,
    batch: Annotated[int, typer.Option("--batch", min=2, help="Captions of a step.")] = 128,
    rounds: Rounds = 7,
    seconds: Seconds = 0.5,
    dim: Dim = None,
    settings: Settings = None,
    stage: Annotated[
        str,
        typer.Option("--stage", help="Whose losses mine captions: their share of a step is measured, too."),
    ] = "two",
    device: BenchDevice = "auto",
    threads: BenchThreads = None,
    source: Source = None,
    write: Write = False,
    busy: Busy = False,
    strict: Strict = False,
    as_json: Json = False,
    registry_file: RegistryFile = None,
) -> None:
    """Measure captions a second of text encoders in training and inference, and how much faster the first one is."""

    def made(workspace: Any, told: Any) -> Any:
        from harness.bench.text import TextBench, measure

        bench = TextBench(
            registry=load_registry(registry_file),
            workspace=workspace,
            encoders=tuple(dict.fromkeys(encoder or ENCODERS)),
            profile=named(profile),
            **({"lengths": tuple(dict.fromkeys(length))} if length else {}),
            batch=batch,
            rounds=rounds,
            seconds=seconds,
            dim=dim,
            settings=_settings(settings),
            stage=stage,
        )
        return measure(bench, told)

    deliver(
        _form(),
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


def _form() -> Form[TextReport]:
    from harness.bench.text_page import write_text_section
    from harness.bench.text_report import read_text_report, text_summary

    return Form(
        read=read_text_report,
        summary=text_summary,
        show=_print,
        write=write_text_section,
        machine=lambda report: report.machine,
    )


def _settings(pairs: list[str] | None) -> dict[str, Any]:
    from harness.errors import InputError

    found = assignments(pairs or [])
    if "length" in found:
        raise InputError("--set length is what the benchmark varies", hint="Give --length N.")
    return found


def _print(report: TextReport) -> None:
    from harness.bench.rounds import spread
    from harness.bench.text_report import MODES

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
    for group in report.groups:
        print_group(group)
    machine = report.machine
    load = "" if machine.load is None else f", load average {machine.load:.2f} before it began"
    out.print(plain(f"{machine.hardware}, device {machine.device}{load}"), markup=False, soft_wrap=True)
