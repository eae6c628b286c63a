"""The two ablations that the dual-path paper printed, by the variant of registry.yaml that repeats each row."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InputError, nearest
from harness.leaderboard.markdown import escape
from harness.leaderboard.published import MARKS, NONE, NOT_CERTAIN, read_csv

LOSSES = "table4_loss_ablation_flickr30k_val.csv"
CLASSES = "table5_kclass_coco.csv"
CERTAINTY = "certainty"
"""Header of the column of letters."""

_VARIANTS = {
    ("Only Ranking Loss", "I"): "ranking",
    ("Only Instance Loss", "I"): "instance",
    ("Instance Loss + Ranking Loss", "I"): "both",
    ("Only Ranking Loss", "II"): "ranking-two",
    ("Only Instance Loss", "II"): "instance-two",
    ("Full model", "II"): "full",
}
_FIGURES = {"not certain (seed only)": f"figures {MARKS[NOT_CERTAIN].rstrip('.')}"}


@dataclass(frozen=True, kw_only=True)
class Printed:
    """One row as the paper prints it.

    Args:
        figures: ``i2t.recall@1`` and others, in percent.
        notes: what is known of its certainty, a sentence each.
        count: number of classes; 0 where it is no matter.
    """

    figures: Mapping[str, str]
    notes: tuple[str, ...]
    count: int = 0

    def cells(self, columns: Sequence[str]) -> list[str]:
        """Return its figures, a dash for one that the paper does not give."""
        return [escape(self.figures.get(column, "")) or NONE for column in columns]


NOT_PRINTED = Printed(figures={}, notes=())


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """One ablation of the paper.

    Args:
        file: its csv.
        setting: data and networks.
        rows: by variant, in the paper's order.
    """

    file: str
    setting: str
    rows: Mapping[str, Printed]

    @property
    def letters(self) -> dict[str, str]:
        """A letter for each note, in the order in which they stand."""
        notes = dict.fromkeys(note for row in self.rows.values() for note in row.notes)
        return {note: chr(ord("a") + place) for place, note in enumerate(notes)}

    @property
    def footnotes(self) -> str:
        """What the letters say, as a list."""
        return "\n".join(f"- {letter}: {escape(note, longest=300)}." for note, letter in self.letters.items())

    def marks(self, row: Printed) -> str:
        """Return the letters of a row."""
        return ", ".join(self.letters[note] for note in row.notes) or NONE

    def difference(self, more: str, less: str) -> str:
        """Return by how much one variant leads another in both R@1, ``+33.8 and +23.3``; empty if not printed."""
        rows = [self.rows.get(name, NOT_PRINTED) for name in (more, less)]
        changes = []
        for column in ("i2t.recall@1", "t2i.recall@1"):
            figures = [row.figures.get(column, "") for row in rows]
            if not all(figures):
                return ""
            changes.append(f"{float(figures[0]) - float(figures[1]):+.1f}")
        return " and ".join(changes)


def losses_of_paper(folder: Path) -> PaperTable:
    """Read Table 4, losses and stages.

    Raises:
        InputError: names the file and what is wrong in it.
    """
    path, rows = folder / LOSSES, {}
    records = read_csv(path)
    for row in records:
        stage = row["stage_best_reading"]
        printed = f"; the scan has Stage {row['stage_in_seed']}" if row["stage_in_seed"] != stage else ""
        found = (row["method"], stage)
        if found not in _VARIANTS:
            known = [f"{method}, {stage}" for method, stage in _VARIANTS]
            name = ", ".join(found)
            raise InputError(f"{path}: unknown row {name!r}{nearest(name, known)}")
        notes = [
            _certainty(row["numbers_certainty"]),
            f"stage: {row['stage_certainty']}{printed}",
            row["note"],
        ]
        rows[_VARIANTS[found]] = Printed(
            figures=_figures(row, path, (1, 10)), notes=tuple(note for note in notes if note)
        )
    return PaperTable(file=LOSSES, setting=_setting(records, ("split", "backbone")), rows=rows)


def classes_of_paper(folder: Path) -> PaperTable:
    """Read Table 5, pseudo-classes against instance loss: ``k-2.6`` is 2.6 % of the training images.

    Raises:
        InputError: names the file and what is wrong in it.
    """
    path = folder / CLASSES
    records = read_csv(path)
    counts = [_count(row["method"], path) for row in records]
    rows = {}
    for row, count in zip(records, counts, strict=True):
        # Instance loss gives every image a class: the most that there are.
        name = "instance" if count == max(counts) else f"k-{100 * count / max(counts):.1f}"
        notes = [_certainty(row["numbers_certainty"]), row["note"]]
        rows[name] = Printed(
            figures=_figures(row, path, (1,)), notes=tuple(note for note in notes if note), count=count
        )
    return PaperTable(file=CLASSES, setting=_setting(records, ("protocol", "backbone")), rows=rows)


def _setting(records: Sequence[Mapping[str, str]], columns: tuple[str, str]) -> str:
    first, second = columns
    found = dict.fromkeys(f"{row['dataset']} {row[first]}, {row[second]}" for row in records)
    return "; ".join(escape(text) for text in found)


def _certainty(words: str) -> str:
    return _FIGURES.get(words, f"figures: {words}")


def _count(method: str, path: Path) -> int:
    found = re.search(r"\b([1-9][0-9]+)\b", method)
    if found is None:
        raise InputError(f"{path}: {method!r} names no number of classes")
    return int(found[1])


def _figures(row: Mapping[str, str], path: Path, ks: tuple[int, ...]) -> dict[str, str]:
    figures = {f"{side}.recall@{k}": row[f"{side}_R{k}"] for side in ("i2t", "t2i") for k in ks}
    for text in figures.values():
        if text and not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
            raise InputError(f"{path}: {text!r} is not a figure")
    return {name: text for name, text in figures.items() if text}
