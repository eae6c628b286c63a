"""The figures of `leaderboards/`: what each is drawn from, and how the pages show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from harness.leaderboard.boards import SHAPES
from harness.leaderboard.choice import Choice, choose_curves
from harness.leaderboard.curves import Curve
from harness.leaderboard.figures import confusion_figure
from harness.leaderboard.groups import grouped
from harness.leaderboard.learning import draw_panels, drawn, error_panels, loss_panels, segments
from harness.leaderboard.matrices import crossed
from harness.leaderboard.rows import Row
from harness.leaderboard.twins import plotted

CONFUSION = "figures/shapes-confusion.svg"
Curves = Mapping[str, Sequence[Curve]]


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure that is not drawn yet: its data in JSON's types, and what draws it."""

    data: Any
    draw: Callable[[], str]


def drawings(rows: Sequence[Row], curves: Curves) -> dict[str, Drawing]:
    """Return the figures by their path below the leaderboards."""
    found: dict[str, Drawing] = {}
    for dataset, stored in curves.items():
        choice = choose_curves([row for row in rows if row.dataset == dataset], stored)
        found |= _learning(dataset, choice)
    # A matrix of several choices has a table of its own, and too many cells for one picture.
    shapes = [row for row in rows if SHAPES.holds(row)]
    tables = crossed(shapes)
    shares = plotted(grouped(row for row in shapes if row.matrix not in tables))
    if shares:
        found[CONFUSION] = Drawing(data=shares, draw=partial(confusion_figure, shares))
    return found


def _learning(dataset: str, choice: Choice) -> dict[str, Drawing]:
    data = drawn(choice.curves)
    panels = {"losses": loss_panels, "convergence": error_panels}
    return {
        _file(dataset, name): Drawing(data=data, draw=partial(draw_panels, choice.curves, chosen))
        for name, chosen in panels.items()
        if chosen(choice.curves)
    }


def learning_curves(rows: Sequence[Row], curves: Curves) -> list[str]:
    """Render the section of one page: each dataset's figures, and what is drawn of it."""
    sections = []
    for dataset in sorted({row.dataset for row in rows} & curves.keys()):
        choice = choose_curves([row for row in rows if row.dataset == dataset], curves[dataset])
        if loss_panels(choice.curves):
            data = f"All of them: [curves/{dataset}.json](curves/{dataset}.json)."
            stages = f" {_STAGES}" if any(part.start for part in segments(choice.curves)) else ""
            sections += [f"{choice.about}{stages} {data}", f"![{_LOSSES}]({_file(dataset, 'losses')})"]
        if error_panels(choice.curves):
            sections += [_CONVERGENCE, f"![{_ERRORS}]({_file(dataset, 'convergence')})"]
    return ["## Learning curves", *sections] if sections else []


def _file(dataset: str, name: str) -> str:
    return f"curves/{dataset}-{name}.svg"


_LOSSES = "rSum on val and losses on train, by epoch"
_ERRORS = "Top-1 and top-5 classification error of images and captions on train, by epoch"
_STAGES = (
    "Stage II stands right of the Stage I that it starts from, behind a dotted line; a Stage I that several start "
    "from is drawn once."
)
_CONVERGENCE = (
    "Convergence, as in the paper's figure 8: the share of train images and captions whose class is not the first, "
    "or not among the first five, of W_share, by the methods above that classify. It is the mean over an epoch's "
    "batches, with dropout and augmentation on."
)
