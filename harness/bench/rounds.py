"""Timing by interleaved rounds: what slows the machine for a while slows all that is compared."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from harness.execute.timing import timed

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is timed: calls of `call`, between one of `ready` and one of `after`, which are not.

    Attributes:
        slow: it is called once a round, and never before to warm up and to find out how many calls fill the time.
        warm: it was called before, so that one call tells how many fill the time.
    """

    ready: Callable[[], object]
    call: Callable[[], object]
    after: Callable[[], object] = lambda: None
    slow: bool = False
    warm: bool = False


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A median with the quartiles around it."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Return median and quartiles of at least one figure."""
    if len(values) == 1:
        return Spread(median=values[0], low=values[0], high=values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median=median, low=low, high=high)


def interleave(
    works: Mapping[K, Work], *, rounds: int, seconds: float, wait: Callable[[], object], seed: int
) -> dict[K, tuple[float, ...]]:
    """Time every work once a round, in an order that is drawn for each round.

    Args:
        rounds: at least 1.
        seconds: the least time of one measurement; a longer call is measured alone.
        wait: returns when what was called is done, for devices that work behind.
        seed: of the orders.

    Returns:
        Calls a second of each work, one figure a round.
    """
    import numpy as np

    names = list(works)
    calls = {name: 1 if work.slow else _calls(work, seconds, wait) for name, work in works.items()}
    random = np.random.default_rng(seed)
    found: dict[K, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for position in random.permutation(len(names)):
            name = names[position]
            found[name].append(calls[name] / _time(works[name], calls[name], wait))
    return {name: tuple(values) for name, values in found.items()}


def _calls(work: Work, seconds: float, wait: Callable[[], object]) -> int:
    """Return how many calls fill the time; the first call, which may allocate and compile, does not count."""
    if not work.warm:
        _time(work, 1, wait)
    return max(1, math.ceil(seconds / _time(work, 1, wait)))


def _time(work: Work, calls: int, wait: Callable[[], object]) -> float:
    work.ready()
    seconds = timed(work.call, calls, wait)
    work.after()
    return seconds
