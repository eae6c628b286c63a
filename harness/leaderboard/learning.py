"""Pictures of learning curves: losses with rSum on val, and the errors of the paper's figure 8."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.leaderboard.curves import Curve, EpochRows
from harness.leaderboard.figures import color, label, sealed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

Labelled = Sequence[tuple[str, Curve]]
_NO_LOSS = ("epoch", "loss", "rate", "seconds")
_DASHES = ("-", "--", ":", "-.")


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One stage in a picture: its place among the curves, the epochs before it, its rows."""

    place: int
    start: float
    rows: EpochRows

    def series(self, name: str) -> list[tuple[float, float]]:
        """Return epochs and values of a figure: of the loss that reports it, or of the first of several."""
        points = []
        for row in self.rows:
            found = sorted(key for key in row if key == name or key.endswith(f".{name}"))
            if found:
                points.append((self.start + row["epoch"], row[found[0]]))
        return points


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One pair of axes.

    Args:
        lines: what a dash stands for -> figure of the history.
        scale: a value is drawn as ``scale[0] + scale[1] * value``.
        limits: of the vertical axis; ``None`` for those of the data.
    """

    title: str
    lines: tuple[tuple[str, str], ...]
    scale: tuple[float, float] = (0.0, 1.0)
    limits: tuple[float, float] | None = None
    marker: str = ""

    def shown(self, found: Sequence[Segment]) -> bool:
        """Tell whether a history has any of its figures."""
        return any(segment.series(name) for segment in found for _, name in self.lines)

    def draw(self, axes: Axes, found: Sequence[Segment], count: int) -> None:
        """Draw the figures of all segments; `count` is the number of curves."""
        base, factor = self.scale
        for segment in found:
            for dash, (_, name) in zip(_DASHES, self.lines, strict=False):
                points = segment.series(name)
                axes.plot(
                    [epoch for epoch, _ in points],
                    [base + factor * value for _, value in points],
                    color=color(segment.place, count),
                    linestyle=dash,
                    linewidth=1.2,
                    marker=self.marker,
                    markersize=3,
                )
        for start in sorted({segment.start for segment in found} - {0.0}):
            axes.axvline(start + 0.5, color="0.6", linewidth=0.8, linestyle=":")
        if len(self.lines) > 1:
            for dash, (name, _) in zip(_DASHES, self.lines, strict=False):
                axes.plot([], [], color="0.4", linestyle=dash, label=label(name))
            axes.legend(
                loc="lower right",
                bbox_to_anchor=(1.0, 1.0),
                frameon=False,
                fontsize="small",
                ncols=len(self.lines),
            )
        axes.set_ylabel(self.title)
        axes.set_xlabel("epoch")
        axes.set_xlim(left=0.0)
        axes.locator_params(axis="x", integer=True)
        if self.limits is not None:
            axes.set_ylim(*self.limits)


_BOTH = (("images", "image_ce"), ("captions", "text_ce"))
_ERRORS = tuple(
    Panel(
        title=f"{title} misclassified on train, %",
        lines=(("top-1", f"{path}_top1"), ("top-5", f"{path}_top5")),
        scale=(100.0, -100.0),
        limits=(-1.0, 101.0),
    )
    for title, path in (("images", "image"), ("captions", "text"))
)


def segments(curves: Labelled) -> list[Segment]:
    """Lay the stages of each curve one after the other; what is a curve itself, or drawn already, is left out."""
    drawn, found = {curve.run for _, curve in curves}, []
    for place, (_, curve) in enumerate(curves):
        start = 0.0
        for stage in curve.stages:
            if stage is curve.stages[-1] or stage.run not in drawn:
                found.append(Segment(place=place, start=start, rows=stage.rows))
                drawn.add(stage.run)
            start += max((row["epoch"] for row in stage.rows), default=0.0)
    return found


def loss_panels(curves: Labelled) -> list[Panel]:
    """Return what there is of rSum on val, cross-entropies of both paths, and losses without a cross-entropy."""
    found = segments(curves)
    others = sorted({name for segment in found for row in segment.rows for name in _others(row)})
    panels = [
        Panel(title="rSum on val", lines=(("", "val.rsum"),), marker="."),
        Panel(title="cross-entropy on train", lines=_BOTH),
    ]
    if others:
        title = "loss on train" if len(others) > 1 else f"{others[0]} loss on train"
        panels.append(Panel(title=label(title), lines=tuple((n, n) for n in others[: len(_DASHES)])))
    return [panel for panel in panels if panel.shown(found)]


def error_panels(curves: Labelled) -> list[Panel]:
    """Return what there is of the top-1 and top-5 errors of both paths."""
    found = segments(curves)
    return [panel for panel in _ERRORS if panel.shown(found)]


def draw_panels(curves: Labelled, choose: Callable[[Labelled], list[Panel]]) -> str:
    """Draw panels side by side, one colour a curve, above them the names of those that are in one."""
    found, panels = segments(curves), choose(curves)
    places = {s.place for s in found for panel in panels if panel.shown([s])}

    def draw(figure: Figure) -> None:
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            panel.draw(axes, found, len(curves))
        figure.legend(
            handles=[_handle(place, curves[place][0], len(curves)) for place in sorted(places)],
            loc="outside upper center",
            frameon=False,
            ncols=2,
        )

    return sealed(drawn(curves), draw, size=(3.6 * max(len(panels), 2) + 1.2, 3.6 + 0.1 * len(curves)))


def drawn(curves: Labelled) -> list[object]:
    """Return all that a picture depends on, in JSON's types."""
    return [
        [name, [[stage.run, [dict(row) for row in stage.rows]] for stage in curve.stages]]
        for name, curve in curves
    ]


def _others(row: Mapping[str, float]) -> list[str]:
    """Return the losses of a row that report no cross-entropy, such as ranking."""
    return [
        name for name in row if "." not in name and name not in _NO_LOSS and f"{name}.image_ce" not in row
    ]


def _handle(place: int, name: str, count: int) -> Line2D:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=color(place, count), label=label(name))
