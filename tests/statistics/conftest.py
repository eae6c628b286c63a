"""Simulated galleries of which the truth is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from harness.statistics import Sample


@dataclass(frozen=True)
class World:
    """Images of varying difficulty; a method is better by `skill`, and has noise of its own on every query."""

    seed: int = 0

    def sample(
        self,
        images: int = 200,
        captions: int | tuple[int, ...] = 5,
        *,
        skill: float = 0.0,
        run: int = 0,
        noise: float = 1.0,
    ) -> Sample:
        """Draw the ranks of one run; the same images for all runs of a world."""
        gallery = np.random.default_rng([self.seed, 1])
        counts = np.resize(np.atleast_1d(np.array(captions)), images)
        owner = np.repeat(np.arange(images), counts)
        difficulty = gallery.normal(size=images)
        own = np.random.default_rng([self.seed, 2, run])
        i2t = np.exp(1.0 - skill + difficulty + noise * own.normal(size=images))
        t2i = np.exp(1.5 - skill + difficulty[owner] + noise * own.normal(size=len(owner)))
        return Sample(np.ceil(i2t).astype(np.int64), np.ceil(t2i).astype(np.int64), owner)


@pytest.fixture
def world() -> Callable[[int], World]:
    return World
