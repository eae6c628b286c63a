"""What `harness run` says at its end: failures first, each with the command that does it alone."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.console import out, plain, say, table
from harness.cli.figures import RECALLS, duration, percent

if TYPE_CHECKING:
    from harness.execute import Outcome
    from harness.plan import Cell


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the command line asked for, as far as one cell alone needs it.

    Args:
        dataset: whether datasets were given in place of the matrix's, so that ``--only`` does not know them.
        seed: whether seeds were.
        options: other options that change a run, with their values; false and ``None`` were not given.
    """

    matrix: str
    dataset: bool
    seed: bool
    options: dict[str, Any]

    def alone(self, cell: Cell) -> str:
        """Return the command that does one cell and no other, for a shell."""
        words = ["harness", "run", "--matrix", self.matrix]
        for axis, label in cell.labels:
            if (axis == "dataset" and self.dataset) or (axis == "seed" and self.seed):
                words.append(f"--{axis}={label}")
            else:
                words.append(f"--only={axis}={label}")
        return shlex.join([*words, *given(self.options)])


def given(options: Mapping[str, Any]) -> list[str]:
    """Return options as words of a command line; false, ``None`` and empty ones were not given."""
    return [
        f"--{name}" if value is True else f"--{name}={value}"
        for name, value in options.items()
        if value not in (None, False, "")
    ]


def cell_json(outcome: Outcome, asked: Asked) -> dict[str, Any]:
    """Return what became of a cell as plain values."""
    result = outcome.result
    failed = {
        "hint": outcome.hint,
        "traceback": str(outcome.traceback),
        "alone": asked.alone(outcome.cell),
    }
    return {
        "labels": dict(outcome.cell.labels),
        "fingerprint": outcome.cell.run.fingerprint,
        "status": outcome.status,
        "error": outcome.error,
        "seconds": round(outcome.seconds, 3),
        "val_rsum": result.val_rsum if result else None,
        "figures": {name: dict(f["values"]) for name, f in result.figures.items()} if result else {},
        **(failed if outcome.status == "failed" else {}),
    }


def print_summary(asked: Asked, outcomes: Sequence[Outcome], tables: Sequence[Path]) -> None:
    """Print failures, then the table of all cells, the failed ones first, and what to type next."""
    from harness.leaderboard import lettered

    print_failures(asked, outcomes)
    # An axis on which all cells agree goes into the title.
    seen = {axis: {dict(o.cell.labels)[axis] for o in outcomes} for axis, _ in outcomes[0].cell.labels}
    axes = [axis for axis, labels in seen.items() if len(labels) > 1]
    passports = _passports(outcomes)
    letters = lettered(passports.values())
    rows = []
    for outcome in sorted(outcomes, key=lambda o: o.status != "failed"):
        figures = outcome.result.figures if outcome.result else {}
        rows.append(
            [dict(outcome.cell.labels)[axis] for axis in axes]
            + ([letters.get(passports.get(outcome.cell.run.fingerprint, ""), "–")] if letters else [])
            + [percent(figures, "recall", name) for name in RECALLS]
            + [percent(figures, "recall", "rsum", scale=1.0), outcome.status, duration(outcome.seconds)]
        )
    limit = outcomes[0].cell.run.limit
    fixed = [f"{axis} {next(iter(labels))}" for axis, labels in seen.items() if axis not in axes]
    title = ", ".join(
        [f"{asked.matrix}: recall in %", *fixed, *([f"first {limit} images of each split"] if limit else [])]
    )
    axes += ["protocol"] if letters else []
    columns = [*axes, "i2t R@1", "R@5", "R@10", "t2i R@1", "R@5", "R@10", "rSum", "", "time"]
    table(title, columns, rows, numeric=len(axes))
    done = [outcome for outcome in outcomes if outcome.result]
    if done:
        out.print(plain(_protocols(done, passports, letters)), markup=False, soft_wrap=True)
    if tables:
        out.print(
            plain(f"leaderboards: {', '.join(str(path) for path in tables)}"), markup=False, soft_wrap=True
        )
    if done:
        say(
            f"next: harness show {done[0].cell.run.fingerprint}    (history, costs and provenance of the first cell)"
        )


def _passports(outcomes: Sequence[Outcome]) -> dict[str, str]:
    """Return the passport of each run that has a result, as tables have it."""
    from harness.execute.ranked import passport_of

    return {o.cell.run.fingerprint: passport_of(o.result) for o in outcomes if o.result}


def _protocols(done: Sequence[Outcome], passports: Mapping[str, str], letters: Mapping[str, str]) -> str:
    """Say which letter is which passport, and in what the protocols differ."""
    from harness.passport import differing

    if not letters:
        return f"passport {next(iter(passports.values()))[:8]}"
    told = ", ".join(f"{letter} {key[:8]}" for key, letter in letters.items())
    parts = differing(o.result.protocol for o in done if o.result)
    where = f": they differ in {', '.join(parts)}" if parts else ""
    return f"passports {told}{where}; {_comparable(done, passports, letters)}"


def _comparable(done: Sequence[Outcome], passports: Mapping[str, str], letters: Mapping[str, str]) -> str:
    """Say figures of which letters may be compared: those that were asked the same."""
    from harness.execute.ranked import question_of

    by: dict[tuple[str, ...], set[str]] = {}
    for outcome in done:
        if outcome.result:
            mark = letters[passports[outcome.cell.run.fingerprint]]
            by.setdefault(question_of(outcome.result), set()).add(mark)
    alike = sorted(", ".join(sorted(marks)) for marks in by.values() if len(marks) > 1)
    method = "what differs in views and preprocessing is part of the method, and levels depend on it"
    if len(by) == 1:
        return f"all were asked the same: {method}"
    but = "".join(f", and those of {marks} with each other" for marks in alike)
    return f"figures of one letter alone may be compared{but}{f': {method}' if alike else ''}"


def print_failures(asked: Asked, outcomes: Sequence[Outcome]) -> None:
    """Say of each failed cell its cause, the file with its story, and the command that does it alone."""
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    skipped = sum(outcome.status == "skipped" for outcome in outcomes)
    if failed:
        rest = f"; {skipped} were not begun (--fail-fast)" if skipped else ""
        say(f"{len(failed)} of {len(outcomes)} cells failed{rest}", style="bold red")
    for outcome in failed:
        say(f"failed: {', '.join('='.join(pair) for pair in outcome.cell.labels)}", style="bold red")
        say(f"  cause: {outcome.error}")
        if outcome.hint:
            say(f"  {outcome.hint}", style="cyan")
        say(f"  traceback: {outcome.traceback}\n  alone: {asked.alone(outcome.cell)}")
