"""Checks of a component, run one after the other; what it raises is a finding, too."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, TypeVar

from harness.errors import HarnessError
from harness.specs import Kind
from harness.testing.state import preserved, touched
from harness.testing.violation import Violation

S = TypeVar("S")
_OURS = ("harness", "torch", "numpy", "importlib", "contextlib", "pickle", "copy")
"""Packages in which an error may come up, but whose fault it is not."""


@dataclass(kw_only=True)
class Witness:
    """Words what one check finds of one component.

    Attributes:
        sample: what the component is being asked about; a check sets it before it asks.
    """

    kind: Kind
    name: str
    check: str
    where: str
    sample: str = ""

    def violation(self, expected: str, found: str) -> Violation:
        """Return one violation, with the current sample."""
        return Violation(
            kind=self.kind,
            name=self.name,
            check=self.check,
            sample=self.sample,
            expected=expected,
            found=found,
            where=self.where,
        )

    def untouched(self, steps: Callable[[], Iterator[str]]) -> Iterator[Violation]:
        """Report global state that steps change, see `touched`."""
        for each in touched(steps):
            self.sample = each.sample
            yield self.violation(f"{each.name} as it was", each.became)


@dataclass(frozen=True, kw_only=True)
class Check(Generic[S]):
    """One check.

    Attributes:
        summary: what must hold.
        where: where to look when it does not.
        run: yields the violations.
    """

    summary: str
    where: str
    run: Callable[[S, Witness], Iterator[Violation]]


def run_checks(kind: Kind, name: str, checks: Mapping[str, Check[S]], subject: S) -> list[Violation]:
    """Run all checks; an error of the component is told once, by the first check that meets it.

    Global state is afterwards as it was, whatever the component does to it.
    """
    found: list[Violation] = []
    raised: set[str] = set()
    for title, check in checks.items():
        witness = Witness(kind=kind, name=name, check=title, where=check.where)
        with preserved(), quiet():
            try:
                for violation in check.run(subject, witness):
                    found.append(violation)
            except (Exception, SystemExit) as error:
                told = _told(error)
                if told not in raised:
                    found.append(witness.violation("no error", told))
                raised.add(told)
    return list(dict.fromkeys(found))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep warnings and prints of a component off the caller's filters and standard output."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        yield


def _told(error: BaseException) -> str:
    message = error.message if isinstance(error, HarnessError) else str(error)
    place = _place(error.__traceback__)
    return f"{type(error).__name__}: {' '.join(message.split())}" + (f", raised at {place}" if place else "")


def _place(trace: TracebackType | None) -> str:
    """Return file and line of the innermost frame that is neither ours nor a library's."""
    found = ""
    while trace is not None:
        package = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        if package not in _OURS:
            found = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found
