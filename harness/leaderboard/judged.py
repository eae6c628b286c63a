"""Below a table: figures of evaluators that know more than one right answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.leaderboard.groups import Group, mark, names, passport_letters
from harness.leaderboard.markdown import escape, pipe_table
from harness.leaderboard.tables import cell


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The figures of one evaluator that are shown.

    Args:
        evaluator: its name in registry.yaml.
        about: what is judged, and by whom.
        columns: figure -> header. Figures are shown times 100, as their literature does.
    """

    evaluator: str
    title: str
    about: str
    columns: dict[str, str]


_MULTIPLE = {
    "i2t.map@r": "i2t mAP@R",
    "i2t.r_precision": "i2t R-Precision",
    "i2t.recall@1": "i2t R@1",
    "t2i.map@r": "t2i mAP@R",
    "t2i.r_precision": "t2i R-Precision",
    "t2i.recall@1": "t2i R@1",
}
JUDGED = (
    Judged(
        evaluator="eccv-caption",
        title="ECCV Caption",
        about="The same ranking under labels that people checked for five models' first ranks (Chun et al., ECCV "
        "2022): 1,261 images and 1,332 captions as queries, several right answers each. Times 100.",
        columns=_MULTIPLE,
    ),
    Judged(
        evaluator="cxc",
        title="Crisscrossed Captions",
        about="The same ranking under the labels of CxC (Parekh et al., EACL 2021): captions and images that people "
        "rated as matching beside their own. Times 100.",
        columns=_MULTIPLE,
    ),
    Judged(
        evaluator="expert-judgments",
        title="Agreement with people",
        about="Do scores of pairs of test images and captions, most of them not written for each other, order as "
        "people's grades do (Hodosh et al., JAIR 2013)? Kendall's rank correlation with the mean of three experts' "
        "grades and with each grade for itself (Flickr8k-Expert of the literature), nDCG of the judged captions of an "
        "image (0.744 of 1 at random), and correlation with the share of a crowd that said yes. Times 100.",
        columns={
            "expert.kendall_tau_b": "experts τ-b",
            "expert.judgments.kendall_tau_c": "each expert τ-c",
            "expert.ndcg": "nDCG",
            "crowd.kendall_tau_b": "crowd τ-b",
        },
    ),
)


def judged_sections(groups: Sequence[Group]) -> list[str]:
    """Render a table for each evaluator of `JUDGED` that any of the methods has figures of."""
    sections: list[str] = []
    for judged in JUDGED:
        table = _table(judged, groups)
        if table:
            sections += [f"## {judged.title}", judged.about, table]
    return sections


def _table(judged: Judged, groups: Sequence[Group]) -> str:
    letters, rows = passport_letters(groups), []
    for group, name in zip(groups, names(groups), strict=True):
        figures = [group.statistic(f"{judged.evaluator}.{column}", 100.0) for column in judged.columns]
        if any(figures):
            first = figures[0].mean if figures[0] else -1.0
            rows.append(
                (-first, [escape(name) + mark(group, letters), *map(cell, figures), str(len(group.rows))])
            )
    header = ["Method", *judged.columns.values(), "seeds"]
    return pipe_table(header, [row for _, row in sorted(rows)], figures=range(1, len(header))) if rows else ""
