"""An objective with a solution in closed form, in place of gradient steps."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from harness.errors import TrainingError
from harness.protocols import ClosedFormLoss
from harness.task import Task, Trained

if TYPE_CHECKING:
    from torch import Tensor


def solve(task: Task, closed: Mapping[str, ClosedFormLoss]) -> Trained:
    """Let the only loss of a stage set both encoders.

    Raises:
        TrainingError: if it is not the only one, or a figure of it is not finite.
    """
    if len(task.model.losses) > 1:
        raise TrainingError(f"the closed-form loss {next(iter(closed))!r} cannot be mixed with other losses")
    start = time.monotonic()
    task.progress("solve", 0, 1, "closed form")
    task.model.root.eval()
    figures = next(iter(closed.values())).fit(task.model.image, task.model.text, _Pairs(task))
    broken = [name for name, figure in figures.items() if not math.isfinite(figure)]
    if broken:
        raise TrainingError(f"the closed-form loss returned a figure that is not finite: {', '.join(broken)}")
    seconds = time.monotonic() - start
    rsum = task.validate().rsum
    task.progress("solve", 1, 1, f"val rSum {rsum:.1f}")
    row = {"epoch": 1.0, "seconds": seconds, "val.rsum": rsum, **{k: float(v) for k, v in figures.items()}}
    return Trained([row], 1, rsum, seconds, 0)


class _Pairs:
    """The train split for a closed-form loss."""

    def __init__(self, task: Task) -> None:
        import torch

        self.task = task
        self.caption_image = torch.from_numpy(task.split.caption_image)

    def images(self) -> Iterator[Tensor]:
        """Yield all images in order, under the test view."""
        import numpy as np

        n = len(self.task.split.records)
        yield from self.task.images.batches(np.arange(n), np.zeros(n, dtype=np.int64), 1024, None)

    def texts(self) -> Iterator[Tensor]:
        """Yield all captions in order."""
        import torch

        yield from torch.split(self.task.texts, 1024)
