"""One ablation of the paper and what was measured of it, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.leaderboard.effects import Cells, Effect, Weights, signed
from harness.leaderboard.groups import Group, mark
from harness.leaderboard.markdown import escape, pipe_table
from harness.leaderboard.paper import CERTAINTY, NOT_PRINTED, PaperTable
from harness.leaderboard.published import NONE
from harness.leaderboard.tables import cell

MEASURED = ("i2t.recall@1", "i2t.recall@10", "t2i.recall@1", "t2i.recall@10")


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two variants of which the paper has the first ahead."""

    more: str
    less: str
    text: str

    @property
    def name(self) -> str:
        """The claim as a key: texts of two pairs may be the same."""
        return f"{self.more} above {self.less}"

    @property
    def weights(self) -> Weights:
        """The difference as a contrast."""
        return {self.more: 1.0, self.less: -1.0}


@dataclass(frozen=True, kw_only=True)
class Design:
    """How an ablation of the paper is laid out.

    Args:
        header: of the columns that name a row.
        rows: variant -> what stands in these columns.
        printed: recalls that the paper gives.
        pairs: its claims.
        contrasts: further differences by name, such as main effects.
    """

    title: str
    header: tuple[str, ...]
    rows: Mapping[str, tuple[str, ...]]
    printed: tuple[str, ...]
    pairs: tuple[Pair, ...]
    paper: PaperTable
    contrasts: Mapping[str, Weights] = field(default_factory=dict)

    def asked(self) -> dict[str, Weights]:
        """Return all that is tested, by name: the claims and the contrasts."""
        return {pair.name: pair.weights for pair in self.pairs} | dict(self.contrasts)

    def published(self) -> str:
        """Render what the paper prints, and nothing measured."""
        rows = [[*self.rows[name], *self._printed(name)] for name in self.rows if name in self.paper.rows]
        return pipe_table([*self.header, *self._columns("")], rows, figures=self._figures(rows))

    def side_by_side(self, cells: Cells, evaluator: str, letters: Mapping[str, str]) -> str:
        """Render published and measured columns of every row; `letters` tell protocols apart."""
        rows = [
            [*names, *self._printed(name), *_measured(cells.groups.get(name), evaluator, letters)]
            for name, names in self.rows.items()
        ]
        header = [*self.header, *self._columns("published: ")]
        header += [f"measured: {_title(MEASURED[0])}", *map(_title, MEASURED[1:]), "rSum", "seeds"]
        return pipe_table(header, rows, figures=self._figures(rows))

    def order(self, cells: Cells, effects: Mapping[str, Effect]) -> str:
        """Say of each claim whether it holds, as a list of sentences; `effects` are the answers to `asked`."""
        return "\n".join(
            f"- {_sentence(pair, cells, effects.get(pair.name), self.paper)}" for pair in self.pairs
        )

    def _columns(self, prefix: str) -> list[str]:
        first, *others = map(_title, self.printed)
        return [prefix + first, *others, CERTAINTY]

    def _printed(self, name: str) -> list[str]:
        row = self.paper.rows.get(name, NOT_PRINTED)
        return [*row.cells(self.printed), self.paper.marks(row)]

    def _figures(self, rows: list[list[str]]) -> set[int]:
        certainty = len(self.header) + len(self.printed)
        return set(range(len(self.header), max(map(len, rows), default=0))) - {certainty}


def setting(cells: Cells) -> str:
    """Say on what data and with which networks the measured side stands."""
    rows = [row for group in cells.groups.values() for row in group.rows]
    sizes = dict.fromkeys(f"{row.dataset_title} test, {row.images:,} images" for row in rows)
    visual = dict.fromkeys(row.visual for row in rows if row.visual)
    textual = dict.fromkeys(row.textual for row in rows if row.textual)
    return "; ".join(escape(text) for names in (sizes, visual, textual) for text in names)


def _title(column: str) -> str:
    side, recall = column.split(".")
    return f"{side} {recall.replace('recall', 'R')}"


def _measured(group: Group | None, evaluator: str, letters: Mapping[str, str]) -> list[str]:
    if group is None:
        return [NONE] * (len(MEASURED) + 2)
    return [
        *(cell(group.statistic(f"{evaluator}.{column}", 100.0)) for column in MEASURED),
        cell(group.rsum(evaluator)) + mark(group, letters),
        group.seeds,
    ]


def _sentence(pair: Pair, cells: Cells, effect: Effect | None, paper: PaperTable) -> str:
    change = paper.difference(pair.more, pair.less)
    published = f" Published: {change} in R@1 (i2t and t2i)." if change else ""
    if effect is None:
        return f"{pair.text}: **cannot be told**, {cells.lacking((pair.more, pair.less))}.{published}"
    told = f"{effect.interval}; {effect.probability}" if effect.interval else "no interval"
    return f"{pair.text}: **{effect.verdict}{effect.scope}**, {signed(effect.difference)} rSum ({told}).{published}"
