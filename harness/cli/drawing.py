"""Draws what `harness explain` found: the image, and a bar for each word."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

from harness.cli.console import plain

if TYPE_CHECKING:
    from harness.execute.importance import Importance
    from harness.protocols.datasets import Pixels

SIDE = 480
"""Pixels of the drawn image's longer side."""
REMARKS = {"unknown": "not in the vocabulary", "unread": "not read"}
"""What is said of a word that changes nothing."""
_STYLE = {"svg.hashsalt": "harness", "svg.fonttype": "path", "font.size": 9.0}


def draw(found: Importance, pixels: Pixels, kind: str) -> bytes:
    """Return a figure as ``svg`` or ``png``; equal inputs give equal bytes, and no path or date is in them."""
    import matplotlib.style
    from matplotlib.figure import Figure

    height = max(3.0, 0.26 * len(found.words) + 1.2)
    buffer = io.BytesIO()
    with matplotlib.style.context(["default", _STYLE]), warnings.catch_warnings():
        # A script that the font lacks is drawn as boxes; the table has the word.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure(figsize=(9.0, height), layout="constrained", dpi=150)
        left, right = figure.subplots(1, 2, width_ratios=(2, 3))
        left.imshow(_reduced(pixels))
        left.set_axis_off()
        _bars(right, found)
        metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
        figure.savefig(buffer, format=kind, metadata=metadata)
    return buffer.getvalue()


def _bars(axes: Any, found: Importance) -> None:
    places = range(len(found.words))
    changes = [word.change for word in found.words]
    colors = ["tab:red" if change < 0 else "tab:blue" for change in changes]
    axes.barh(places, changes, color=colors)
    axes.set_yticks(places, [_text(word.word) for word in found.words])
    axes.invert_yaxis()
    axes.axvline(0.0, color="0.3", linewidth=0.8)
    for place, word in zip(places, found.words, strict=True):
        if word.state != "read":
            axes.text(0.0, place, f" {REMARKS[word.state]}", va="center", color="0.4", fontsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("score without the word minus score of the whole (negative: it mattered)")
    axes.set_title(f"score of the whole {found.score:.3f}", fontsize="medium")


def _text(word: str) -> str:
    # matplotlib reads $ as mathematics.
    return plain(word).replace("$", r"\$")


def _reduced(pixels: Pixels) -> Any:
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((SIDE, SIDE))
    return image
