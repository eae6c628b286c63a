"""Evaluators, and the ways in which one can break."""

from __future__ import annotations

import hashlib
import os
import time
import weakref
from collections.abc import Mapping
from pathlib import Path

from harness.api import DataError, Ranking
from harness_toy.log import note

SEEN: list[weakref.ref[object]] = []
"""The image embeddings that `Hits` was given in this process, for as long as somebody else holds them."""


class Hits:
    """Compute R@K of both directions and their sum in percent."""

    def __init__(self, *, k: int = 1, fault: str = "") -> None:
        self.k, self.fault = k, fault

    def evaluate(self, ranking: Ranking) -> Mapping[str, float]:
        note(f"evaluate {self.k}")
        note(f"held {sum(image() is not None for image in SEEN)}")
        SEEN.append(weakref.ref(ranking.image))
        if self.fault == "raises":
            error = LookupError("boom in evaluate")  # this frame and its error hold each other
            raise error
        if self.fault == "hangs":
            time.sleep(1e6)
        if self.fault == "exits":
            raise SystemExit(3)
        i2t, t2i = (float(side.hits(self.k).mean()) for side in (ranking.i2t, ranking.t2i))
        rsum = float("inf") if self.fault == "infinite" else 100 * (i2t + t2i)
        return {f"i2t.recall@{self.k}": i2t, f"t2i.recall@{self.k}": t2i, "rsum": rsum}


class Marked:
    """Compute R@1 of the captions of the images that a file marks, which `TOY_LABELS` names."""

    def evaluate(self, ranking: Ranking) -> Mapping[str, float]:
        note("evaluate marked")
        marked = self._marked()
        hits = ranking.t2i.hits(1)
        told = [
            float(hit)
            for hit, caption in zip(hits, ranking.split.caption_ids, strict=True)
            if caption.rpartition("#")[0] in marked
        ]
        return {"t2i.recall@1": sum(told) / len(told)} if told else {}

    def labels_of(self, ranking: Ranking) -> str:
        """Return a hash of the file; empty where it marks nothing."""
        marked = self._marked()
        return hashlib.sha256("\n".join(marked).encode()).hexdigest()[:16] if marked else ""

    @staticmethod
    def _marked() -> list[str]:
        path = Path(os.environ["TOY_LABELS"])
        if not path.exists():
            raise DataError(f"{path} is not there")
        return sorted(path.read_text().split())
