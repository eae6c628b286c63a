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

REVISION = 1
"""Rises when the drawing below changes, so that committed figures are seen to be stale."""

_SEAL = re.compile(r"<!-- data sha256:([0-9a-f]{64}) drawing sha256:([0-9a-f]{64}) -->\n\Z")
_STYLE = {
    "svg.hashsalt": "harness",
    "svg.fonttype": "path",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def confusion_figure(shares: Mapping[str, Mapping[str, float]]) -> str:
    """Draw bars: for each attribute, the share of near-twins that each method confuses, in percent."""
    names = sorted({attribute for row in shares.values() for attribute in row})

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        width = 0.8 / max(len(shares), 1)
        for place, (method, row) in enumerate(shares.items()):
            at = [index + (place - (len(shares) - 1) / 2) * width for index in range(len(names))]
            heights = [row.get(name, math.nan) for name in names]
            axes.bar(at, heights, width, label=label(method), color=color(place, len(shares)))
        axes.axhline(50.0, color="0.4", linewidth=0.8, linestyle="--")
        axes.text(
            1.0, 50.0, "chance", transform=axes.get_yaxis_transform(), ha="right", va="bottom", color="0.4"
        )
        axes.set_xticks(range(len(names)), [label(name) for name in names])
        axes.set_ylabel("near-twins confused, %")
        axes.set_ylim(bottom=0.0)
        _legend(axes)

    return sealed(shares, draw, size=(8.0, 3.6 + 0.12 * len(shares)))


def label(text: str) -> str:
    """Return a text that a figure shows as it stands."""
    # matplotlib reads $ as mathematics, and leaves a label with a leading underscore out of the legend.
    shown = plain(text).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def color(place: int, count: int) -> Any:
    """Return the colour of the curve or bar at `place` of `count`."""
    import matplotlib

    colors = matplotlib.colormaps["tab10" if count <= 10 else "tab20"]
    return colors(place % colors.N)


def _legend(axes: Axes) -> None:
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, fontsize="small", ncols=2)


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
