"""Figures of evaluators for people: in the order of the tables, each in its unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.cli.figures import Figures

if TYPE_CHECKING:
    from harness.catalog import Catalog
    from harness.specs import Scale

_EXPECTED = "expected."


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
    """Return a row for each figure of a result: its name with that of its evaluator, and its value.

    Behind a figure stands the interval that its entry has.
    """
    from harness.export.readings import evaluators, in_order

    def text(entry: Mapping[str, Any], name: str) -> str:
        whole = (entry["values"][name], *entry.get("intervals", {}).get(name, ()))
        value, *bounds = (found.text(entry.get("use", ""), name, v, entry["values"]) for v in whole)
        return f"{value} ({' to '.join(bounds)})" if bounds else value

    return [
        [f"{evaluator}.{name}", text(figures[evaluator], name)]
        for evaluator in evaluators(figures)
        for name in in_order(figures[evaluator]["values"])
    ]
