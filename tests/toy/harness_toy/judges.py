"""An evaluator, and the ways in which one can break."""

from __future__ import annotations

from collections.abc import Mapping

from harness.api import Ranking
from harness_toy.log import note


class Hits:
    """Compute R@K of both directions and their sum in percent."""

    def __init__(self, *, k: int = 1, fault: str = "") -> None:
        self.k, self.fault = k, fault

    def evaluate(self, ranking: Ranking) -> Mapping[str, float]:
        note(f"evaluate {self.k}")
        if self.fault == "raises":
            raise LookupError("boom in evaluate")
        if self.fault == "exits":
            raise SystemExit(3)
        i2t, t2i = (float(side.hits(self.k).mean()) for side in (ranking.i2t, ranking.t2i))
        rsum = float("inf") if self.fault == "infinite" else 100 * (i2t + t2i)
        return {f"i2t.recall@{self.k}": i2t, f"t2i.recall@{self.k}": t2i, "rsum": rsum}
