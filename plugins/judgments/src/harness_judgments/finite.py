"""A check that every evaluator here makes first."""

from __future__ import annotations

import numpy as np

from harness.api import Ranking, ScoreError


def demand_finite(evaluator: str, ranking: Ranking) -> None:
    """Refuse embeddings that are NaN or infinite: a NaN compares as false with everything, so ranks of it are best.

    Raises:
        ScoreError: names the rows.
    """
    split = ranking.split
    for rows, ids, what in (
        (ranking.image, split.image_ids, "image"),
        (ranking.text, split.caption_ids, "caption"),
    ):
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(bad):
            named = ", ".join(ids[row] for row in bad[:5]) + (", ..." if len(bad) > 5 else "")
            raise ScoreError(
                f"{evaluator}: {len(bad)} of {len(rows)} {what} embeddings are NaN or infinite: {named}"
            )
