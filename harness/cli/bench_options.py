"""What the commands of `harness bench` have in common: options, the workspace, and how a report is shown."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

import typer

from harness.cli.completion import complete_profile
from harness.cli.console import emit, out, plain, say, table
from harness.cli.device import check_device, find_device
from harness.cli.options import load_catalog, load_registry, place

if TYPE_CHECKING:
    from harness.bench.origin import Machine
    from harness.bench.report import Group, Report

R = TypeVar("R")

Rounds = Annotated[int, typer.Option("--rounds", min=1, help="Interleaved rounds.")]
Seconds = Annotated[float, typer.Option("--seconds", min=0.0, help="Least time of one measurement.")]
BenchDevice = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
BenchThreads = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="CPU threads (default: the cores there are).", show_default=False),
]
Source = Annotated[
    Path | None,
    typer.Option("--from", help="Measure nothing; show what --json printed earlier.", show_default=False),
]
Profile = Annotated[
    str,
    typer.Option(
        "--profile",
        help="A profile of registry.yaml; `none` measures the paper's sizes.",
        autocompletion=complete_profile,
    ),
]
Write = Annotated[bool, typer.Option("--write", help="Write the section of docs/performance.md.")]
Busy = Annotated[bool, typer.Option("--busy", help="Write even what was measured on a busy machine.")]


def named(profile: str) -> str | None:
    """Return the profile that an option names; ``None`` for the entries of the registry as they are."""
    return None if profile == "none" else profile


def workspace_of(device: str, threads: int | None, strict: bool, home: Path | None = None) -> Any:
    """Return where and with what a benchmark runs."""
    from harness.execute import Workspace
    from harness.execute.provenance import default_threads, source_revision

    where = place(home)
    return Workspace(
        home=where.home,
        data=where.data,
        catalog=load_catalog(strict),
        device=find_device(device),
        threads=threads or default_threads(),
        command=shlex.join(["harness", *sys.argv[1:]]),
        revision=source_revision(),
    )


@dataclass(frozen=True, kw_only=True)
class Form(Generic[R]):
    """What is done with a kind of report.

    Attributes:
        read: gets what --json printed, from a file.
        summary: returns it in JSON's types.
        show: prints it.
        write: writes its section of the page below a folder.
        machine: tells where it was measured.
    """

    read: Callable[[Path], R]
    summary: Callable[[R], dict[str, Any]]
    show: Callable[[R], None]
    write: Callable[[R, Path], Path]
    machine: Callable[[R], Machine]


def plain_form(benchmark: str) -> Form[Report]:
    """Return what is done with the report of most benchmarks."""
    from harness.bench.page import write_report
    from harness.bench.report import read_report, summary

    return Form(
        read=lambda path: read_report(path, benchmark),
        summary=summary,
        show=_print,
        write=write_report,
        machine=lambda report: report.origin.machine,
    )


def deliver(
    form: Form[R],
    measure: Callable[[Any, Callable[[str], None]], R],
    source: Path | None,
    *,
    write: bool,
    busy: bool,
    strict: bool,
    as_json: bool,
    threads: int | None,
    device: str = "cpu",
    registry_file: Path | None = None,
) -> None:
    """Measure, or read what was measured; print it, and write it to the page where that is asked for.

    Args:
        measure: called with the workspace, and with what tells of progress.
        busy: write figures of a busy machine, too.
        registry_file: beside whose folder the page lies.
    """
    from harness.bench.page import find_page

    check_device(device)
    report = form.read(source) if source is not None else None
    root = load_registry(registry_file).path.parent if write else None
    if root is not None:
        find_page(root)  # before hours of measuring rather than after them
        _check_idle(None if report is None else form.machine(report), busy=busy)
    if report is None:
        workspace = workspace_of(device, threads, strict)
        # What a component prints is no output of ours: `--json` is read by programs.
        with contextlib.redirect_stdout(sys.stderr):
            report = measure(workspace, say)
    if as_json:
        emit(form.summary(report))
    else:
        form.show(report)
    if root is not None:
        say(f"written: {form.write(report, root)}")


def _check_idle(measured: Machine | None, *, busy: bool) -> None:
    """Say that the machine is busy, or was, before hours of measuring; wait a while where it is."""
    from harness.bench.origin import check_idle, load_average, wait_idle
    from harness.execute.provenance import default_threads

    if measured is None:
        cores = default_threads()
        load = load_average() if busy else wait_idle(cores, say)
    else:
        load, cores = measured.load, measured.cores
    if warning := check_idle(load, cores, busy=busy):
        say(f"warning: {warning}", style="yellow")


def _print(report: Report) -> None:
    from harness.bench.origin import signature

    out.print(plain(report.about), markup=False, soft_wrap=True)
    for group in report.groups:
        print_group(group)
    origin = report.origin
    line = signature(origin.machine, origin.versions, origin.revision, origin.date, origin.command)
    out.print(plain(line), markup=False, soft_wrap=True)


def print_group(group: Group) -> None:
    """Print the tables of a group."""
    from harness.bench.render import columns, fact_rows, ratio_rows, rows

    title, *heads = columns(group)
    if group.timed:
        table(title, ["", *heads], rows(group), numeric=1)
    if group.ratios:
        table("", ["ratio", "median (quartiles)", "to reach"], ratio_rows(group), numeric=1)
    for name, value in fact_rows(group):
        out.print(plain(f"{name}: {value}"), markup=False, soft_wrap=True)
