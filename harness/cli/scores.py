"""Figures of evaluators for people: in the order of the tables, each in its unit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.cli.figures import Figures

if TYPE_CHECKING:
    from harness.catalog import Catalog
    from harness.specs import Scale

TABLES = "recall"
"""The component whose figures stand in the columns of every table."""
_EXPECTED = "expected."
_KINDS = ("recall", "rsum", "median_rank", "mean_rank")
_FIGURE = re.compile(r"(?:(i2t|t2i)\.)?([a-z_]+?)(?:@(\d+))?")


@dataclass(frozen=True, kw_only=True)
class Units:
    """In which unit each figure comes.

    Args:
        images, captions: of the gallery.
        scales: component of an evaluator -> what it declares of its figures.
    """

    images: int
    captions: int
    scales: Mapping[str, Mapping[str, Scale]]

    def text(self, use: str, figure: str, value: float, beside: Iterable[str], *, exact: bool = False) -> str:
        """Return a figure as text: rates in percent, ranks, counts.

        Args:
            use: the component of its evaluator.
            beside: the figures of the evaluator.
            exact: six digits, so that a small change is seen.
        """
        from harness.export.readings import reading

        prefix = _EXPECTED if figure.startswith(_EXPECTED) else ""
        sides = tuple(f"{prefix}{side}.recall@" for side in ("i2t", "t2i"))
        read = reading(
            figure,
            value,
            images=self.images,
            captions=self.captions,
            recalls=sum(name.startswith(sides) for name in beside),
            scales=self.scales.get(use, {}),
        )
        if read is None:
            return f"{value:,.0f}" if value == int(value) else f"{value:,g}"
        if read.unit == "proportion":
            return f"{100 * value:.6g} %" if exact else f"{100 * value:.2f} %"
        if exact:
            return f"{value:.6g}"
        return {"percent": f"{value:.1f}", "rank": f"{round(value, 1):g}"}.get(read.unit, f"{value:.4f}")


def units(catalog: Catalog, images: int, captions: int) -> Units:
    """Return the units that the installed evaluators declare, for a gallery of this size."""
    return Units(images=images, captions=captions, scales=scales_of(catalog))


def scales_of(catalog: Catalog) -> Mapping[str, Mapping[str, Scale]]:
    """Return what the installed evaluators declare of their figures, by component."""
    specs: list[Any] = [entry.spec for entry in catalog.entries("evaluator")]
    return {spec.name: spec.scales for spec in specs}


def listed(figures: Figures, found: Units) -> list[list[str]]:
    """Return a row for each figure of a result: its name with that of its evaluator, and its value."""
    return [
        [
            f"{evaluator}.{name}",
            found.text(figures[evaluator].get("use", ""), name, values[name], values),
        ]
        for evaluator in evaluators(figures)
        for values in [figures[evaluator]["values"]]
        for name in in_order(values)
    ]


def evaluators(figures: Figures) -> list[str]:
    """Return the evaluators of a result, those of the tables' columns first."""
    return sorted(figures, key=lambda name: (figures[name].get("use") != TABLES, name))


def in_order(names: Iterable[str]) -> list[str]:
    """Order figures as tables have them: recalls by direction and cut-off, rSum, median and mean rank, then others."""
    return sorted(names, key=_place)


def _place(name: str) -> tuple[Any, ...]:
    bare = name.removeprefix(_EXPECTED)
    found = _FIGURE.fullmatch(bare)
    kind = found[2] if found else ""
    place: Sequence[Any] = (len(_KINDS), bare)
    if found and kind in _KINDS:
        place = (_KINDS.index(kind), found[1] or "", int(found[3] or 0))
    return bare != name, *place
