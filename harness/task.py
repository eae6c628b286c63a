"""One stage to train, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.distributed import ALONE, Team
from harness.inputs import ImageInputs
from harness.model import Model
from harness.protocols import Split
from harness.registry import Stage
from harness.step import Numerics

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Trained:
    """What a stage gave; the model carries the weights that were best on val."""

    history: list[dict[str, float]]
    best_epoch: int
    best_rsum: float
    seconds: float
    resumed_from: int


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
        validate: returns rSum on val, 0..600, of the model as it stands.
        checkpoint: file that holds a run in progress.
        progress: called with phase, steps done, steps in all and a note.
        stopping: returns the number of a signal that arrived, or 0.
        note: is told what a person should know.
        numerics: precision and compilation of a step.
        team: the processes that share each batch. Those that do not lead need not validate or write, and are not told.
    """

    model: Model
    split: Split
    images: ImageInputs
    texts: Tensor
    stage: Stage
    seed: int
    unsaved: tuple[str, ...]
    validate: Callable[[], float]
    checkpoint: Path
    progress: Callable[[str, int, int, str], None]
    stopping: Callable[[], int]
    note: Callable[[str], None]
    numerics: Numerics = field(default_factory=Numerics)
    team: Team = ALONE
