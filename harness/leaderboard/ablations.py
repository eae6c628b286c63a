"""The paper's two ablations beside what was measured of them, and all other changes of a recipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.leaderboard.attempts import Attempts
from harness.leaderboard.changes import ABOUT, changes, reference
from harness.leaderboard.classes import classes_design, share, table_five
from harness.leaderboard.design import Design, setting
from harness.leaderboard.effects import Cells, basis, choose
from harness.leaderboard.failed import failed_sections
from harness.leaderboard.groups import Group, grouped, passport_letters
from harness.leaderboard.losses import STAGES, losses_design, main_effects, table_four
from harness.leaderboard.markdown import escape
from harness.leaderboard.matrices import crossed, matrix_sections
from harness.leaderboard.paper import PaperTable, classes_of_paper, losses_of_paper
from harness.leaderboard.provenance import how_measured
from harness.leaderboard.questions import verdict
from harness.leaderboard.ranks import Ranks
from harness.leaderboard.rows import Row, natural
from harness.leaderboard.tables import EVALUATOR

MATRIX = "ablations"
FILL = ("harness run --matrix ablations",)


def ablations_page(
    rows: Sequence[Row], folder: Path, ranks: Ranks, attempts: Sequence[Attempts] = ()
) -> list[str]:
    """Return the sections: for each dataset the paper's tables and all other changes, then what no dataset has.

    Matrices of several choices follow, each with what its choices do.

    Args:
        folder: of the published tables.
        ranks: the ranks behind the rows.
        attempts: those that failed.
    """
    own = [row for row in rows if row.matrix == MATRIX]
    failed = [one for one in attempts if one.matrix == MATRIX]
    losses, classes = losses_of_paper(folder), classes_of_paper(folder)
    sections, shown = ["# Ablations", ABOUT], set()
    for dataset in sorted({row.dataset for row in own}, key=natural):
        members = [row for row in own if row.dataset == dataset]
        tried = [one for one in failed if one.dataset == dataset]
        groups = sorted(grouped(members, tried), key=lambda group: [natural(label) for label in group.labels])
        designs = _designs(groups, losses, classes, ranks)
        sections.append(f"## {escape(members[0].dataset_title)}")
        for design, cells in designs:
            sections += _side_by_side(design, cells, groups)
        shown |= {design.paper.file for design, _ in designs}
        told = [group for _, cells in designs for group in cells.groups.values()]
        rest = [group for group in groups if group not in told]
        if rest:
            base = reference(groups)
            sections += ["### Other changes"] if designs else []
            rest = [base, *(group for group in rest if group is not base)]
            sections += changes(rest, _letters(rest, groups))
        sections += failed_sections(members, groups, tried, "###")
        sections.append(how_measured(members, FILL, tried))
    sections += failed_sections(
        (), (), [one for one in failed if all(one.dataset != row.dataset for row in own)]
    )
    if not own:
        sections.append(how_measured((), FILL))
    for design in (losses_design(losses), classes_design(classes, ())):
        if design.paper.rows and design.paper.file not in shown:
            sections += [f"## Published: {design.title}", _source(design)]
            sections += [design.published(), design.paper.footnotes]
    return sections + _crossed(rows, ranks, attempts)


def _crossed(rows: Sequence[Row], ranks: Ranks, attempts: Sequence[Attempts]) -> list[str]:
    sections = []
    for name in crossed(rows):
        own = [row for row in rows if row.matrix == name]
        sections += [f"## Matrix `{escape(name)}`"]
        for dataset in sorted({row.dataset for row in own}, key=natural):
            members = [row for row in own if row.dataset == dataset]
            tried = [one for one in attempts if (one.matrix, one.dataset) == (name, dataset)]
            groups = grouped(members, tried)
            sections += [f"### {escape(members[0].dataset_title)}", *matrix_sections(groups, ranks)]
            sections += failed_sections(members, groups, tried, "####")
        sections.append(how_measured(own, (), [one for one in attempts if one.matrix == name]))
    return sections


def printed(folder: Path) -> int:
    """Return how many published rows the page shows."""
    return len(losses_of_paper(folder).rows) + len(classes_of_paper(folder).rows)


def _designs(
    groups: Sequence[Group], losses: PaperTable, classes: PaperTable, ranks: Ranks
) -> list[tuple[Design, Cells]]:
    """Return the paper's tables of which one dataset has more than the reference, and its part in them."""
    variants, found = sorted({group.variant for group in groups}), []
    if table_four(variants):
        found.append((losses_design(losses), choose(groups, STAGES, EVALUATOR, ranks)))
    if table_five(variants):
        own = [name for name in variants if share(name) is not None]
        found.append((classes_design(classes, own), choose(groups, own, EVALUATOR, ranks)))
    return found


def _letters(shown: Iterable[Group], groups: Sequence[Group]) -> dict[str, str]:
    """Return the letters of a dataset's protocols, if one of its tables has more than one."""
    return passport_letters(groups) if passport_letters(shown) else {}


def _source(design: Design) -> str:
    paper = design.paper
    return f"Published ([{paper.file}](published/{paper.file})): {paper.setting}."


def _side_by_side(design: Design, cells: Cells, groups: Sequence[Group]) -> list[str]:
    letters = _letters(cells.groups.values(), groups)
    measured = f"Measured: {setting(cells)}."
    compared = design.side_by_side(cells, EVALUATOR, letters)
    sections = [f"### {design.title}"]
    if design.paper.rows:
        sections += [f"{_source(design)} {measured} {_LEVELS}", compared, design.paper.footnotes]
    else:
        sections += [measured, compared]
    sections += [f"{verdict(cells.groups.values(), EVALUATOR, letters)}."] if letters else []
    effects = cells.effects(design.asked())
    sections += ["Does the paper's order hold, by rSum?", design.order(cells, effects)]
    if design.contrasts:
        sections += main_effects(cells, effects)
    note = basis(cells, effects.values())
    return [*sections, note] if note else sections


_LEVELS = (
    "The two sides were not measured on the same images: their levels cannot be compared, only their order."
)
