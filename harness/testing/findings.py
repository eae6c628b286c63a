"""Rules that figures of a planted gallery are held against."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from harness.specs import Scale
from harness.testing.planting import Planted
from harness.testing.reference import Reference
from harness.testing.scales import gain
from harness.testing.subject import WIDE, Answer, Subject
from harness.testing.violation import Violation

FINE = 1e-6
"""Share of a figure that rounding may change."""


@dataclass(frozen=True, kw_only=True)
class Finder:
    """Words what one adversary finds of one evaluator.

    Attributes:
        adversary: its name.
        where: where to look.
    """

    subject: Subject
    adversary: str
    where: str

    def violation(self, figure: str, expected: str, found: str) -> Violation:
        """Return one violation."""
        return Violation(
            kind="evaluator",
            name=self.subject.name,
            check=self.adversary,
            sample=figure,
            expected=expected,
            found=found,
            where=self.where,
        )

    def answered(self, answer: Answer, *, may_refuse: bool) -> Iterator[Violation]:
        """Report a fault, and a refusal where there is no reason for one."""
        if answer.fault:
            yield self.violation(
                "", "figures, or a ScoreError or DataError that names what is wrong", answer.fault
            )
        elif answer.refusal and not may_refuse:
            yield self.violation("", "figures", f"a refusal: {answer.refusal}")

    def counted(self, planted: Planted, answer: Answer) -> Iterator[Violation]:
        """Hold figures and ranks between their exact bounds, where a caption is right for its own image only."""
        if not self.subject.own:
            return
        references = self.subject.references(planted, answer)
        for figure, value in answer.figures.items():
            if not self.subject.exact(figure):
                continue
            bounds = [reference.bounds(figure, answer.figures) for reference in references]
            known = [limits for limits in bounds if limits is not None]
            if known and not any(low - _slack(low) <= value <= high + _slack(high) for low, high in known):
                yield self.violation(figure, " or ".join(dict.fromkeys(map(_span, known))), f"{value:.6g}")
        yield from self._ranked(references, answer)

    def _ranked(self, references: list[Reference], answer: Answer) -> Iterator[Violation]:
        import numpy as np

        if answer.ranks is None:
            return
        for side, ranks in zip(("i2t", "t2i"), answer.ranks, strict=True):
            worst = [reference.ranks()[side] for reference in references]
            if not any(np.array_equal(ranks, right) for right in worst):
                query = int(np.flatnonzero(ranks != worst[-1])[0])
                yield self.violation(
                    f"ranks of {side}",
                    f"rank {worst[-1][query]:.0f} of query {query}, ties lost",
                    f"rank {ranks[query]}",
                )

    def within(self, answer: Answer) -> Iterator[Violation]:
        """Report figures beyond what a perfect scorer gets, or below the worst."""
        for figure, value, scale in self._scaled(answer):
            for end, side in ((scale.best, 1), (scale.worst, -1)):
                if end is not None and side * gain(scale, value, end) > _slack(end):
                    what = "no better than" if side > 0 else "no worse than"
                    yield self.violation(figure, f"{what} {end:g}, as declared", f"{value:.6g}")

    def perfect(self, answer: Answer) -> Iterator[Violation]:
        """Report figures that are not at their best end, where there is one."""
        for figure, value, scale in self._scaled(answer):
            if scale.best is not None and abs(value - scale.best) > _slack(scale.best):
                yield self.violation(figure, f"{scale.best:g}", f"{value:.6g}")

    def beats_chance(self, answer: Answer) -> Iterator[Violation]:
        """Report figures that are no better than a random scorer's mean."""
        for figure, value, scale in self._scaled(answer):
            if figure in self.subject.random and not self._saturated(figure):
                mean, error = self.subject.random[figure]
                if gain(scale, value, mean) <= error:
                    yield self.violation(
                        figure, f"better than {mean:.4g}, the mean of random scorers", f"{value:.6g}"
                    )

    def _saturated(self, figure: str) -> bool:
        # R@100 of fewer items is 1 for everybody.
        mean, error = self.subject.random[figure]
        return error == 0 and abs(mean - self.subject.oracle.figures.get(figure, mean)) <= _slack(mean)

    def no_chance(
        self, figures: Mapping[str, tuple[float, float]], *, below: bool = False
    ) -> Iterator[Violation]:
        """Report figures that are better than chance, beyond an interval.

        Args:
            figures: name -> mean over scorers and its standard error, 0 for one scorer.
            below: report those that are worse than chance, too, where chance is known.
        """
        for figure, (mean, error) in figures.items():
            scale = self.subject.scale(figure)
            if scale is None or scale.better == "neither" or figure not in self.subject.random:
                continue
            known = self.subject.chance.get(figure)
            estimate, spread = self.subject.random[figure]
            levels = known or (estimate,)
            width = WIDE * (error if known else (error**2 + spread**2) ** 0.5)
            gains = [gain(scale, mean, level) for level in levels]
            interval = [f"{level:.4g} ± {width + _slack(level):.2g}" for level in levels]
            if all(above > width + _slack(level) for above, level in zip(gains, levels, strict=True)):
                yield self.violation(figure, f"at most chance, {' or '.join(interval)}", f"{mean:.6g}")
            elif below and known and all(-g > width + _slack(c) for g, c in zip(gains, levels, strict=True)):
                yield self.violation(figure, f"chance, {' or '.join(interval)}", f"{mean:.6g}")

    def same(self, answer: Answer, other: Answer, *, why: str) -> Iterator[Violation]:
        """Report figures in which two answers differ."""
        for figure in sorted(answer.figures.keys() | other.figures.keys()):
            left, right = answer.figures.get(figure), other.figures.get(figure)
            if left is None or right is None:
                yield self.violation(figure, f"{_or_none(left)}, {why}", _or_none(right))
            elif abs(left - right) > _slack(left):
                yield self.violation(figure, f"{left:.6g}, {why}", f"{right:.6g}")

    def _scaled(self, answer: Answer) -> Iterator[tuple[str, float, Scale]]:
        for figure, value in answer.figures.items():
            scale = self.subject.scale(figure)
            if scale is not None and scale.better != "neither":
                yield figure, value, scale


Attack = Callable[[Subject, Finder], Iterator[Violation]]


def _or_none(value: float | None) -> str:
    return "no figure" if value is None else f"{value:.6g}"


def _slack(value: float) -> float:
    return FINE * max(1.0, abs(value))


def _span(limits: tuple[float, float]) -> str:
    low, high = limits
    return (
        f"{low:.6g}"
        if high - low <= _slack(low)
        else f"{low:.6g} (ties lost) to {high:.6g} (mean over their orders)"
    )
