"""Many pairs at once: correction of p-values, and letters for what cannot be told apart."""

from __future__ import annotations

import string
from collections.abc import Collection, Iterable, Sequence

from harness.errors import ParameterError


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number, in the same order; those below 0.05 hold at 5 % all together.

    The step-down procedure of Holm (1979): the k-th smallest of n is multiplied by n - k + 1, and none is below
    a smaller one's. It needs no independence.

    Raises:
        ParameterError: if one is outside 0..1.
    """
    if not all(0.0 <= p <= 1.0 for p in p_values):
        raise ParameterError("a p-value lies outside 0..1")
    adjusted, least = [0.0] * len(p_values), 0.0
    for done, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min(1.0, (len(p_values) - done) * p_values[place]))
        adjusted[place] = least
    return adjusted


def letters(names: Sequence[str], differ: Collection[tuple[str, str]]) -> dict[str, str]:
    """Return letters for names: two share a letter if and only if they do not differ.

    The compact letter display of Piepho (2004), by insert and absorb. Letters follow the order of the names, so
    that of a table sorted by its figure the first row has an ``a``.

    Args:
        names: in the order of the table, each once.
        differ: pairs that a test tells apart, in any order.

    Raises:
        ParameterError: if a name stands twice, or a pair names another, or one twice.
    """
    return letters_apart([(names, differ)])


def letters_apart(families: Iterable[tuple[Sequence[str], Collection[tuple[str, str]]]]) -> dict[str, str]:
    """Return letters for families of names of which no test compared two: they share no letter.

    Args:
        families: names and pairs that differ, as of `letters`. The letters of one go on where those of the one before
            it ended.

    Raises:
        ParameterError: as `letters`; or two families share a name.
    """
    found: dict[str, str] = {}
    taken = 0
    for names, differ in families:
        alike = _alike(names, differ)
        if not found.keys().isdisjoint(names):
            raise ParameterError("letters: a name stands in two families")
        marks = [_mark(taken + place) for place in range(len(alike))]
        taken += len(alike)
        for place, name in enumerate(names):
            found[name] = "".join(mark for mark, group in zip(marks, alike, strict=True) if place in group)
    return found


def _alike(names: Sequence[str], differ: Collection[tuple[str, str]]) -> list[frozenset[int]]:
    """Return the places of names that share a letter, one set a letter, in the order of the letters."""
    places = {name: place for place, name in enumerate(names)}
    if len(places) < len(names):
        raise ParameterError("letters: a name stands twice")
    strange = [pair for pair in differ if pair[0] == pair[1] or not set(pair) <= places.keys()]
    if strange:
        raise ParameterError(f"letters: {strange[0]} is no pair of the names")
    groups = [frozenset(range(len(names)))] if names else []
    for one, other in sorted({tuple(sorted((places[a], places[b]))) for a, b in differ}):
        parts = [
            group - {gone} if {one, other} <= group else group for group in groups for gone in (one, other)
        ]
        groups = _absorbed(parts)
    return sorted(groups, key=sorted)


def _absorbed(groups: Collection[frozenset[int]]) -> list[frozenset[int]]:
    """Return the groups that lie in no other."""
    single = dict.fromkeys(groups)
    return [group for group in single if not any(group < other for other in single)]


def _mark(place: int) -> str:
    return string.ascii_letters[place] if place < len(string.ascii_letters) else f"({place + 1})"
