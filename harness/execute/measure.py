"""Measures a run in small: its model, a few steps of its training, features of a few images. Nothing is stored."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data import OpenDataset, open_dataset
from harness.evaluate import embed
from harness.execute.assemble import Gallery, build_model, frozen_part, open_galleries
from harness.execute.caches import Caches, Reading
from harness.execute.costs import Cost
from harness.execute.disk import gallery_bytes
from harness.execute.outcome import Workspace
from harness.execute.pretrained import Pretrained
from harness.execute.settings import settle
from harness.inputs import prepare_captions
from harness.model import Model, matches
from harness.plan import RunSpec
from harness.protocols import SPLITS, ClosedFormLoss, FrozenPart, Split
from harness.ranking import rank
from harness.step import Numerics
from harness.task import Task
from harness.train import train

if TYPE_CHECKING:
    from torch import Tensor

WARM, STEPS = 2, 3
"""Steps of training that are thrown away, and those that are measured after them."""
PATIENCE = 20.0
"""Seconds of training after which one measured step has to do."""
IMAGES = 64
"""Images that a look at val is measured on, and steps; a batch, if that is more."""
FITS = (32, 128)
"""Images on which an objective in closed form is solved, to tell what each of them takes."""
_NEVER = 10**9


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one combination takes.

    Attributes:
        sizes: bytes of all weights, by name.
        spared: names that a run does not store, unless its parent did.
        moments: bytes that the optimiser keeps, in a checkpoint only.
        gallery: bytes of embeddings and ranks of the test split.
        readings: what it reads from caches.
    """

    cost: Cost
    sizes: dict[str, int]
    spared: frozenset[str]
    moments: int
    gallery: int
    readings: tuple[Reading, ...]


class Bench:
    """Measures runs one after the other; what they share is measured once.

    Args:
        workspace: as for a run; nothing is written to its home.
        folder: for what training writes while it is measured.
    """

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        self.workspace = replace(workspace, home=folder)
        self.datasets: dict[str, OpenDataset] = {}
        self.caches = Caches(folder, workspace.device)

    def measure(self, spec: RunSpec) -> Measured:
        """Build the model of a run and measure its parts.

        Raises:
            HarnessError: of any kind, as the run itself would.
        """
        settle(self.workspace)
        begun = time.monotonic()
        key = f"{spec.dataset.name} {spec.protocol}"
        if key not in self.datasets:
            self.datasets[key] = open_dataset(spec.dataset, self.workspace.data, self.workspace.catalog)
        dataset = self.datasets[key]
        splits = {name: dataset.split(name, spec.limit) for name in SPLITS}
        asked: list[FrozenPart] = []
        stand_in = partial(_StandIn, asked)
        model = build_model(spec, self.workspace, dataset, splits["train"], _silent, stand_in)
        part = frozen_part(spec, model)
        built = time.monotonic() - begun
        readings = self.caches.readings(spec, dataset, splits, model, part, asked)
        return _Run(self, spec, dataset, splits, model, part).measured(built, readings)


