"""The tables that exist: which rows stand in which, and what each is filled with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from harness.leaderboard.attempts import Attempts
from harness.leaderboard.groups import Group
from harness.leaderboard.published import NONE, OTHER_SPLIT, Published, milestone_rows, paper_rows
from harness.leaderboard.rows import Row
from harness.leaderboard.setting import SPLIT, Setting
from harness.leaderboard.tables import IMPORTED


@dataclass(frozen=True, kw_only=True)
class Board:
    """One benchmark.

    Args:
        file: name of the page.
        about: what is measured, in a sentence or two.
        datasets: patterns over the names of datasets in registry.yaml.
        evaluator: name in registry.yaml of the evaluator whose figures stand in the columns.
        paper: csv of the dual-path paper's table, if it has one.
        benchmark: its name in milestones.csv, if it has rows there.
        fill: commands that fill the measured part.
        split_note: what § says here.
        repeats: cell of a matrix -> the published method that it repeats, as its table names it.
        measured_on: what the published rows were measured on; ``None`` where no dataset here has it.
        marked_on: the same of those that carry §.
    """

    file: str
    title: str
    about: str
    datasets: tuple[str, ...]
    evaluator: str = "recall"
    paper: str = ""
    benchmark: str = ""
    fill: tuple[str, ...] = ()
    split_note: str = ""
    repeats: Mapping[tuple[str, str], str] = field(default_factory=dict)
    measured_on: Setting | None = None
    marked_on: Setting | None = None

    def holds(self, row: Row | Attempts) -> bool:
        """Tell whether a measured row, or one that was attempted, belongs here."""
        return any(fnmatchcase(row.dataset, pattern) for pattern in self.datasets)

    def published(self, folder: Path) -> list[Published]:
        """Read the published rows of this benchmark."""
        rows = paper_rows(folder / self.paper) if self.paper else []
        if self.benchmark:
            rows += milestone_rows(folder / "milestones.csv", self.benchmark)
        return rows

    def counterpart(self, group: Group, published: Sequence[Published]) -> Published | None:
        """Return the published row that a measured one repeats, or whose name an imported one bears."""
        imported = group.first.matrix == IMPORTED
        method = group.first.title if imported else self.repeats.get((group.first.matrix, group.variant))
        return next((row for row in published if row.method == method), None)

    def difference(self, group: Group, published: Sequence[Published]) -> str:
        """Return measured minus published rSum, or why there is none: ``other split`` or ``other protocol``.

        A dash stands where no published row is repeated, or it gives no rSum.
        """
        row = self.counterpart(group, published)
        measured = group.rsum(self.evaluator)
        if row is None or measured is None or not row.rsum.text:
            return NONE
        setting = self.marked_on if OTHER_SPLIT in row.marks else self.measured_on
        refused = setting.against(group, self.evaluator) if setting else SPLIT
        return refused or f"{measured.mean - float(row.rsum.text):+.1f}{row.rsum.marks}"


def _paper_rows(matrix: str, backbones: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """Name the paper's own rows by the cells that repeat them, see registry.yaml."""
    stages = {"one": "I", "two": "II"}
    return {
        (matrix, f"{label}-{stage}"): f"Ours ({name}), Stage {number}"
        for label, name in backbones.items()
        for stage, number in stages.items()
    }


_BACKBONES = {"vgg19": "VGG-19", "resnet50": "ResNet-50"}
_OURS = '"Ours" are rows of the dual-path paper (arXiv 1711.05535).'
_CARE = "not the Karpathy split, so read across with care."
_COCO_SPLIT = f"{_OURS} Its test images were drawn at random: {_CARE}"


def _fill(dataset: str) -> tuple[str, ...]:
    return f"harness data prepare {dataset} --from DIR", f"harness run --matrix ablations --dataset {dataset}"


FLICKR8K = Board(
    file="flickr8k.md",
    title="Flickr8k",
    about="1,000 test images, five captions each, the official split (Hodosh et al., JAIR 2013).",
    datasets=("flickr8k",),
    fill=_fill("flickr8k"),
)
FLICKR30K = Board(
    file="flickr30k.md",
    title="Flickr30k",
    about="1,000 test images with five captions each, the Karpathy split unless a row says otherwise.",
    datasets=("flickr30k", "flickr30k-*", "flickr8k-names"),
    paper="flickr30k_published.csv",
    benchmark="flickr30k",
    fill=_fill("flickr30k"),
    split_note=f"{_OURS} Its test images are those named in Flickr8k's test list: {_CARE}",
    repeats=_paper_rows("tables-flickr30k", {**_BACKBONES, "resnet152": "ResNet-152"}),
    measured_on=Setting(datasets=("flickr30k",), images=1000, captions=5000),
    marked_on=Setting(datasets=("flickr8k-names",), images=1000, captions=5000),
)
COCO_1K = Board(
    file="mscoco-1k.md",
    title="MSCOCO 1K",
    about="Mean over five consecutive folds of 1,000 images of the 5,000 test images (Karpathy split).",
    datasets=("mscoco", "mscoco-*"),
    evaluator="recall-1k",
    paper="coco1k_published.csv",
    benchmark="mscoco-1k",
    fill=_fill("mscoco"),
    measured_on=Setting(datasets=("mscoco",), images=5000, captions=25000, settings="folds: 5"),
    split_note=_COCO_SPLIT,
    repeats=_paper_rows("tables-mscoco", _BACKBONES),
)
COCO_5K = Board(
    file="mscoco-5k.md",
    title="MSCOCO 5K",
    about="All 5,000 test images (Karpathy split), the first five captions of each: 25,000 captions.",
    datasets=("mscoco", "mscoco-*"),
    paper="coco5k_published.csv",
    benchmark="mscoco-5k",
    fill=_fill("mscoco"),
    measured_on=Setting(datasets=("mscoco",), images=5000, captions=25000),
    split_note=_COCO_SPLIT,
    repeats=_paper_rows("tables-mscoco", _BACKBONES),
)
SHAPES = Board(
    file="shapes.md",
    title="Shapes",
    about=(
        "Generated scenes with near-twins that differ in one attribute. Synthetic: never to be compared with "
        "the tables of photographs. It needs no download."
    ),
    datasets=("shapes", "shapes-*"),
    fill=("harness run --matrix ablations --dataset shapes",),
)
BOARDS = (FLICKR8K, FLICKR30K, COCO_1K, COCO_5K, SHAPES)


def boards(rows: Sequence[Row | Attempts]) -> tuple[Board, ...]:
    """Return the known benchmarks, and one more for every other dataset that has rows, or attempts at them."""
    own = {row.dataset: row for row in rows if not any(board.holds(row) for board in BOARDS)}
    return BOARDS + tuple(
        Board(
            file=f"dataset-{name}.md",
            title=own[name].dataset_title,
            about="A dataset of a user of the harness.",
            datasets=(name,),
            fill=_fill(name),
        )
        for name in sorted(own)
    )
