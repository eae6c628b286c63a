"""`harness show` of a leaderboard's row whose run is not stored here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.console import out, plain, table
from harness.cli.figures import duration
from harness.cli.options import load_catalog

if TYPE_CHECKING:
    from harness.leaderboard import Row


def print_row(row: Row, ranks: Path) -> None:
    """Print figures, protocol and provenance of a row.

    Args:
        ranks: the file of its committed ranks.
    """
    from harness.cli.scores import listed, units
    from harness.passport import passport, with_figures

    found = units(load_catalog(False), row.images, row.captions)
    table(f"Figures of {row.title}", ["figure", "value (95 %)"], listed(_figures(row), found), numeric=1)
    parts = with_figures(row.protocol, row.evaluators)
    rows = [
        ["method", ", ".join(part for part in (row.title, row.visual, row.textual) if part)],
        ["cell", ", ".join([row.matrix, *(f"{axis}={label}" for axis, label in row.labels.items())])],
        ["trained", _trained(row)],
        ["gallery", f"{row.dataset}: {row.images:,} images, {row.captions:,} captions"],
        ["passport", passport(parts) if row.protocol else row.passport],
        *([f"  {name}", text] for name, text in parts.items()),
        ["source", row.source or "measured"],
        ["hardware", row.hardware],
        ["versions", ", ".join(f"{name} {version}" for name, version in row.versions.items())],
        ["command", row.command],
        ["revision", row.source_revision or "–"],
        ["finished", row.date],
    ]
    table(f"Row {row.fingerprint} of the leaderboards; its run is not stored here", ["", ""], rows)
    out.print(plain(f"ranks of every query: {ranks}"), markup=False, soft_wrap=True)


def _trained(row: Row) -> str:
    if row.epochs is None or row.train_seconds is None or row.parameters is None:
        return "by another code"
    epochs = f"{row.epochs} epoch{'' if row.epochs == 1 else 's'}"
    return f"{row.parameters:,} parameters, {epochs}, {duration(row.train_seconds)}"


def _figures(row: Row) -> dict[str, dict[str, Any]]:
    """Return the figures of a row by evaluator, as a result has them."""
    return {
        name: {
            "use": told.split(" ")[0],
            "values": {
                figure.removeprefix(f"{name}."): value
                for figure, value in row.metrics.items()
                if figure.startswith(f"{name}.")
            },
            "intervals": {
                figure.removeprefix(f"{name}."): bounds
                for figure, bounds in row.intervals.items()
                if figure.startswith(f"{name}.")
            },
        }
        for name, told in row.evaluators.items()
    }
