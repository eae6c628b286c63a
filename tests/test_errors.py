"""The tree of exceptions, and what their messages hold."""

from __future__ import annotations

import inspect
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import errors
from harness.errors import DataError, HarnessError, InputError, RunError, nearest


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn: dict[str, str] = {}
    path: list[str] = []
    for line in inspect.cleandoc(errors.__doc__ or "").splitlines():
        if match := re.match(r"((?:[|` ] {2,})*(?:[|`]- )?)(\w+Error)\b", line.strip("\n")):
            depth = (len(match.group(1)) + 2) // 3
            path[depth:] = [match.group(2)]
            drawn[match.group(2)] = path[depth - 1] if depth else "Exception"
    real = {
        name: cls.__mro__[1].__name__
        for name, cls in vars(errors).items()
        if inspect.isclass(cls) and issubclass(cls, HarnessError)
    }
    assert drawn == real


def test_the_hint_follows_the_message() -> None:
    assert str(InputError("no such thing", hint="harness list")) == "no such thing\nharness list"
    assert str(RunError("broke")) == "broke"


def test_a_data_error_lists_all_problems() -> None:
    error = DataError("bad captions", problems=["line 3", "line 5"], hint="mend them")
    assert str(error) == "bad captions\n  - line 3\n  - line 5\nmend them"
    assert error.problems == ("line 3", "line 5")


@pytest.mark.parametrize(
    ("name", "valid", "said"),
    [
        ("dropuot", ["dropout", "bias"], "; did you mean 'dropout'?"),
        (
            "my-loss",
            ["retrieval-harness-my-loss", "retrieval-harness-shapes"],
            "; did you mean 'retrieval-harness-my-loss'?",
        ),
        ("zzz", ["b", "a"], "; valid: a, b"),
        ("zzz", [], ""),
    ],
)
def test_nearest(name: str, valid: list[str], said: str) -> None:
    assert nearest(name, valid) == said


@given(st.text(), st.lists(st.text(), max_size=5))
def test_nearest_takes_any_text(name: str, valid: list[str]) -> None:
    assert isinstance(nearest(name, valid), str)
