"""Which learning curves are drawn: of all methods a picture could not be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.leaderboard.ablations import MATRIX
from harness.leaderboard.curves import Curve, owned
from harness.leaderboard.effects import chosen
from harness.leaderboard.groups import Group, grouped, names
from harness.leaderboard.losses import STAGES
from harness.leaderboard.rows import Row

MOST = 8
"""Curves that one picture holds."""
_SEED = "each by its lowest seed"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Curves of one dataset, each with its label, and which these are, in a sentence."""

    curves: tuple[tuple[str, Curve], ...]
    about: str


def choose_curves(rows: Sequence[Row], curves: Sequence[Curve]) -> Choice:
    """Choose the cells of the paper's Table 4, else the methods that are best by rSum on val.

    Args:
        rows: of the dataset, of all matrices.
        curves: of the dataset; one that no row speaks of is left out.
    """
    groups = grouped(rows)
    found = owned(groups, curves)
    cells = chosen(grouped(row for row in rows if row.matrix == MATRIX), STAGES)
    variants = {row.fingerprint: name for name, group in cells.items() for row in group.rows}
    of_paper = {variants[curve.run]: curve for _, curve in found if curve.run in variants}
    if len(of_paper) > 1:
        labels = {name: f"{loss}, Stage {stage}" for name, (loss, stage) in STAGES.items()}
        return Choice(
            curves=tuple((labels[name], of_paper[name]) for name in STAGES if name in of_paper),
            about=f"Drawn: losses and stages as in the paper's Table 4, {_SEED}.",
        )
    titles = dict(zip(map(id, groups), names(groups), strict=True))
    best = sorted(found, key=lambda pair: (-_val_rsum(pair[0]), titles[id(pair[0])]))
    some = (
        "all methods that are trained in epochs"
        if len(best) <= MOST
        else f"the best {MOST} of {len(best)} methods by rSum on val"
    )
    return Choice(
        curves=tuple((titles[id(group)], curve) for group, curve in best[:MOST]),
        about=f"Drawn: {some}, {_SEED}.",
    )


def _val_rsum(group: Group) -> float:
    known = [row.val_rsum for row in group.rows if row.val_rsum is not None]
    return sum(known) / len(known) if known else 0.0
