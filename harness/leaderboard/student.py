"""Student's t distribution for whole degrees of freedom, as scipy has it but without its second of import."""

from __future__ import annotations

import math

_HALVINGS = 60
"""Of a quarter turn: finer than a float."""


def central_probability(t: float, df: int) -> float:
    """Return the probability of a value in [-t, t], 0..1.

    Args:
        t: 0 or more.
        df: degrees of freedom, 1 or more.

    The finite sums of Abramowitz and Stegun, 26.7.3 (odd `df`) and 26.7.4 (even).
    """
    angle = math.atan(t / math.sqrt(df))
    power = df % 2
    term, total = math.cos(angle) ** power, 0.0
    while power <= df - 2:
        total += term
        term *= math.cos(angle) ** 2 * (power + 1) / (power + 2)
        power += 2
    area = math.sin(angle) * total
    return 2.0 / math.pi * (angle + area) if df % 2 else area


def central_quantile(level: float, df: int) -> float:
    """Return the t whose interval [-t, t] holds `level` of the distribution: 2.447 for 0.95 and 6.

    Args:
        level: 0 < level < 1.
        df: degrees of freedom, 1 or more.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if central_probability(math.sqrt(df) * math.tan(middle), df) < level:
            low = middle
        else:
            high = middle
    return math.sqrt(df) * math.tan(low)
