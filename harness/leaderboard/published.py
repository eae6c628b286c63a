"""Published rows, from `leaderboards/published/*.csv`, with what is known of their certainty."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from harness.errors import InputError, nearest

RECALLS = tuple(f"{side}.recall@{k}" for side in ("i2t", "t2i") for k in (1, 5, 10))

NOT_CERTAIN, REPAIRED, SECONDARY, OTHER_SPLIT = "?", "°", "‡", "§"
NONE = "\N{EN DASH}"
LOST = f"{NONE}?"
MARKS = {
    NOT_CERTAIN: "not certain: read from one scan of the paper's table and confirmed nowhere.",
    REPAIRED: "the scan lost a decimal point or a digit, which was put back (column `ocr_repairs`).",
    LOST: "lost in the scan: whether the paper gives this figure is unknown.",
    SECONDARY: "taken from a secondary source, not from the paper itself.",
}
WORDS = {
    LOST: "lost",
    NOT_CERTAIN: "not certain",
    REPAIRED: "repaired",
    SECONDARY: "secondary source",
    OTHER_SPLIT: "other split",
}
"""What a mark says, where there is no legend."""
# Every word of the certainty columns; another one is an error, so that none is dropped in silence.
_RECALLS_CERTAINTY = {"confirmed by secondary source": "", "not certain (seed only)": NOT_CERTAIN}
_MEDR_CERTAINTY = {"not certain (seed only)": NOT_CERTAIN, "not reported": "", "unknown (lost in OCR)": LOST}
_MILESTONE_CERTAINTY = {
    "secondary": SECONDARY,
    "secondary (README revises upward)": SECONDARY,
    "author's issue": "",
    "author's readme": "",
    "measured by open_clip": "",
}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure as its source prints it, in percent or as a rank; empty where there is none."""

    text: str = ""
    marks: str = ""

    @property
    def cell(self) -> str:
        """The figure with its marks; a dash where there is none."""
        if self.text:
            return self.text + self.marks
        return LOST if self.marks == LOST else NONE


@dataclass(frozen=True, kw_only=True)
class Published:
    """One row of the literature.

    Args:
        figures: ``i2t.recall@1`` .. ``t2i.median_rank``.
        marks: marks of the row as a whole, after the method.
        file: csv that it comes from.
        certainty: the csv's words, and its source where it names one.
    """

    method: str
    visual: str
    textual: str
    figures: Mapping[str, Figure]
    marks: str
    file: str
    certainty: str

    @property
    def rsum(self) -> Figure:
        """Sum of the six recalls, where all are there, with the marks of all."""
        recalls = [self.figures[name] for name in RECALLS]
        if not all(figure.text for figure in recalls):
            return Figure()
        marks = "".join(mark for mark in (NOT_CERTAIN, REPAIRED) if any(mark in f.marks for f in recalls))
        return Figure(text=str(sum(Decimal(figure.text) for figure in recalls)), marks=marks)


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read a csv with a header, cells as they stand; nothing where there is no file.

    Raises:
        InputError: names the line whose number of cells is not the header's.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            rows = []
            for cells in reader:
                if len(cells) != len(header):
                    raise InputError(
                        f"{path}, line {reader.line_num}: {len(cells)} cells, expected {len(header)}"
                    )
                rows.append(dict(zip(header, cells, strict=True)))
            return rows
    except FileNotFoundError:
        return []
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a readable csv: {error}") from error


def paper_rows(path: Path) -> list[Published]:
    """Read a table of the dual-path paper; its own rows, named Ours, are on other splits and carry §.

    Raises:
        InputError: names the file and what is wrong in it.
    """
    published = []
    for row in read_csv(path):
        recalls = _mark(_RECALLS_CERTAINTY, row["recalls_certainty"], path)
        ranks = _mark(_MEDR_CERTAINTY, row["medr_certainty"], path)
        figures = {}
        for side in ("i2t", "t2i"):
            for k in (1, 5, 10):
                figures[f"{side}.recall@{k}"] = _figure(
                    row[f"{side}_R{k}"], recalls, row["ocr_repairs"], path
                )
            figures[f"{side}.median_rank"] = _figure(row[f"{side}_MedR"], ranks, row["ocr_repairs"], path)
        published.append(
            Published(
                method=row["method"] + (f", Stage {row['stage']}" if row["stage"] else ""),
                visual=row["visual"],
                textual=row["textual"],
                figures=figures,
                marks=OTHER_SPLIT if row["method"].startswith("Ours") else "",
                file=path.name,
                certainty=row["recalls_certainty"],
            )
        )
    return published


def milestone_rows(path: Path, benchmark: str) -> list[Published]:
    """Read the later methods of one benchmark; the setting, such as zero-shot, stands with the method.

    Raises:
        InputError: names the file and what is wrong in it.
    """
    published = []
    for row in read_csv(path):
        if row["benchmark"] != benchmark:
            continue
        figures = {
            f"{side}.recall@{k}": _figure(row[f"{side}_r{k}"], "", "", path)
            for side in ("i2t", "t2i")
            for k in (1, 5, 10)
        }
        published.append(
            Published(
                method=f"{row['method']}, {row['setting']}",
                visual="",
                textual="",
                figures=figures | {f"{side}.median_rank": Figure() for side in ("i2t", "t2i")},
                marks=_mark(_MILESTONE_CERTAINTY, row["certainty"], path),
                file=path.name,
                certainty=f"{row['certainty']}: {row['source']}",
            )
        )
    return published


def mark_notes(published: Sequence[Published], split_note: str) -> list[str]:
    """Explain the marks that stand in published rows."""
    marks = "".join(row.marks + "".join(f.marks for f in row.figures.values()) for row in published)
    notes = [f"{mark} {text}" for mark, text in MARKS.items() if _stands(mark, marks)]
    if OTHER_SPLIT in marks:
        notes.append(f"{OTHER_SPLIT} {split_note}")
    if any("†" in row.textual for row in published):
        notes.append("† is part of a name: the paper's text path, a ResNet over words.")
    return notes


def _stands(mark: str, marks: str) -> bool:
    # The mark of a lost figure ends with that of an uncertain one.
    return mark in marks.replace(LOST, "") if mark == "?" else mark in marks


def _mark(known: Mapping[str, str], certainty: str, path: Path) -> str:
    if certainty not in known:
        raise InputError(f"{path}: unknown certainty {certainty!r}{nearest(certainty, known)}")
    return known[certainty]


def _figure(text: str, mark: str, repairs: str, path: Path) -> Figure:
    if not text:
        return Figure(marks=LOST if mark == LOST else "")
    try:
        finite = Decimal(text).is_finite()
    except ArithmeticError:
        finite = False
    if not finite:
        raise InputError(f"{path}: {text!r} is not a figure")
    return Figure(text=text, marks=mark + (REPAIRED if _repaired(text, repairs) else ""))


def _repaired(text: str, repairs: str) -> bool:
    """Tell whether the figure was mended: ``354>35.4``, or a scanned token that lacks its point."""
    for token in repairs.replace("tokens=", "").split():
        before, _, after = token.partition(">")
        if after == text or (
            not after and before.isdecimal() and before != text and before == text.replace(".", "")
        ):
            return True
    return False
