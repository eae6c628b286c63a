"""What an adversary found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One thing that an evaluator gets wrong.

    Attributes:
        evaluator: its name.
        adversary: the adversary that shows it, a key of `ADVERSARIES`.
        figure: the figure that is wrong; empty if there is none, as where the evaluator raised.
        expected: what an honest evaluator says.
        found: what this one said.
        where: where to look in its code.
    """

    evaluator: str
    adversary: str
    figure: str
    expected: str
    found: str
    where: str

    def __str__(self) -> str:
        figure = f"{self.figure}: " if self.figure else ""
        return (
            f"evaluator {self.evaluator!r}, adversary {self.adversary!r}: {figure}"
            f"expected {self.expected}; found {self.found}. Look at {self.where}."
        )
