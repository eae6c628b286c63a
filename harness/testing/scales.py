"""How figures are read: as their evaluator declares them, else by the names of the literature."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from harness.specs import Scale, declared_scale

_RATE = Scale(better="higher", best=1.0, worst=0.0, chance="gallery")
_NAMES: tuple[tuple[re.Pattern[str], Scale], ...] = (
    (re.compile(r"(expected\.)?(i2t|t2i)\.recall@\d+"), _RATE),
    (re.compile(r"(expected\.)?rsum"), Scale(better="higher", worst=0.0, chance="gallery")),
    (re.compile(r"(i2t|t2i)\.mean_rank"), Scale(better="lower", best=1.0, chance="gallery")),
    (re.compile(r"(i2t|t2i)\.median_rank"), Scale(better="lower", best=1.0)),
    (re.compile(r"(i2t|t2i)\.(map@r|r_precision)"), Scale(better="higher", best=1.0, worst=0.0)),
    (re.compile(r"(i2t|t2i)\.queries"), Scale(better="neither")),
)


def scale_of(figure: str, declared: Mapping[str, Scale]) -> Scale | None:
    """Return how a figure is read; ``None`` if its evaluator does not say and its name is not a usual one.

    Args:
        declared: name, or prefix that ``*`` ends -> scale; the longest one that matches counts.
    """
    own = declared_scale(figure, declared)
    return own or next((scale for name, scale in _NAMES if name.fullmatch(figure)), None)


def matches(figure: str, patterns: Iterable[str]) -> bool:
    """Tell whether one of the patterns is the figure's name, or a prefix of it that ``*`` ends."""
    return any(
        figure.startswith(pattern[:-1]) if pattern.endswith("*") else figure == pattern
        for pattern in patterns
    )


def gain(scale: Scale, value: float, other: float) -> float:
    """Return by how much a value is better than another one; negative if it is worse."""
    return value - other if scale.better == "higher" else other - value
