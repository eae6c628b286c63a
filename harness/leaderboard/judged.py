"""Below a table: figures of evaluators that know more than one right answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.leaderboard.groups import (
    Group,
    Statistic,
    mark,
    names,
    passport_letters,
    short,
)
from harness.leaderboard.markdown import escape, pipe_table
from harness.leaderboard.questions import protocol_lines
from harness.leaderboard.rows import Row
from harness.leaderboard.tables import cell, source
from harness.passport import passport
from harness.statistics import Interval


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

    @property
    def keys(self) -> tuple[str, ...]:
        """The metrics of a row that stand in the columns."""
        return tuple(f"{self.evaluator}.{column}" for column in self.columns)


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
        "image (0.743 of 1 at random), and correlation with the share of a crowd that said yes. Times 100.",
        columns={
            "expert.kendall_tau_b": "experts τ-b",
            "expert.judgments.kendall_tau_c": "each expert τ-c",
            "expert.ndcg": "nDCG",
            "crowd.kendall_tau_b": "crowd τ-b",
        },
    ),
)


_BRACKETS = (
    "In brackets: 95 % interval over the test images (bootstrap, the captions of an image move together), of several "
    "seeds the mean of their bounds. It says nothing of other seeds."
)
_WITHOUT = (
    "Rows without one were judged before intervals were kept: `harness rescore --publish` computes them."
)


@dataclass(frozen=True)
class JudgedGroup(Group):
    """A method as one evaluator judged it: its protocol has that evaluator in place of those of recall."""

    evaluator: str = field(kw_only=True)

    @property
    def protocol(self) -> Mapping[str, str]:
        """What its figures may be compared with, the labels included."""
        told = self.first.evaluators.get(self.evaluator, "not kept")
        return {**self.first.protocol, f"figures of {self.evaluator}": told} if self.first.protocol else {}

    @property
    def passport(self) -> str:
        """The hash of it."""
        return passport(self.protocol) if self.protocol else self.first.passport


def judged_sections(groups: Sequence[Group]) -> list[str]:
    """Render a table for each evaluator of `JUDGED` that any of the methods has figures of."""
    sections: list[str] = []
    for judged in JUDGED:
        named = _groups(judged, groups)
        if named:
            found = [group for _, group in named]
            known = [_intervals(judged, group) for group in found]
            notes = [_BRACKETS] if any(known) else []
            notes += [_WITHOUT] if any(known) and not all(known) else []
            notes += protocol_lines(found, judged.evaluator)
            sections += [f"## {judged.title}", judged.about, _table(judged, named)]
            sections += ["\n".join(f"- {note}" for note in notes)] if notes else []
    return sections


def _groups(judged: Judged, groups: Sequence[Group]) -> list[tuple[str, JudgedGroup]]:
    """Return the methods that have figures, by name; one whose seeds were judged by other labels is taken apart."""
    found = []
    for group, name in zip(groups, names(groups), strict=True):
        by: dict[str, list[Row]] = {}
        for row in group.rows:
            if any(key in row.metrics for key in judged.keys):
                by.setdefault(row.evaluators.get(judged.evaluator, ""), []).append(row)
        found += [
            (name, JudgedGroup(tuple(rows), group.failed, evaluator=judged.evaluator)) for rows in by.values()
        ]
    return found


def _intervals(judged: Judged, group: JudgedGroup) -> bool:
    return any(group.interval(key) for key in judged.keys)


def _table(judged: Judged, named: Sequence[tuple[str, JudgedGroup]]) -> str:
    letters, rows = passport_letters(group for _, group in named), []
    for name, group in named:
        figures = [(group.statistic(key, 100.0), group.interval(key, 100.0)) for key in judged.keys]
        first = figures[0][0].mean if figures[0][0] else -101.0
        told = [group.seeds, source(group), f"`{short(group.passport)}`"]
        rows.append(
            (-first, [escape(name) + mark(group, letters), *(_cell(*pair) for pair in figures), *told])
        )
    header = ["Method", *judged.columns.values(), "seeds", "source", "passport"]
    return pipe_table(header, [row for _, row in sorted(rows)], figures=range(1, len(header) - 2))


def _cell(figure: Statistic | None, interval: Interval | None) -> str:
    reach = f" ({interval.low:.1f} to {interval.high:.1f})" if figure and interval else ""
    return f"{cell(figure)}{reach}"
