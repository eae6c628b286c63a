"""The tables of docs/performance.md, each between markers of its own."""

from __future__ import annotations

import re
from pathlib import Path

from harness.bench.report import MODES, Mode, Spread, TextReport, spread
from harness.durable import durable
from harness.errors import InputError

PAGE = Path("docs") / "performance.md"
"""Below the folder of registry.yaml."""

_TITLES = {"training": "training: forward and backward pass", "inference": "inference"}


def section(report: TextReport) -> str:
    """Render a report as markdown."""
    rounds = len(report.speeds[0].rounds)
    of = f"the {report.words} different words of {report.dataset}'s train captions that all of them know"
    machine, scale = report.machine, "no profile" if report.profile is None else f"profile `{report.profile}`"
    load = "" if machine.load is None else f", load average {machine.load:.2f} before it began"
    lines = [
        f"Captions a second in batches of {report.batch}, {scale}, embeddings of {report.dim} numbers. Every place of "
        f"a caption holds a word, drawn from {of}. Median of {rounds} interleaved rounds of at least "
        f"{report.seconds:g} s, with the quartiles; a ratio is that of the same round. No optimiser's step, no "
        "tokenisation."
    ]
    for mode in MODES:
        lines += ["", *_table(report, mode)]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(report.versions.items()))
    source = f" Source {report.revision}." if report.revision else ""
    lines += [
        "",
        f"{machine.hardware}, {machine.cores} cores, device {machine.device}{load}. {versions}.{source} {report.date}: "
        f"`{report.command}`.",
    ]
    return "\n".join(lines)


def _table(report: TextReport, mode: Mode) -> list[str]:
    lengths, first = report.lengths, report.encoders[0]
    rows = [[_TITLES[mode], "parameters", *(f"{length} words" for length in lengths)]]
    rows.append(["---", *["---:"] * (len(lengths) + 1)])
    for encoder in report.encoders:
        speeds = [spread(report.rounds(encoder.name, mode, length)) for length in lengths]
        rows.append([encoder.title, f"{encoder.parameters:,}", *(_cell(speed, ",.0f") for speed in speeds)])
    for encoder in report.encoders[1:]:
        ratios = [spread(report.ratios(encoder.name, mode, length)) for length in lengths]
        rows.append([f"**{first.title} / {encoder.title}**", "", *(_cell(ratio, ".2f") for ratio in ratios)])
    return [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]


def _cell(found: Spread, style: str) -> str:
    return f"{found.median:{style}} ({found.low:{style}}–{found.high:{style}})"


def name_of(report: TextReport) -> str:
    """Return the name of a report's section: each profile and kind of device has its own."""
    parts = ["text", report.profile, None if report.machine.device == "cpu" else "cuda"]
    return "-".join(part for part in parts if part)


def write_section(report: TextReport, root: Path) -> Path:
    """Write a report into the page below `root`; a section that is not there yet is put at its end.

    Raises:
        InputError: if there is no such page, or the markers of the section do not stand there once.
    """
    path = root / PAGE
    if not path.is_file():
        raise InputError(
            f"there is no {path} to write to", hint="--write is for a checkout; print JSON with --json."
        )
    name, text = name_of(report), path.read_text(encoding="utf-8")
    start = f"<!-- {name}: written by `harness bench text --write` -->"
    end = f"<!-- end of {name} -->"
    body = f"{start}\n\n{section(report)}\n\n{end}"
    counts = text.count(start), text.count(end)
    if counts == (0, 0):
        text = f"{text.rstrip()}\n\n## {_heading(report)}\n\n{body}\n"
    elif counts == (1, 1) and text.index(start) < text.index(end):
        text = re.sub(f"{re.escape(start)}.*{re.escape(end)}", lambda _: body, text, flags=re.DOTALL)
    else:
        raise InputError(f"{path}: the markers of {name!r} do not stand there once, in order")
    with durable(path) as file:
        file.write(text.encode())
    return path


def _heading(report: TextReport) -> str:
    scale = "the paper's sizes" if report.profile is None else f"profile {report.profile}"
    return f"Text paths, {scale}, {report.machine.device.partition(':')[0]}"
