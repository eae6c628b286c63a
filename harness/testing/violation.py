"""What a check, or an adversary, found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.specs import Kind


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One thing that a component gets wrong.

    Attributes:
        kind: of the component, or ``plugin``.
        name: of the component, or of the plugin.
        check: what shows it: an adversary, a key of `ADVERSARIES`, or a check, a key of `CONTRACTS` at its kind.
        sample: what it shows on: a figure, a batch, a caption, an image; empty if there is none, as where an
            evaluator raised.
        expected: what an honest component does.
        found: what this one did.
        where: where to look in its code.
    """

    kind: Kind | Literal["plugin"]
    name: str
    check: str
    sample: str
    expected: str
    found: str
    where: str

    def __str__(self) -> str:
        test = "adversary" if self.kind == "evaluator" else "check"
        sample = f"{self.sample}: " if self.sample else ""
        return (
            f"{self.kind} {self.name!r}, {test} {self.check!r}: {sample}"
            f"expected {self.expected}; found {self.found}. Look at {self.where}."
        )
