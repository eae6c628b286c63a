"""Losses and stages side by side with the paper's Table 4: rows, order, main effects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.leaderboard.design import Design, Pair
from harness.leaderboard.effects import Cells, Effect, Weights, bare_probability, signed
from harness.leaderboard.markdown import pipe_table
from harness.leaderboard.paper import PaperTable
from harness.leaderboard.published import NONE

STAGES = {
    "ranking": ("ranking", "I"),
    "instance": ("instance", "I"),
    "both": ("both", "I"),
    "ranking-two": ("ranking", "II"),
    "instance-two": ("instance", "II"),
    "full": ("both", "II"),
}
"""Variant -> its loss and stage."""
_CELL = {place: variant for variant, place in STAGES.items()}
_LOSSES = ("ranking", "instance", "both")


def losses_design(paper: PaperTable) -> Design:
    """Return the layout of Table 4, in the paper's order."""
    return Design(
        title="Losses and stages (the paper's Table 4)",
        header=("Loss", "Stage"),
        rows={name: STAGES[name] for name in dict.fromkeys([*paper.rows, *STAGES])},
        printed=("i2t.recall@1", "i2t.recall@10", "t2i.recall@1", "t2i.recall@10"),
        pairs=(
            Pair(more="instance", less="ranking", text="Stage I: instance above ranking"),
            Pair(more="instance", less="both", text="Stage I: instance above both"),
            Pair(more="full", less="instance-two", text="Stage II: both above instance"),
            Pair(more="full", less="ranking-two", text="Stage II: both above ranking"),
        ),
        paper=paper,
        contrasts=EFFECTS,
    )


_MEAN = {"I": 0.5, "II": 0.5}
_GAIN = {"I": -1.0, "II": 1.0}


def _contrast(more: str, less: str, stages: Mapping[str, float]) -> dict[str, float]:
    """Return weights of the difference of two losses, itself weighted over the stages."""
    sides = ((more, 1.0), (less, -1.0))
    return {_CELL[loss, stage]: side * weight for loss, side in sides for stage, weight in stages.items()}


EFFECTS: Mapping[str, Weights] = {
    "Stage: II less I, mean over the losses": {
        _CELL[loss, stage]: side / len(_LOSSES) for loss in _LOSSES for stage, side in _GAIN.items()
    },
    "Loss: instance less ranking, mean over the stages": _contrast("instance", "ranking", _MEAN),
    "Loss: both less instance, mean over the stages": _contrast("both", "instance", _MEAN),
    "Loss: both less ranking, mean over the stages": _contrast("both", "ranking", _MEAN),
    "Interaction: instance less ranking, in Stage II less that in Stage I": _contrast(
        "instance", "ranking", _GAIN
    ),
    "Interaction: both less instance, in Stage II less that in Stage I": _contrast("both", "instance", _GAIN),
}
"""Name -> weight of each cell."""


def main_effects(cells: Cells, effects: Mapping[str, Effect]) -> list[str]:
    """Render main effects and interaction on rSum with their intervals, or say why there are none."""
    if not EFFECTS.keys() & effects.keys():
        return [f"Main effects of loss and stage need cells of both stages: {cells.lacking(STAGES)}."]
    return [
        "Main effects on rSum:",
        pipe_table(
            ("Effect", "difference", "95 % interval", "p (Holm)"),
            [
                (name, *_effect(effects[name]))
                if name in effects
                else (name, NONE, f"{NONE} ({cells.lacking(weights)})", NONE)
                for name, weights in EFFECTS.items()
            ],
            figures=(1, 2, 3),
        ),
    ]


def _effect(effect: Effect) -> tuple[str, str, str]:
    probability = NONE if effect.adjusted is None else bare_probability(effect.adjusted)
    return signed(effect.difference), effect.interval or NONE, probability


def table_four(variants: Iterable[str]) -> bool:
    """Tell whether there is more of Table 4 among these variants than the reference."""
    return any(name in STAGES for name in variants if name != "instance")
