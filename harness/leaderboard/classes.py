"""Numbers of classes side by side with the paper's Table 5: K pseudo-classes against instance loss."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

from harness.leaderboard.design import Design, Pair
from harness.leaderboard.markdown import escape
from harness.leaderboard.paper import NOT_PRINTED, PaperTable
from harness.leaderboard.published import NONE

_SHARE = re.compile(r"k-([0-9]{1,3}(?:\.[0-9]+)?)")
INSTANCE = "instance"


def share(variant: str) -> float | None:
    """Return the classes of a variant in percent of the training images; ``None`` if it says nothing of them."""
    if variant == INSTANCE:
        return 100.0
    found = _SHARE.fullmatch(variant)
    return float(found[1]) if found and 0.0 < float(found[1]) <= 100.0 else None


def classes_design(paper: PaperTable, variants: Iterable[str]) -> Design:
    """Return the layout of Table 5: the paper's rows and those that were run, fewest classes first."""
    shares = {name: part for name in {*paper.rows, *variants} if (part := share(name)) is not None}
    # Instance loss comes after a K of 100 %, which has k-means behind it.
    order = sorted(shares, key=lambda name: (shares[name], name == INSTANCE, name))
    steps = [*pairwise(order), *pairwise(paper.rows)]
    return Design(
        title="Number of classes (the paper's Table 5)",
        header=("Classes, % of training images", "published: classes"),
        rows={
            name: (_label(name, shares[name]), f"{count:,}" if count else NONE)
            for name in order
            for count in [paper.rows.get(name, NOT_PRINTED).count]
        },
        printed=("i2t.recall@1", "t2i.recall@1"),
        pairs=tuple(
            Pair(
                more=more,
                less=less,
                text=f"{_percent(more, shares[more])} above {_percent(less, shares[less])}",
            )
            for less, more in dict.fromkeys(steps)
        ),
        paper=paper,
    )


def _label(name: str, part: float) -> str:
    return "100 (instance loss)" if name == INSTANCE else escape(f"{part:g}")


def _percent(name: str, part: float) -> str:
    return "100 % (instance loss)" if name == INSTANCE else f"{part:g} %"


def table_five(variants: Iterable[str]) -> bool:
    """Tell whether there is more of Table 5 among these variants than instance loss."""
    return any(share(name) is not None for name in variants if name != INSTANCE)
