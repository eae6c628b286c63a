"""Collapse while training: what a look at val sees of it, and when it is beyond hope."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.ranking import collapsed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

GROWTH = 1.1
"""From one look to the next, embeddings that move apart have a spread larger by this factor."""
FLOOR = 1e-12
"""Spread below which embeddings differ by rounding alone."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a look at val saw.

    Attributes:
        rsum: 0..600.
        same: the spread, see `spread`, of each path whose embeddings have all become the same: ``image``, ``caption``.
    """

    rsum: float
    same: Mapping[str, float] = field(default_factory=dict)


def same(image: Floats, text: Floats) -> dict[str, float]:
    """Return the spread of each path whose embeddings are all the same, see `harness.ranking.collapsed`.

    Args:
        image, text: (n, dim) and (m, dim), L2-normalised.
    """
    sides = collapsed(image, text)
    return {side: spread(rows) for side, rows in (("image", image), ("caption", text)) if side in sides}


def spread(rows: Floats) -> float:
    """Return the mean squared distance of (n, dim) embeddings from their mean: 0 where all are equal, at most 1."""
    import numpy as np

    wide = rows.astype(np.float64)
    return float(np.square(wide - wide.mean(axis=0)).sum(axis=1).mean())


def stuck(before: Mapping[str, float], now: Mapping[str, float]) -> str:
    """Return ``image``, ``caption``, ``image and caption`` or nothing: which paths stay collapsed.

    They were at both of two looks running, and have not moved apart in between. Training that leaves a collapse, as
    when batch statistics or a margin take a few epochs to tell embeddings apart, widens the spread long before any
    two embeddings count as different.

    Args:
        before, now: what `same` returned at the two looks.
    """
    return " and ".join(
        side for side, width in now.items() if side in before and width < GROWTH * max(before[side], FLOOR)
    )
