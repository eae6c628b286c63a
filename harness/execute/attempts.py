"""Outcomes of cells that failed, as the leaderboards keep them; and what of an outcome is nobody's business."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from harness.execute.outcome import Outcome
from harness.leaderboard import Attempts, FailedAttempt


def attempt_of(outcome: Outcome, recipe: Mapping[str, str], home: Path) -> Attempts:
    """Return a failed attempt at a cell; `recipe` is that of `harness.execute.rows.recipes`, `home` the store."""
    cell, made = outcome.cell, outcome.provenance
    failure = FailedAttempt(
        cause=_told(outcome.error, home),
        date=made.get("finished", ""),
        fingerprint=cell.run.fingerprint,
        recipe=recipe[cell.run.fingerprint],
        source_revision=made.get("revision", ""),
        command=public(made.get("command", "")),
    )
    return Attempts(
        matrix=cell.matrix,
        labels=dict(cell.labels),
        title=cell.title,
        visual=cell.visual,
        textual=cell.textual,
        dataset=cell.run.dataset.name,
        dataset_title=cell.run.dataset.title,
        seed=cell.run.seed,
        failures=(failure,),
    )


def public(command: str) -> str:
    """Return a command line without ``--home`` and the user's own folder, which change no figure.

    Where they lie is nobody's business. Half a surrogate pair, of a name that is not UTF-8, is no text.
    """
    words = shlex.split(command)
    kept = [
        word
        for before, word in zip(["", *words], words, strict=False)
        if "--home" not in (before, word) and not word.startswith("--home=")
    ]
    return _told(shlex.join(kept))


def _told(text: str, *stores: Path) -> str:
    """Return a text without the places of stores and the user's own folder; half a surrogate pair is no text."""
    named = [(place, ".harness") for store in stores for place in (store, store.resolve())]
    for place, name in (*named, (Path.home(), "~")):
        if len(place.parts) > 1:
            # As a whole: /home/ann is not the beginning of /home/anna.
            text = re.sub(rf"(?<![\w.-]){re.escape(str(place))}(?![\w-])", name, text)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
