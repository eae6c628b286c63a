"""What each change of a recipe does to rSum, and the ablations that the paper printed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.leaderboard.groups import Group, grouped, names, passport_letters, statistic
from harness.leaderboard.markdown import escape, pipe_table
from harness.leaderboard.provenance import how_measured
from harness.leaderboard.published import NONE, read_csv
from harness.leaderboard.rows import Row, natural
from harness.leaderboard.tables import OTHER_PROTOCOL, cell, duration, millions, spread

MATRIX = "ablations"
REFERENCES = ("full", "instance")
EVALUATOR = "recall"
FILL = ("harness run --matrix ablations",)
_FIGURES = ("i2t R@1", "t2i R@1", "rSum", "seeds", "Δ rSum", "pairs", "parameters", "training")
_PAPER = {
    "table4_loss_ablation_flickr30k_val.csv": "Losses, Flickr30k val, ResNet-50 (the paper's Table 4)",
    "table5_kclass_coco.csv": "Pseudo-classes against instance loss, MSCOCO (the paper's Table 5)",
}


def ablations_page(rows: Sequence[Row], folder: Path) -> list[str]:
    """Return the sections: one table a dataset, then the paper's own."""
    own = [row for row in rows if row.matrix == MATRIX]
    sections = [
        "# Ablations",
        "One change at a time against a reference variant. Δ rSum is the mean difference over those seeds "
        "that both were run with (pairs), ± its standard deviation; one pair alone says little.",
    ]
    for dataset in sorted({row.dataset for row in own}, key=natural):
        members = [row for row in own if row.dataset == dataset]
        groups = sorted(grouped(members), key=lambda group: [natural(label) for label in group.labels])
        base = reference(groups)
        groups = [base, *(group for group in groups if group is not base)]
        sections += [f"## {escape(members[0].dataset_title)}", _table(groups)]
        sections += [_notes(groups), how_measured(members, FILL)]
    if not own:
        sections.append(how_measured((), FILL))
    for file, title in _PAPER.items():
        records = read_csv(folder / file)
        if records:
            sections += [
                f"## Published: {title}",
                f"As [{file}](published/{file}) has it, with its own words on certainty.",
                pipe_table(
                    [escape(name) for name in records[0]],
                    [[escape(text, longest=300) or NONE for text in record.values()] for record in records],
                    figures=(),
                ),
            ]
    return sections


def printed(folder: Path) -> int:
    """Return how many published rows the page shows."""
    return sum(len(read_csv(folder / file)) for file in _PAPER)


def reference(groups: Sequence[Group]) -> Group:
    """Return the group with the label `full`, else the first."""
    return next((group for name in REFERENCES for group in groups if name in group.labels), groups[0])


def _table(groups: Sequence[Group]) -> str:
    base, letters = groups[0], passport_letters(groups)
    cells = []
    for group, name in zip(groups, names(groups), strict=True):
        row = group.first
        letter = f" \\[{letters[row.passport]}\\]" if letters else ""
        cells.append(
            [
                (", ".join(escape(label) for label in group.labels) or NONE) + letter,
                escape(name),
                cell(group.statistic(f"{EVALUATOR}.i2t.recall@1", 100.0)),
                cell(group.statistic(f"{EVALUATOR}.t2i.recall@1", 100.0)),
                cell(group.rsum(EVALUATOR)),
                str(len(group.rows)),
                *_difference(group, base),
                spread([millions(member.parameters) for member in group.rows]),
                duration(sum(member.train_seconds for member in group.rows) / len(group.rows)),
            ]
        )
    return pipe_table(("Variant", "Method", *_FIGURES), cells, figures=range(2, 2 + len(_FIGURES)))


def _difference(group: Group, base: Group) -> tuple[str, str]:
    if group is base:
        return "reference", NONE
    if group.first.passport != base.first.passport:
        return "other protocol", NONE
    own, other = group.rsums(EVALUATOR), base.rsums(EVALUATOR)
    seeds = sorted(own.keys() & other.keys())
    if not seeds:
        return NONE, "0"
    change = statistic([own[seed] - other[seed] for seed in seeds])
    sign = "+" if change.mean > 0 else ""
    return sign + change.text(), str(change.n)


def _notes(groups: Sequence[Group]) -> str:
    base = groups[0]
    note = f"Reference: {', '.join(escape(label) for label in base.labels) or escape(base.first.title)}."
    if passport_letters(groups):
        note += f" {OTHER_PROTOCOL}."
    return note
