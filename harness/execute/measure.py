"""Measures a run in small: its model, a few steps of its training, features of a few images. Nothing is stored."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from harness.collapse import Look
from harness.data import OpenDataset, open_dataset
from harness.evaluate import embed
from harness.execute.assemble import Gallery, build_model, frozen_part, open_galleries, part_at_test
from harness.execute.caches import Caches, Reading
from harness.execute.costs import Cost, read_key
from harness.execute.disk import gallery_bytes
from harness.execute.outcome import Workspace
from harness.execute.settings import settle
from harness.execute.stand_in import Builder, MadeUp, made_up
from harness.inputs import FeatureInputs, prepare_captions
from harness.model import Model
from harness.plan import RunSpec
from harness.plan.fingerprint import digest
from harness.protocols import SPLITS, ClosedFormLoss, FrozenPart, Split
from harness.ranking import rank
from harness.step import Numerics
from harness.task import Task
from harness.train import train

WARM, STEPS = 2, 3
"""Steps of training that are thrown away, and those that are measured after them."""
PATIENCE = 20.0
"""Seconds of training after which one measured step has to do."""
IMAGES = 64
"""Images that a look at val is measured on, and steps; a batch, if that is more. Cached features are made up."""
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

    That is opening a dataset, building an encoder that the run before had, filling a cache, and a look at val, which
    depends on the encoders and on what is frozen.

    Args:
        workspace: as for a run; nothing is written to its home.
        folder: for what training writes while it is measured.
        tell: called with what of a run is measured, before each part of it.
    """

    def __init__(self, workspace: Workspace, folder: Path, tell: Callable[[str], None]) -> None:
        self.workspace, self.tell = replace(workspace, home=folder), tell
        self.datasets: dict[str, tuple[OpenDataset, dict[str, Split]]] = {}
        self.looks: dict[str, tuple[float, float]] = {}
        self.builder = Builder()
        self.caches = Caches(folder, workspace.device)

    def measure(self, spec: RunSpec) -> Measured:
        """Build the model of a run and measure its parts.

        Raises:
            HarnessError: of any kind, as the run itself would.
        """
        settle(self.workspace)
        self.tell("model")
        begun, self.builder.saved = time.monotonic(), 0.0
        key = f"{spec.dataset.name} {spec.protocol} {spec.limit}"
        if key not in self.datasets:
            opened = open_dataset(spec.dataset, self.workspace.data, self.workspace.catalog)
            self.datasets[key] = opened, {name: opened.split(name, spec.limit) for name in SPLITS}
        dataset, splits = self.datasets[key]
        asked: list[FrozenPart] = []
        made, make = partial(MadeUp, asked), partial(self.builder, key)
        model = build_model(spec, self.workspace, dataset, splits["train"], _silent, made, make)
        part = frozen_part(spec, model)
        built = time.monotonic() - begun + self.builder.saved
        self.tell("caches")
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
        self.bench, self.workspace, self.spec = bench, bench.workspace, spec
        self.dataset, self.splits, self.model, self.part = dataset, splits, model, part
        self.compiling = 0.0

    def measured(self, built: float, readings: tuple[Reading, ...]) -> Measured:
        spec, model = self.spec, self.model
        frozen = tuple(spec.stage.freeze)
        self.bench.tell("steps")
        closed = any(isinstance(loss, ClosedFormLoss) for loss in model.losses.values())
        epoch = self._closed() if closed else self._epoch()
        reads = digest([read_key(spec.as_dict()), sorted(frozen), spec.dim])
        if reads not in self.bench.looks:
            self.bench.tell("look at val")
            self.bench.looks[reads] = self._look()
        look, caption = self.bench.looks[reads]
        captions = sum(len(split.captions) for split in self.splits.values())
        state = {name: tensor.nbytes for name, tensor in model.root.state_dict().items()}
        spared = frozenset(
            name for name in model.steady(frozen) if self.part is not None and name.startswith("image.")
        )
        trained = sum(parameter.nbytes for parameter in model.root.parameters() if parameter.requires_grad)
        return Measured(
            cost=Cost(
                prepare=built + self.compiling + captions * caption,
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
        """Open the first images of a split under one view; features of a frozen part are made up."""
        split = Split(name, self.splits[name].records[:images])
        part = self.part if name == "train" else part_at_test(self.part)
        if part is not None and -1 not in part.shape:
            count, device = len(split.records), self.workspace.device
            features = FeatureInputs(made_up(part, count, count)[None].to(device))
            return Gallery(split, features, prepare_captions(self.model.text, split.captions, device))
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
        begun = time.monotonic()
        with contextlib.suppress(_Enough):
            train(self._task(gallery, replace(self.spec, stage=stage), mark))
        steps = marks[WARM - 1 :] if len(marks) > WARM else marks
        seconds = (steps[-1] - steps[0]) / (len(steps) - 1)
        if self.workspace.compile:
            self.compiling = max(marks[0] - begun - seconds, 0.0)
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
            validate=lambda: Look(rsum=0.0),
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


def _silent(phase: str, done: int, total: int, note: str) -> None:
    """Tell nobody."""
