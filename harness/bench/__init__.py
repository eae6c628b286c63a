"""Benchmarks of speed: components beside each other in one run, and the page that keeps the figures."""

from __future__ import annotations

from harness.bench.page import section, write_section
from harness.bench.report import MODES, TextReport, read_report, spread, summary
from harness.bench.text import TextBench, measure

__all__ = [
    "MODES",
    "TextBench",
    "TextReport",
    "measure",
    "read_report",
    "section",
    "spread",
    "summary",
    "write_section",
]
