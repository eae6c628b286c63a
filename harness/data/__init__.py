"""Datasets: prepared from files that came from elsewhere, verified, opened."""

from __future__ import annotations

from harness.data.inspections import Progress
from harness.data.manifest import Manifest
from harness.data.opened import OpenDataset, open_dataset, protocol_of
from harness.data.prepared import prepare
from harness.data.status import DatasetStatus, prepare_again, prepared_parts, status
from harness.data.verified import verify

__all__ = [
    "DatasetStatus",
    "Manifest",
    "OpenDataset",
    "Progress",
    "open_dataset",
    "prepare",
    "prepare_again",
    "prepared_parts",
    "protocol_of",
    "status",
    "verify",
]
