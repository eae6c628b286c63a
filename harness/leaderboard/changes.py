"""Each change of a recipe against a reference variant: what it does to rSum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.leaderboard.groups import Group, mark, names, statistic
from harness.leaderboard.markdown import escape, pipe_table
from harness.leaderboard.published import NONE
from harness.leaderboard.questions import question, verdict
from harness.leaderboard.tables import EVALUATOR, cell, parameters, training

REFERENCES = ("instance", "full")
ABOUT = (
    "One change at a time against a reference variant. Δ rSum is the mean difference over those seeds that both "
    "were run with (pairs), ± its standard deviation; one pair alone says little."
)
_FIGURES = ("i2t R@1", "t2i R@1", "rSum", "seeds", "Δ rSum", "pairs", "parameters", "training")


def changes(groups: Sequence[Group], letters: Mapping[str, str]) -> list[str]:
    """Render the table and what it needs to be read: the first group is the reference, `letters` tell protocols."""
    return [_table(groups, letters), _notes(groups, letters)]


def reference(groups: Sequence[Group]) -> Group:
    """Return the group with the label `instance`, else `full`, else the first."""
    return next((group for name in REFERENCES for group in groups if name in group.labels), groups[0])


def _table(groups: Sequence[Group], letters: Mapping[str, str]) -> str:
    base, cells = groups[0], []
    for group, name in zip(groups, names(groups), strict=True):
        cells.append(
            [
                (", ".join(escape(label) for label in group.labels) or NONE) + mark(group, letters),
                escape(name),
                cell(group.statistic(f"{EVALUATOR}.i2t.recall@1", 100.0)),
                cell(group.statistic(f"{EVALUATOR}.t2i.recall@1", 100.0)),
                cell(group.rsum(EVALUATOR)),
                group.seeds,
                *_difference(group, base),
                parameters(group),
                training(group),
            ]
        )
    return pipe_table(("Variant", "Method", *_FIGURES), cells, figures=range(2, 2 + len(_FIGURES)))


def _difference(group: Group, base: Group) -> tuple[str, str]:
    if group is base:
        return "reference", NONE
    if question(group, EVALUATOR) != question(base, EVALUATOR):
        return "other protocol", NONE
    own, other = group.rsums(EVALUATOR), base.rsums(EVALUATOR)
    seeds = sorted(own.keys() & other.keys())
    if not seeds:
        return NONE, "0"
    change = statistic([own[seed] - other[seed] for seed in seeds])
    sign = "+" if change.mean > 0 else ""
    return sign + change.text(), str(change.n)


def _notes(groups: Sequence[Group], letters: Mapping[str, str]) -> str:
    base = groups[0]
    note = f"Reference: {', '.join(escape(label) for label in base.labels) or escape(base.first.title)}."
    if letters:
        note += f" {verdict(groups, EVALUATOR, letters)}."
    return note
