"""Runs a plan on a Ray cluster: its runs side by side, shared ones once. Ray is loaded when it is asked for."""

from __future__ import annotations

from harness.execute.cluster.drive import execute

__all__ = ["execute"]
