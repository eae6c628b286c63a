"""A ranking in plain loops, independent of the harness's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from harness.api import Ranks, Record, Split


@dataclass(frozen=True, eq=False)
class LoopRanking:
    split: Split
    image: np.ndarray
    text: np.ndarray

    def fold(self, start: int, stop: int) -> LoopRanking:
        keep = [j for j, owner in enumerate(self.split.caption_image) if start <= owner < stop]
        return LoopRanking(
            Split("test", self.split.records[start:stop]), self.image[start:stop], self.text[keep]
        )

    @property
    def i2t(self) -> Ranks:
        owner = self.split.caption_image
        return count(
            [[float(i @ t) for t in self.text] for i in self.image],
            [owner == n for n in range(len(self.image))],
        )

    @property
    def t2i(self) -> Ranks:
        places = np.arange(len(self.image))
        return count(
            [[float(i @ t) for i in self.image] for t in self.text],
            [places == owner for owner in self.split.caption_image],
        )


def count(scores: list[list[float]], relevant: Sequence[np.ndarray]) -> Ranks:
    above, tied, matched = [], [], []
    for row, right in zip(scores, relevant, strict=True):
        best = max(score for score, ok in zip(row, right, strict=True) if ok)
        above.append(sum(score > best and not ok for score, ok in zip(row, right, strict=True)))
        tied.append(sum(score == best and not ok for score, ok in zip(row, right, strict=True)))
        matched.append(sum(score == best and bool(ok) for score, ok in zip(row, right, strict=True)))
    return Ranks(above=np.array(above), tied=np.array(tied), matched=np.array(matched))


@pytest.fixture
def gallery() -> Callable[..., LoopRanking]:
    """Return a function that ranks (n, dim) images and (m, dim) captions; `captions` counts an image's."""

    def build(image: np.ndarray, text: np.ndarray, captions: Sequence[int]) -> LoopRanking:
        records = tuple(
            Record(image=f"img{n}", split="test", captions=tuple(f"{n} {k}" for k in range(c)))
            for n, c in enumerate(captions)
        )
        return LoopRanking(Split("test", records), image, text)

    return build
