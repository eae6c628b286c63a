"""Holm's correction and letters against values of others, and against what they promise."""

from __future__ import annotations

import itertools
import string
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import ParameterError
from harness.statistics import holm, letters, letters_apart

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""What is slow here is a busy machine."""


def test_holm_gives_the_values_that_statsmodels_tests_with() -> None:
    """`pval0` and the column of Holm in statsmodels/stats/tests/test_multi.py, which are from R's multtest."""
    raw = [0.838541367553, 0.642193923795, 0.680845947633, 0.967833824309, 0.71626938238]
    raw += [0.177096952723, 5.23656777208e-005, 0.0202732688798, 0.00028140506198, 0.0149877310796]
    known = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 5.23656777208e-04]
    known += [1.419128821586e-01, 2.53264555782e-03, 1.1990184863680001e-01]
    assert holm(raw) == pytest.approx(known, rel=1e-12)


@PATIENT
@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_rejects_as_the_procedure_of_the_paper_does(raw: list[float]) -> None:
    """Go through the p-values from the least; stop at the first above 0.05 / (number left)."""
    rejected = set()
    for done, place in enumerate(sorted(range(len(raw)), key=raw.__getitem__)):
        if raw[place] * (len(raw) - done) >= 0.05:
            break
        rejected.add(place)
    adjusted = holm(raw)
    assert {place for place, p in enumerate(adjusted) if p < 0.05} == rejected
    assert all(p <= q <= 1.0 for p, q in zip(raw, adjusted, strict=True))


def test_a_p_value_out_of_range_is_refused() -> None:
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(ParameterError, match=r"0\.\.1"):
            holm([0.5, wrong])


def without_shared(shown: dict[str, str]) -> set[tuple[str, str]]:
    return {(a, b) for a, b in itertools.combinations(shown, 2) if not set(shown[a]) & set(shown[b])}


KNOWN: list[dict[str, str]] = [
    # The example of `plot.multcompLetters` in R's multcompView, for p of .1, .02, .03 and 1.
    {"A": "a", "B": "a", "C": "b", "D": "ab"},
    # chickwts under pairwise.wilcox.test, README of R's package cld, rows in the order of their letters.
    {"casein": "a", "sunflower": "a", "meatmeal": "ab", "linseed": "bc", "soybean": "b", "horsebean": "c"},
    # Neighbours agree, all others differ.
    {"1": "a", "2": "ab", "3": "bc", "4": "c"},
    {"alone": "a"},
    {"x": "a", "y": "b", "z": "c"},
]


@pytest.mark.parametrize("known", KNOWN)
def test_letters_are_those_of_others(known: dict[str, str]) -> None:
    assert letters(list(known), without_shared(known)) == known


def test_nothing_differs_and_nothing_is_there() -> None:
    assert letters(["a", "b", "c"], set()) == {"a": "a", "b": "a", "c": "a"}
    assert letters([], set()) == {}


PAIRS = list(itertools.combinations("ABCDEFG", 2))


@PATIENT
@given(st.sets(st.sampled_from(PAIRS)), st.randoms())
def test_two_share_a_letter_if_and_only_if_they_do_not_differ(
    differ: set[tuple[str, str]], random: Any
) -> None:
    shown = letters("ABCDEFG", differ)
    assert without_shared(shown) == differ
    assert all(shown.values())
    assert shown["A"].startswith("a")
    turned = [pair[::-1] if random.random() < 0.5 else pair for pair in differ]
    random.shuffle(turned)
    assert letters("ABCDEFG", turned) == shown


def test_a_long_table_has_letters_enough() -> None:
    """Sixty methods, each told apart from all but its neighbours: more letters than the alphabet has."""
    names = [f"m{place}" for place in range(60)]
    differ = {(a, b) for a, b in itertools.combinations(names, 2) if int(b[1:]) - int(a[1:]) > 1}
    shown = letters(names, differ)
    assert (shown["m0"], shown["m1"], shown["m30"]) == ("a", "ab", "DE")
    assert shown["m55"] == "(55)(56)"
    groups = {name: frozenset(group) for name, group in _groups(shown).items()}
    for a, b in itertools.combinations(names, 2):
        assert bool(groups[a] & groups[b]) == ((a, b) not in differ)


def _groups(shown: dict[str, str]) -> dict[str, list[str]]:
    import re

    return {name: re.findall(r"[A-Za-z]|\(\d+\)", text) for name, text in shown.items()}


@PATIENT
@given(st.sets(st.sampled_from(PAIRS)), st.sets(st.sampled_from(PAIRS)))
def test_families_share_no_letter(one: set[tuple[str, str]], two: set[tuple[str, str]]) -> None:
    other = {(a.lower(), b.lower()) for a, b in two}
    shown = letters_apart([("ABCDEFG", one), ([], []), ("abcdefg", other)])
    first, second = ({name: shown[name] for name in names} for names in ("ABCDEFG", "abcdefg"))
    assert first == letters("ABCDEFG", one)
    assert (without_shared(first), without_shared(second)) == (one, other)
    places = [
        {string.ascii_letters.index(letter) for letter in "".join(family.values())}
        for family in (first, second)
    ]
    assert min(places[1]) == max(places[0]) + 1


def test_a_name_of_two_families_is_refused() -> None:
    with pytest.raises(ParameterError, match="two families"):
        letters_apart([("AB", []), ("BC", [])])


@pytest.mark.parametrize(
    ("names", "differ"), [(["a", "a"], []), (["a", "b"], [("a", "c")]), (["a", "b"], [("a", "a")])]
)
def test_what_is_no_pair_is_refused(names: list[str], differ: list[tuple[str, str]]) -> None:
    with pytest.raises(ParameterError, match="letters: "):
        letters(names, differ)
