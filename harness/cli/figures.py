"""Figures of results as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Figures = Mapping[str, Mapping[str, Any]]
RECALLS = tuple(f"{side}.recall@{k}" for side in ("i2t", "t2i") for k in (1, 5, 10))


def percent(figures: Figures, evaluator: str, figure: str, *, scale: float = 100.0) -> str:
    """Return one figure with one decimal, or a dash where it was not measured."""
    value = figures.get(evaluator, {}).get("values", {}).get(figure)
    return "–" if value is None else f"{scale * value:.1f}"


def duration(seconds: float) -> str:
    """Return a time as people say it: 42 s, 3 min 5 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(count: float) -> str:
    """Return bytes as MB or GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
