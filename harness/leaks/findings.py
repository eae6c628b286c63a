"""What the leak doctor found, and how it says it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["leak", "note"]
Check = Literal["images", "series", "captions", "datasets", "vocabulary", "selection", "pretraining"]
CHECKS: tuple[Check, ...] = (
    "images",
    "series",
    "captions",
    "datasets",
    "vocabulary",
    "selection",
    "pretraining",
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was found.

    Attributes:
        severity: ``leak`` where figures on test are better than they should be, or may be; ``note`` where people
            should know.
        check: what was looked at.
        subject: the dataset or the runs that it is about.
        what: one sentence.
        count: how many there are, one at least: images, captions, words or runs, as `what` says.
        items: all of them by name, most telling first.
        next: what to do.
    """

    severity: Severity
    check: Check
    subject: str
    what: str
    count: int
    items: tuple[str, ...] = ()
    next: str = ""


def leaks(findings: Sequence[Finding]) -> list[Finding]:
    """Return those that are leaks."""
    return [finding for finding in findings if finding.severity == "leak"]
