"""The tables of docs/performance.md, each between markers of its own."""

from __future__ import annotations

import os
import re
from pathlib import Path

from harness.bench.origin import signature
from harness.bench.render import section
from harness.bench.report import Report
from harness.durable import durable
from harness.errors import InputError

PAGE = Path("docs") / "performance.md"
"""Below the folder of registry.yaml."""


def write_report(report: Report, root: Path) -> Path:
    """Write a report into its section of the page below `root`, see `write_section`."""
    origin = report.origin
    line = signature(origin.machine, origin.versions, origin.revision, origin.date, origin.command)
    body = "\n".join([*section(report), "", line])
    return write_section(root, report.section, report.heading, report.benchmark, body)


def find_page(root: Path) -> Path:
    """Return the page below `root`.

    Raises:
        InputError: if there is none, or it cannot be replaced.
    """
    path, hint = root / PAGE, "--write is for a checkout; print JSON with --json."
    if not path.is_file():
        raise InputError(f"there is no {path} to write to", hint=hint)
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"{path.parent} cannot be written to", hint=hint)
    return path


def write_section(root: Path, name: str, heading: str, benchmark: str, body: str) -> Path:
    """Write a section of the page below `root`; one that is not there yet is put at its end.

    Args:
        name: of the section, in its markers.
        heading: of a section that is new.
        benchmark: the command that writes it.

    Raises:
        InputError: from `find_page`, or if the markers of the section do not stand there once.
    """
    path = find_page(root)
    text = path.read_text(encoding="utf-8")
    start = f"<!-- {name}: written by `harness bench {benchmark} --write` -->"
    end = f"<!-- end of {name} -->"
    marked = f"{start}\n\n{body}\n\n{end}"
    counts = text.count(start), text.count(end)
    if counts == (0, 0):
        text = f"{text.rstrip()}\n\n## {heading}\n\n{marked}\n"
    elif counts == (1, 1) and text.index(start) < text.index(end):
        text = re.sub(f"{re.escape(start)}.*{re.escape(end)}", lambda _: marked, text, flags=re.DOTALL)
    else:
        raise InputError(f"{path}: the markers of {name!r} do not stand there once, in order")
    with durable(path) as file:
        file.write(text.encode())
    return path
