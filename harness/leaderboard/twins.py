"""Which attribute confuses a model: its figures on near-twins."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.leaderboard.groups import Group, mark, names, passport_letters
from harness.leaderboard.markdown import escape, pipe_table
from harness.leaderboard.tables import cell

_FIGURE = re.compile(r"(?P<evaluator>[a-z0-9_-]+)\.confusion(?:\.(?P<attribute>[^.]+))?")


def confusions(group: Group) -> dict[str, str]:
    """Return attribute -> metric of one method; the figure over all attributes is ``""``."""
    found: dict[str, str] = {}
    for key in sorted(group.first.metrics):
        match = _FIGURE.fullmatch(key)
        if match and group.values(key) is not None:
            found.setdefault(match["attribute"] or "", key)
    return found


def attributes(groups: Sequence[Group]) -> list[str]:
    """Return all attributes that any method has figures of, by name."""
    return sorted({name for group in groups for name in confusions(group) if name})


def twin_table(groups: Sequence[Group]) -> str:
    """Render the share of confusion in percent by attribute; empty where no method has figures."""
    columns, letters, cells = attributes(groups), passport_letters(groups), []
    for group, name in zip(groups, names(groups), strict=True):
        keys = confusions(group)
        if keys:
            figures = [
                group.statistic(keys[column], 100.0) if column in keys else None for column in ("", *columns)
            ]
            cells.append([escape(name) + mark(group, letters), *map(cell, figures), group.seeds])
    header = ["Method", "all", *map(escape, columns), "seeds"]
    return pipe_table(header, sorted(cells), figures=range(1, len(header))) if cells else ""


def plotted(groups: Sequence[Group]) -> dict[str, dict[str, float]]:
    """Return method -> attribute -> mean share of confusion in percent, for the figure."""
    shares = {}
    for group, name in zip(groups, names(groups), strict=True):
        keys = confusions(group)
        means = {
            column: group.statistic(keys[column], 100.0) for column in attributes(groups) if column in keys
        }
        if means:
            shares[name] = {column: round(figure.mean, 3) for column, figure in means.items() if figure}
    return dict(sorted(shares.items()))
