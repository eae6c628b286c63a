"""Figures and their differences as people read them: recalls in percent, rSum as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.statistics import Interval


def points(value: float, figure: str) -> float:
    """Return a figure, or a difference of it, in points of a table: percent, or rSum as it is."""
    return value if figure == "rsum" else 100.0 * value


def title_of(figure: str) -> str:
    """Return the name of a figure in a table."""
    return "rSum" if figure == "rsum" else figure.replace(".recall@", " R@")


def number(value: float, figure: str) -> str:
    """Return a figure in points, with one decimal."""
    return f"{points(value, figure):.1f}"


def signed(value: float, figure: str) -> str:
    """Return a difference in points, with its sign."""
    shown = f"{points(value, figure):+.1f}"
    return shown if float(shown) else "0.0"


def span(interval: Interval, figure: str, *, sign: bool = False) -> str:
    """Return an interval in points; `sign` is for one of a difference."""
    show, between = (signed, " to ") if sign else (number, "–")
    return f"{show(interval.low, figure)}{between}{show(interval.high, figure)}"
