"""One stage to train, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.accumulation import Parts
from harness.collapse import Look
from harness.distributed import ALONE, Team
from harness.inputs import ImageInputs
from harness.model import Model
from harness.protocols import Split
from harness.registry import Stage
from harness.step import Numerics

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class State:
    """Where training stands; what a checkpoint holds beside weights and optimiser.

    Attributes:
        epoch, step: the epoch, from 1, and the steps of it that are done.
        sums: of the epoch's figures.
        ranges: of the epoch's terms, see `harness.tally.Ranges`.
        best: the weights of `best_epoch`.
        misses: looks at val since then.
        parts: the most that a batch was embedded in.
        alive: whether some look found no path to have collapsed.
        same: at the last look, see `harness.collapse.Look`.
    """

    epoch: int = 1
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    ranges: dict[str, tuple[float, float, int]] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_rsum: float = -1.0
    misses: int = 0
    seconds: float = 0.0
    best: dict[str, Any] = field(default_factory=dict)
    parts: int = 1
    alive: bool = False
    same: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Trained:
    """What a stage gave; the model carries the weights that were best on val."""

    history: list[dict[str, float]]
    best_epoch: int
    best_rsum: float
    seconds: float
    resumed_from: int
    parts: int = 1


@dataclass(frozen=True, eq=False, kw_only=True)
class Task:
    """One stage to train.

    Args:
        split: the train split.
        images: its image inputs.
        texts: (m, ...) its prepared captions.
        stage: schedule and optimiser.
        seed: drives order, captions, views, dropout.
        unsaved: globs over names that stay out of checkpoints: a frozen part whose own address tells its weights.
        validate: looks at val with the model as it stands.
        checkpoint: file that holds a run in progress.
        progress: called with phase, steps done, steps in all and a note.
        stopping: returns the number of a signal that arrived, or 0.
        note: is told what a person should know.
        numerics: precision and compilation of a step.
        parts: in how many a batch is embedded.
        team: the processes that share each batch. Those that do not lead need not validate or write, and are not told.
    """

    model: Model
    split: Split
    images: ImageInputs
    texts: Tensor
    stage: Stage
    seed: int
    unsaved: tuple[str, ...]
    validate: Callable[[], Look]
    checkpoint: Path
    progress: Callable[[str, int, int, str], None]
    stopping: Callable[[], int]
    note: Callable[[str], None]
    numerics: Numerics = field(default_factory=Numerics)
    parts: Parts = field(default_factory=Parts)
    team: Team = ALONE
