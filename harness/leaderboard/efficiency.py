"""Below a table: what training took, and what embedding takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.leaderboard.groups import Group, mark, names, passport_letters
from harness.leaderboard.markdown import escape, pipe_table
from harness.leaderboard.published import NONE
from harness.leaderboard.tables import known, millions, parameters, spread, training

HEADER = (
    *("Method", "Visual", "Textual", "parameters", "trained", "GFLOP an image", "MFLOP a caption"),
    *("images/s", "captions/s", "peak memory", "training", "hardware"),
)
_NUMERIC = range(3, 11)
_ABOUT = (
    "parameters: of both encoders, frozen ones too; trained: those that training changed, a loss's own among them. "
    "GFLOP and MFLOP: of a forward pass at test time, in products and convolutions, a multiplication with its "
    "addition as two operations (torch's counter). images/s and captions/s: embedding of batches that are decoded "
    "and tokenised, the fastest of several. peak memory and training: of the last stage; cached features of a frozen "
    "backbone are computed before it, and other work on the machine lengthens it."
)


def efficiency_sections(groups: Sequence[Group]) -> list[str]:
    """Render a table of the methods that were trained here; nothing where there is none."""
    trained = [group for group in groups if known(row.train_seconds for row in group.rows)]
    letters = passport_letters(groups)
    named = dict(zip(map(id, groups), names(groups), strict=True))
    rows = sorted(_cells(group, escape(named[id(group)]) + mark(group, letters)) for group in trained)
    return ["## Efficiency", _ABOUT, pipe_table(HEADER, rows, figures=_NUMERIC)] if rows else []


def _cells(group: Group, name: str) -> list[str]:
    row = group.first
    return [
        name,
        escape(row.visual) or NONE,
        escape(row.textual) or NONE,
        _mean(group, ("image_parameters", "text_parameters"), lambda count: millions(round(count))),
        parameters(group),
        _mean(group, ("image_flops",), lambda flops: f"{flops / 1e9:.2f}"),
        _mean(group, ("text_flops",), lambda flops: f"{flops / 1e6:.2f}"),
        _mean(group, ("images_per_second",), "{:,.0f}".format),
        _mean(group, ("captions_per_second",), "{:,.0f}".format),
        _memory(group),
        training(group),
        spread([escape(member.hardware) for member in group.rows]),
    ]


def _mean(group: Group, keys: Sequence[str], write: Callable[[float], str]) -> str:
    """Return the mean over those seeds that tell it of the sum of `keys`, or a dash where none does."""
    found = [
        sum(row.efficiency[key] for key in keys)
        for row in group.rows
        if all(key in row.efficiency for key in keys)
    ]
    return write(sum(found) / len(found)) if found else NONE


def _memory(group: Group) -> str:
    peaks = known(row.peak_memory_bytes for row in group.rows)
    return f"{max(peaks) / 1e9:.1f} GB" if peaks else NONE
