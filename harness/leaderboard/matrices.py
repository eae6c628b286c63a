"""Every other matrix of more than one choice: its cells by their labels, and what each choice does."""

from __future__ import annotations

from collections.abc import Sequence

from harness.leaderboard.effects import bare_probability, signed
from harness.leaderboard.groups import Group, mark, passport_letters
from harness.leaderboard.markdown import escape, pipe_table
from harness.leaderboard.published import NONE
from harness.leaderboard.questions import protocol_lines, question
from harness.leaderboard.ranks import Ranks
from harness.leaderboard.rows import Row, natural
from harness.leaderboard.tables import (
    EVALUATOR,
    cell,
    certainty,
    corrected,
    known,
    parameters,
    span,
    training,
)
from harness.leaderboard.uncertainty import Uncertainty
from harness.statistics import Cell, attribution, holm

_COMMON = ("dataset", "seed")
_FIGURES = ("i2t R@1", "t2i R@1", "rSum", "95 %", "group", "seeds", "epochs", "parameters", "training")


def crossed(rows: Sequence[Row]) -> list[str]:
    """Return the matrices whose cells differ on two axes or more beside dataset and seed, by name."""
    axes: dict[str, set[str]] = {}
    for row in rows:
        axes.setdefault(row.matrix, set()).update(row.labels.keys() - set(_COMMON))
    return sorted((name for name, found in axes.items() if len(found) > 1), key=natural)


def matrix_sections(groups: Sequence[Group], ranks: Ranks) -> list[str]:
    """Render the groups of one matrix on one dataset."""
    certain = Uncertainty(groups, EVALUATOR, ranks)
    axes = [axis for axis in groups[0].first.labels if axis not in _COMMON]
    ordered = sorted(groups, key=lambda group: [natural(group.first.labels.get(axis, "")) for axis in axes])
    letters = passport_letters(groups)
    cells = [_cells(group, axes, certain, letters) for group in ordered]
    compared = (
        "Rows that share a letter in `group` cannot be told apart by rSum at 5 %: paired tests over images and "
        f"seeds, {corrected(certain.pairs)}. "
        if certain.pairs
        else ""
    )
    sections = [
        pipe_table([*map(escape, axes), *_FIGURES], cells, figures=range(len(axes), len(axes) + 3)),
        f"{compared}The interval is over test images.",
        *protocol_lines(groups, EVALUATOR),
    ]
    return [*sections, *_effects(ordered, axes, certain)]


def _cells(group: Group, axes: Sequence[str], certain: Uncertainty, letters: dict[str, str]) -> list[str]:
    return [
        *(escape(group.first.labels.get(axis, "")) or NONE for axis in axes),
        cell(group.statistic(f"{EVALUATOR}.i2t.recall@1", 100.0)),
        cell(group.statistic(f"{EVALUATOR}.t2i.recall@1", 100.0)),
        cell(group.rsum(EVALUATOR)) + mark(group, letters),
        *certainty(certain.of(group)),
        group.seeds,
        span(known(row.epochs for row in group.rows)),
        parameters(group),
        training(group),
    ]


def _effects(groups: Sequence[Group], axes: Sequence[str], certain: Uncertainty) -> list[str]:
    """Render the main effects, where all groups have ranks and were asked the same."""
    samples = [certain.samples(group) for group in groups]
    if not all(samples) or len({question(group, EVALUATOR) for group in groups}) > 1:
        return []
    found = attribution(
        [
            Cell(labels={axis: group.first.labels[axis] for axis in axes}, samples=own)
            for group, own in zip(groups, samples, strict=True)
        ]
    )
    adjusted = holm([effect.effect.p_value for effect in found])
    lines = [
        [
            escape(effect.axis),
            f"{escape(effect.label)} in place of {escape(effect.reference)}",
            signed(effect.effect.difference),
            f"{signed(effect.effect.interval.low)} to {signed(effect.effect.interval.high)}",
            bare_probability(p),
        ]
        for effect, p in zip(found, adjusted, strict=True)
    ]
    if not lines:
        return []
    over = "images and seeds" if found[0].effect.over_seeds else "images alone: one seed a cell"
    return [
        f"What each choice does to rSum, the others as they are (least squares over the cells; 95 % interval, "
        f"each by itself, over {over}; p corrected for {len(lines)} effects):",
        pipe_table(["axis", "choice", "Δ rSum", "95 %", "p (Holm)"], lines, figures=(2, 4)),
    ]
