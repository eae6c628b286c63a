"""Which rows were asked the same, and what a page says of rows whose protocols differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.leaderboard.groups import Group, passport_letters, protocol_notes
from harness.passport import question as asked

Question = tuple[str, ...]


def question(group: Group, evaluator: str) -> Question:
    """Return what two groups must share to be compared query by query: gallery, pixels, scores and evaluator."""
    row = group.first
    figures = row.evaluators.get(evaluator, "")
    return row.dataset, *(asked(row.protocol, figures) if row.protocol else (figures, row.passport))


def verdict(groups: Iterable[Group], evaluator: str, letters: Mapping[str, str]) -> str:
    """Say whether rows whose letters of protocol differ may be compared, without a full stop at its end.

    Args:
        letters: as of `passport_letters`, of these groups or of more.
    """
    by: dict[Question, set[str]] = {}
    for group in groups:
        by.setdefault(question(group, evaluator), set()).add(f"\\[{letters[group.passport]}\\]")
    if len(by) == 1:
        return (
            "Rows with different letters in brackets answer one question under different protocols: **what differs in "
            "views and preprocessing is part of the method, and levels depend on it**"
        )
    alike = [", ".join(sorted(marks)) for marks in by.values() if len(marks) > 1]
    if not alike:
        return (
            "**Rows with different letters in brackets answer different questions and must not be compared**"
        )
    but = " and ".join(f"{marks} with each other" for marks in sorted(alike))
    return (
        f"**Rows with different letters in brackets must not be compared, but for {but}** (there what differs in views "
        "and preprocessing is part of the method, and levels depend on it)"
    )


def protocol_lines(groups: Sequence[Group], evaluator: str) -> list[str]:
    """Return the verdict with what letters stand for and differ in; nothing where all have one protocol."""
    letters = passport_letters(groups)
    return [f"{verdict(groups, evaluator, letters)}: {protocol_notes(groups)}."] if letters else []
