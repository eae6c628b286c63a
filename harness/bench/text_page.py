"""The section of docs/performance.md on text paths."""

from __future__ import annotations

from pathlib import Path

from harness.bench.origin import signature
from harness.bench.page import write_section
from harness.bench.render import markdown
from harness.bench.rounds import Spread, spread
from harness.bench.text_report import MODES, Mode, TextReport

_TITLES = {"training": "training: forward and backward pass", "inference": "inference"}


def text_section(report: TextReport) -> str:
    """Render a report as markdown."""
    rounds = len(report.speeds[0].rounds)
    of = f"the {report.words} different words of {report.dataset}'s train captions that all of them know"
    machine, scale = report.machine, "no profile" if report.profile is None else f"profile `{report.profile}`"
    lines = [
        f"Captions a second in batches of {report.batch}, {scale}, embeddings of {report.dim} numbers. Every place of "
        f"a caption holds a word, drawn from {of}. Median of {rounds} interleaved rounds of at least "
        f"{report.seconds:g} s, with the quartiles; a ratio is that of the same round. No optimiser's step, no "
        "tokenisation."
    ]
    for mode in MODES:
        lines += ["", *_table(report, mode)]
    for group in report.groups:
        lines += ["", *markdown(group)]
    lines += ["", signature(machine, report.versions, report.revision, report.date, report.command)]
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


def write_text_section(report: TextReport, root: Path) -> Path:
    """Write a report into the page below `root`, see `harness.bench.page.write_section`."""
    return write_section(root, name_of(report), _heading(report), "text", text_section(report))


def _heading(report: TextReport) -> str:
    scale = "the paper's sizes" if report.profile is None else f"profile {report.profile}"
    return f"Text paths, {scale}, {report.machine.device.partition(':')[0]}"