class _Run:
    """One run with its model built, measured on the first images of its splits."""

    def __init__(
        self,
        bench: Bench,
        spec: RunSpec,
        dataset: OpenDataset,
        splits: dict[str, Split],
        model: Model,
        part: FrozenPart | None,
    ) -> None:
        self.workspace, self.spec, self.dataset, self.splits = bench.workspace, spec, dataset, splits
        self.model, self.part = model, part

    def measured(self, built: float, readings: tuple[Reading, ...]) -> Measured:
        spec, model = self.spec, self.model
        closed = any(isinstance(loss, ClosedFormLoss) for loss in model.losses.values())
        epoch = self._closed() if closed else self._epoch()
        look, caption = self._look()
        captions = sum(len(split.captions) for split in self.splits.values())
        frozen = tuple(spec.stage.freeze)
        state = {name: tensor.nbytes for name, tensor in model.root.state_dict().items()}
        spared = frozenset(
            name
            for name in state
            if self.part is not None and name.startswith("image.") and matches(name, frozen)
        )
        trained = sum(parameter.nbytes for parameter in model.root.parameters() if parameter.requires_grad)
        return Measured(
            cost=Cost(
                prepare=built + captions * caption,
                epoch=epoch,
                evaluation=look * len(self.splits["val"].records),
                test=look * len(self.splits["test"].records),
            ),
            sizes=state,
            spared=spared,
            moments=0 if closed else trained * (2 if spec.stage.optimizer == "adamw" else 1),
            gallery=gallery_bytes(self.splits["test"], spec.dim, self.workspace.home),
            readings=readings,
        )

    def _gallery(self, name: str, images: int) -> Gallery:
        """Open the first images of a split under one view."""
        split = Split(name, self.splits[name].records[:images])
        one = replace(self.spec, stage=self.spec.stage.model_copy(update={"views": 1}))
        opened = open_galleries(
            one, self.workspace, self.dataset, {name: split}, self.model, self.part, _silent
        )
        return opened[name]

    def _epoch(self) -> float:
        """Return the seconds of an epoch: those of a step, from a training that is left after a few of them."""
        stage, total = self.spec.stage, len(self.splits["train"].records)
        batch = min(stage.batch, total)
        # Loading is part of a step that starts from pixels: then every step has images of its own.
        gallery = self._gallery("train", max(IMAGES, batch if self.part else batch * (WARM + STEPS + 1)))
        marks: list[float] = []

        def mark() -> int:
            marks.append(time.monotonic())
            if len(marks) == WARM + STEPS or (len(marks) > 1 and marks[-1] - marks[0] > PATIENCE):
                raise _Enough
            return 0

        stage = stage.model_copy(
            update={"epochs": _NEVER, "evaluate_every": _NEVER, "patience": None, "lr": stage.lr * 1e-6}
        )
        with contextlib.suppress(_Enough):
            train(self._task(gallery, replace(self.spec, stage=stage), mark))
        steps = marks[WARM - 1 :] if len(marks) > WARM else marks
        seconds = (steps[-1] - steps[0]) / (len(steps) - 1)
        return seconds * max(-(-total // batch), 1)

    def _closed(self) -> float:
        """Return the seconds of the solution: a part that images do not change, and a part for each of them."""
        total = len(self.splits["train"].records)
        sizes = sorted({min(size, total) for size in FITS})
        took = {}
        for size in (sizes[0], *sizes):  # the first is slower
            gallery = self._gallery("train", size)
            took[size] = train(self._task(gallery, self.spec, lambda: 0)).seconds
        least, most = sizes[0], sizes[-1]
        each = max(took[most] - took[least], 0.0) / max(most - least, 1)
        return took[most] + each * (total - most)

    def _task(self, gallery: Gallery, spec: RunSpec, stopping: Callable[[], int]) -> Task:
        return Task(
            model=self.model,
            split=gallery.split,
            images=gallery.images,
            texts=gallery.texts,
            stage=spec.stage,
            seed=spec.seed,
            unsaved=(),
            validate=lambda: 0.0,
            checkpoint=self.workspace.home / f"{spec.fingerprint}.pt",
            progress=_silent,
            note=lambda text: None,
            stopping=stopping,
            numerics=Numerics(precision=spec.precision, compile=self.workspace.compile),
        )

    def _look(self) -> tuple[float, float]:
        """Return the seconds of a look at val for each image, and of preparing one caption."""
        val = self._gallery("val", IMAGES)
        took: list[float] = []
        while not took or (len(took) < 2 and took[0] < 1.0):  # the first is slower
            begun = time.monotonic()
            rank(val.split, *embed(val.split, self.model.image, self.model.text, val.images, val.texts))
            took.append(time.monotonic() - begun)
        begun = time.monotonic()
        prepare_captions(self.model.text, val.split.captions, self.workspace.device)
        caption = (time.monotonic() - begun) / len(val.split.captions)
        return took[-1] / len(val.split.records), caption


class _Enough(BaseException):
    """Leaves a training whose steps have been measured. No error: nothing catches it by accident."""


class _StandIn(Pretrained):
    """Makes features up, with few different rows: clustering them takes next to no time. Nothing is remembered.

    Args:
        asked: gets the frozen part, if a component asks for its features.
    """

    def __init__(self, asked: list[FrozenPart], *run: Any) -> None:
        super().__init__(*run)
        self.asked = asked

    def features(self) -> Tensor:
        import numpy as np
        import torch

        part = self.part()
        self.asked.append(part)
        rows = np.random.default_rng(0).standard_normal((8, *part.shape), dtype=np.float32)
        count = len(self.split.records)
        return torch.from_numpy(np.ascontiguousarray(np.resize(rows, (count, *part.shape))))

    def remember(self, key: str, compute: Callable[[], Tensor]) -> Tensor:
        return compute()


def _silent(phase: str, done: int, total: int, note: str) -> None:
    """Tell nobody."""
