"""How a figure is called elsewhere, and in which unit and bounds it comes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.specs import Scale, declared_scale

TABLES = "recall"
"""The component whose figures stand in the columns of every table."""
EXPECTED = "expected."
"""Begins the figures of which ties are worth their mean, beside those of the same name that they lose."""
_KINDS = ("recall", "rsum", "median_rank", "mean_rank")
_SIDES = {"i2t": "Image-to-text", "t2i": "Text-to-image"}
_WORDS = {
    "recall": "R",
    "median_rank": "median rank",
    "mean_rank": "mean rank",
    "map@r": "mAP@R",
    "r_precision": "R-Precision",
}
_FIGURE = re.compile(r"(?P<expected>expected\.)?((?P<side>i2t|t2i)\.)?(?P<kind>[a-z_@]+?)(@(?P<k>\d+))?")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One figure, for readers who do not know the harness.

    Attributes:
        name: for people, such as ``Image-to-text R@5``.
        kind: the family, such as ``recall_at_5``.
        unit: ``proportion``, ``percent`` (the sum of recalls), ``rank``, or ``points`` where nobody says.
        lower_is_better: which way is better.
        low, high: what it can be, infinite where nobody says.
        parameters: cut-off and direction.
    """

    name: str
    kind: str
    unit: str
    lower_is_better: bool
    low: float
    high: float
    parameters: Mapping[str, str | int] = field(default_factory=dict)


def reading(
    figure: str, value: float, *, images: int, captions: int, recalls: int, scales: Mapping[str, Scale]
) -> Reading | None:
    """Return how a figure is read; ``None`` for a count, which is no score.

    Args:
        recalls: how many recalls of one policy stand beside it, which bounds their sum.
        scales: what its evaluator declares, see `harness.specs.EvaluatorSpec`.
    """
    declared = declared_scale(figure, scales)
    found = _FIGURE.fullmatch(figure)
    kind = found["kind"] if found else figure
    if (declared is not None and declared.better == "neither") or kind == "queries":
        return None
    name, parameters = figure, {}
    if found and ((found["side"] and kind in _WORDS) or kind == "rsum"):
        cut = f"@{found['k']}" if found["k"] else ""
        side = f"{_SIDES[found['side']]} " if found["side"] else ""
        name = f"{side}{'rSum' if kind == 'rsum' else _WORDS[kind]}{cut}"
        if found["expected"]:
            name += ", expected over ties"
        parameters = {key: found[key] for key in ("side", "k") if found[key]}
    unit, low, high = _bounds(kind, found["side"] if found else "", images, captions, recalls, declared)
    if not low <= value <= high:  # a figure of this name that is another one
        unit, low, high = "points", float("-inf"), float("inf")
    return Reading(
        name=name,
        kind=f"recall_at_{found['k']}" if found and kind == "recall" and found["k"] else kind,
        unit=unit,
        lower_is_better=unit == "rank" if declared is None else declared.better == "lower",
        low=low,
        high=high,
        parameters={k: int(v) if k == "k" else v for k, v in parameters.items()},
    )


def evaluators(figures: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the evaluators of a result, those of the tables' columns first."""
    return sorted(figures, key=lambda name: (figures[name].get("use") != TABLES, name))


def in_order(names: Iterable[str]) -> list[str]:
    """Order figures as tables have them: recalls by direction and cut-off, rSum, median and mean rank, then others."""
    return sorted(names, key=_place)


def _place(name: str) -> tuple[Any, ...]:
    bare = name.removeprefix(EXPECTED)
    found = _FIGURE.fullmatch(bare)
    if not found or found["kind"] not in _KINDS:
        return bare != name, len(_KINDS), _natural(bare)
    place = _KINDS.index(found["kind"]), [(-1, found["side"] or ""), (int(found["k"] or 0), "")]
    return bare != name, *place


def _natural(text: str) -> list[tuple[int, str]]:
    """Return a sort key that puts R@10 after R@5."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.findall(r"\d+|\D+", text)]


def _bounds(
    kind: str, side: str, images: int, captions: int, recalls: int, declared: Scale | None
) -> tuple[str, float, float]:
    if kind in ("recall", "map@r", "r_precision"):
        return "proportion", 0.0, 1.0
    if kind == "rsum":
        return "percent", 0.0, 100.0 * recalls
    if kind in ("median_rank", "mean_rank"):
        return "rank", 1.0, float(captions if side == "i2t" else images)
    ends = [end for end in (declared.worst, declared.best) if end is not None] if declared else []
    if len(ends) < 2:
        return "points", float("-inf"), float("inf")
    return ("proportion" if sorted(ends) == [0.0, 1.0] else "points"), min(ends), max(ends)
