"""The leak doctor: what test shares with train, and what else makes figures on test too good."""

from __future__ import annotations

from harness.leaks.examine import Report, examine
from harness.leaks.findings import Finding, leaks
from harness.leaks.names import IdList, read_ids

__all__ = ["Finding", "IdList", "Report", "examine", "leaks", "read_ids"]
