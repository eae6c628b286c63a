"""`harness bench train`: whole steps from pixels beside the bare forward and backward pass of the image encoder."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.bench.contest import Contender, Rounds, contest
from harness.bench.memory import ExtraMemory
from harness.bench.origin import load_average, origin_of
from harness.bench.report import Fact, Group, Ratio, Report
from harness.bench.training import Photo, Recipe, Trainer
from harness.execute.settings import settle
from harness.step import Numerics

if TYPE_CHECKING:
    from torch import Tensor

WHOLE, BARE, INPUT = "whole steps", "bare image encoder", "reading batches"
REACH = 0.9
"""Share of the bare rate that whole steps are to reach on a GPU; a CPU has no second pair of hands for the rest."""
PACKAGES = ("torch", "torchvision", "timm", "pillow", "retrieval-harness-dualpath")


@dataclass(frozen=True, kw_only=True)
class TrainBench(Rounds):
    """What to measure.

    Attributes:
        recipe: names the experiment.
        stage: of registry.yaml; what it freezes is run through all the same, since nothing is cached here.
        images: photographs that are generated.
        classes: of the classifier: the size of the train split that is stood for.
        numerics: precision and compilation.
    """

    recipe: Recipe
    stage: str
    images: int
    classes: int
    numerics: Numerics


def measure(bench: TrainBench, told: Callable[[str], None]) -> Report:
    """Time an epoch of whole steps, of the image encoder alone on batches that are ready, and of reading.

    Raises:
        InputError: if there is no such experiment, stage or profile.
        RunError: if a step fails.
    """
    load = load_average()
    bench.recipe.check()
    settle(bench.workspace)
    stage = bench.recipe.stage(bench.stage)
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        told(f"{bench.images} images, {stage.name}, batches of {min(stage.batch, bench.images)}")
        photo = Photo(bench.recipe, stage, bench.workspace, Path(folder), bench.images, bench.classes)
        threads = bench.workspace.threads
        # As a run has them.
        workers = 0 if threads < 3 else threads // 2
        trainer = photo.trainer(photo.pixels(workers=workers), bench.numerics)
        group = _group(bench, trainer)
    profile, device = bench.recipe.profile, bench.workspace.device.partition(":")[0]
    scale = "the paper's sizes" if profile is None else f"profile {profile}"
    name = f"{bench.recipe.experiment}, {stage.name}"
    parts = ("train", bench.recipe.experiment, stage.name, profile, None if device == "cpu" else device)
    return Report(
        benchmark="train",
        section="-".join(part for part in parts if part),
        heading=f"Whole steps: {name}, {scale}, {device}",
        about=_about(bench, stage.batch, scale, name),
        groups=(group,),
        origin=origin_of(bench.workspace, PACKAGES, load),
    )


def _about(bench: TrainBench, batch: int, scale: str, name: str) -> str:
    compiled = f", compiled by {bench.numerics.compile}" if bench.numerics.compile else ""
    return (
        f"An epoch over {bench.images:,} generated photographs out of the decoded cache, {name}, {scale}, batches of "
        f"{min(batch, bench.images)}, precision {bench.numerics.precision}{compiled}; the classifier has "
        f"{bench.classes:,} classes. Whole steps are those of a run, by the same code: they read, crop and copy the "
        "images, run both paths, mine what the losses ask for, look at the gradients, update the weights, and sum up "
        "their figures. The bare image encoder runs forward and backward on one batch that is on the "
        "device already, as often as the epoch has batches. Extra memory counts the gradients, which are given up "
        "before; peak memory is all that this process holds in an epoch of whole steps, weights, the optimiser's "
        "state and batches among it. Weights are random, which changes no time."
    )


def _group(bench: TrainBench, trainer: Trainer) -> Group:
    ready = next(iter(trainer.batches())).images

    def bare() -> None:
        trainer.model.root.train()
        for size in trainer.sizes:
            _pass(trainer, ready[:size])

    def read() -> None:
        for _ in trainer.batches():
            pass

    def clear() -> None:
        trainer.optimizer.zero_grad(set_to_none=True)

    contenders: Sequence[Contender] = [
        Contender(name=WHOLE, ready=clear, call=trainer.epoch),
        Contender(name=BARE, ready=clear, call=bare),
        Contender(name=INPUT, call=read, weigh=False),
    ]
    cuda = bench.workspace.device.startswith("cuda")
    return contest(
        "an epoch of training from pixels",
        contenders,
        bench,
        ratios=[
            Ratio(over=BARE, under=WHOLE, least=REACH if cuda else None),
            Ratio(over=INPUT, under=WHOLE),
        ],
        facts=lambda found: [
            Fact(name="mean loss of the last epoch", value=f"{found[WHOLE]:.3f}"),
            _peak(trainer, clear),
        ],
        unit="images",
        amount=sum(trainer.sizes),
    )


def _peak(trainer: Trainer, clear: Callable[[], None]) -> Fact:
    """Take one more epoch, which nothing times."""
    device = trainer.photo.workspace.device
    clear()
    memory = ExtraMemory(device)
    trainer.epoch()
    kind = "allocated on the device" if device.startswith("cuda") else "resident"
    return Fact(name="peak memory", value=f"{memory.peak() / 2**20:,.0f} MB {kind}")


def _pass(trainer: Trainer, images: Tensor) -> None:
    import torch

    trainer.optimizer.zero_grad(set_to_none=True)
    with trainer.numerics.cast(trainer.photo.workspace.device):
        embedded = trainer.step.embed_image(images)
    embedded.backward(torch.ones_like(embedded))  # type: ignore[no-untyped-call]
