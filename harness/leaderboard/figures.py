"""Figures as SVG that can be checked: each carries a hash of its data and one of its drawing.

Another version of matplotlib may draw the same data in other bytes, so a committed figure is not compared
with a new one. It is fresh if it was drawn from the data that are there now, and was not changed since.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.leaderboard.markdown import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REVISION = 2
"""Rises when the drawing below changes, so that committed figures are seen to be stale."""

MARKERS = "osD^vP*X<>hp"
"""Shapes of points, so that colours are not all that tells them apart."""

_SEAL = re.compile(r"<!-- data sha256:([0-9a-f]{64}) drawing sha256:([0-9a-f]{64}) -->\n\Z")
_STYLE = {
    "svg.hashsalt": "harness",
    "svg.fonttype": "path",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def confusion_figure(shares: Mapping[str, Mapping[str, float]]) -> str:
    """Draw a line for each method, on it a point for each attribute: the share of near-twins confused, in percent."""
    names = sorted({attribute for row in shares.values() for attribute in row})

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        rows = range(len(shares))
        for place, name in enumerate(names):
            values = [row.get(name, math.nan) for row in shares.values()]
            axes.plot(
                values,
                rows,
                color=color(place, len(names)),
                marker=MARKERS[place % len(MARKERS)],
                fillstyle="none",  # one behind another is seen
                markersize=7,
                linestyle="",
                label=label(name),
            )
        axes.axvline(50.0, color="0.4", linewidth=0.8, linestyle="--", label="chance")
        axes.set_yticks(rows, [label(method) for method in shares])
        axes.set_ylim(len(shares) - 0.4, -0.6)
        axes.set_xlabel("near-twins confused, %")
        axes.set_xlim(left=-1.0)
        axes.grid(axis="y", color="0.9", linewidth=0.8)
        axes.set_axisbelow(True)
        _legend(axes)

    return sealed(shares, draw, size=(8.0, 1.6 + 0.22 * len(shares)))


def label(text: str) -> str:
    """Return a text that a figure shows as it stands."""
    # matplotlib reads $ as mathematics, and leaves a label with a leading underscore out of the legend.
    shown = plain(text).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def color(place: int, count: int) -> Any:
    """Return the colour of the curve or bar at `place` of `count`."""
    import matplotlib

    if count > 20:  # of no palette: close to their neighbours, but never the same
        return matplotlib.colormaps["turbo"](place / (count - 1))
    return matplotlib.colormaps["tab10" if count <= 10 else "tab20"](place)


def _legend(axes: Axes) -> None:
    axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), frameon=False, ncols=6)


def sealed(data: Any, draw: Any, size: tuple[float, float]) -> str:
    """Draw, without date or version, and append both hashes."""
    import matplotlib.style
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.style.context(["default", _STYLE]):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    # Lines that end in spaces are noise in a diff.
    drawing = "\n".join(line.rstrip() for line in buffer.getvalue().split("\n")).rstrip("\n") + "\n"
    return f"{drawing}<!-- data sha256:{data_hash(data)} drawing sha256:{_hash(drawing)} -->\n"


def data_hash(data: Any) -> str:
    """Return the hash of what a figure shows."""
    return _hash(json.dumps([REVISION, data], sort_keys=True, allow_nan=False))


def fresh(svg: str, data: Any) -> bool:
    """Tell whether a figure was drawn from these data and not changed since."""
    seal = _SEAL.search(svg)
    return seal is not None and seal[1] == data_hash(data) and seal[2] == _hash(svg[: seal.start()])


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
