"""`harness bench stage1`: an epoch over cached features of a frozen backbone beside one that computes them anew."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.bench.contest import Contender, Rounds, contest
from harness.bench.origin import load_average, origin_of
from harness.bench.render import clock, plain
from harness.bench.report import Fact, Group, Ratio, Report
from harness.bench.rounds import spread
from harness.bench.training import Photo, Recipe
from harness.errors import InputError, RunError
from harness.execute.settings import settle
from harness.features import BATCH
from harness.inputs import FeatureInputs, PixelInputs
from harness.protocols import FrozenPart

if TYPE_CHECKING:
    from torch import Tensor

CACHED, ANEW, UNFOLDED = (
    "from cached features",
    "through the frozen part, folded",
    "through the whole encoder, not folded",
)
WHOLE_CACHED, WHOLE_ANEW = "whole steps from cached features", "whole steps through the frozen part, folded"
CACHING = "computing the features of one view"
PACKAGES = ("torch", "timm", "pillow", "retrieval-harness-dualpath")


@dataclass(frozen=True, kw_only=True)
class StageBench(Rounds):
    """What to measure.

    Attributes:
        recipe: its stage must freeze a part of the image encoder.
        images: photographs that are generated.
        classes: of the classifier: the size of the train split that an epoch stands for.
    """

    recipe: Recipe
    images: int = 64
    classes: int = 6000


def measure(bench: StageBench, told: Callable[[str], None]) -> Report:
    """Time an epoch of the image path, and of whole steps, both ways.

    Raises:
        InputError: if the stage freezes nothing that can be cached.
        RunError: if cached features embed otherwise than what the backbone computes.
    """
    load = load_average()
    bench.recipe.check()
    settle(bench.workspace)
    stage = bench.recipe.stage()
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        told(f"{bench.images} images, {stage.name}, batches of {min(stage.batch, bench.images)}")
        photo = Photo(bench.recipe, stage, bench.workspace, Path(folder), bench.images, bench.classes)
        group = _groups(bench, photo)
    experiment, profile = bench.recipe.experiment, bench.recipe.profile
    scale = "the paper's sizes" if profile is None else f"profile {profile}"
    return Report(
        benchmark="stage1",
        section="-".join(part for part in ("stage1", profile) if part),
        heading=f"Frozen features, {scale}",
        about=_about(experiment, stage.name, scale, bench),
        groups=(group,),
        origin=origin_of(bench.workspace, PACKAGES, load),
    )


def _about(experiment: str, stage: str, scale: str, bench: StageBench) -> str:
    return (
        f"An epoch over {bench.images} generated photographs, experiment `{experiment}`, stage `{stage}`, {scale}; the "
        f"classifier has {bench.classes:,} classes. The image path is measured alone, its head forward and backward, "
        "and in whole steps with text path, loss and optimiser. What computes features anew in every batch is the very "
        "part whose output is cached, its batch normalisation folded into the convolutions, without gradient; the "
        "encoder as it is stands beside it. Both read the decoded cache, so that no decoding is compared. Weights are "
        "random, which changes no time. Before anything is timed, cached features equal what the frozen part computes "
        "of the same views to the bit, and the head embeds them as the whole encoder does."
    )


def _groups(bench: StageBench, photo: Photo) -> Group:
    part = photo.frozen_part()
    if part is None:
        raise InputError(
            f"stage {photo.stage.name!r} freezes no part of {bench.recipe.experiment!r}'s image encoder that can be "
            "cached",
            hint="Name an experiment whose stage has freeze: [image.backbone.*].",
        )
    features = photo.features(part, photo.home)
    _check(photo, part, features)
    cached = photo.trainer(features)
    pixels = photo.pixels()
    anew, whole = photo.trainer(_Anew(pixels, part)), photo.trainer(pixels)
    fresh = iter(range(10**9))

    def compute() -> None:
        # A store of its own each time: nothing is found there.
        photo.features(part, photo.home / f"again-{next(fresh)}")

    contenders = [
        Contender(name=CACHED, call=cached.image_epoch, weigh=False),
        Contender(name=ANEW, call=anew.image_epoch, weigh=False),
        Contender(name=UNFOLDED, call=whole.image_epoch, weigh=False),
        Contender(name=WHOLE_CACHED, call=cached.epoch, weigh=False),
        Contender(name=WHOLE_ANEW, call=anew.epoch, weigh=False),
        Contender(name=CACHING, call=compute, weigh=False),
    ]
    ratios = [
        Ratio(over=ANEW, under=CACHED, least=100),
        Ratio(over=WHOLE_ANEW, under=WHOLE_CACHED),
        Ratio(over=UNFOLDED, under=ANEW),
        Ratio(over=CACHING, under=WHOLE_ANEW),
    ]
    group = contest(
        "an epoch of the image path, and of whole steps",
        contenders,
        bench,
        ratios=ratios,
        unit="images",
        amount=bench.images,
    )
    return replace(group, facts=_facts(group, photo, part))


class _Anew:
    """Random views out of the decoded cache, which the frozen part maps to features in every batch."""

    views = 1

    def __init__(self, pixels: PixelInputs, part: FrozenPart) -> None:
        self.batches, self.gallery, self.part = pixels.batches, pixels.gallery, part

    def embed(self, encoder: Any, batch: Tensor | list[Tensor]) -> Tensor:
        """Run the frozen part, then the head on what it found."""
        assert not isinstance(batch, list)
        embedded: Tensor = encoder.head(self.part.compute(batch).float())
        return embedded


def _check(photo: Photo, part: FrozenPart, features: FeatureInputs) -> None:
    """Hold the cache to what the frozen part computes, and the head to the whole encoder."""
    import torch

    image, device = photo.model.image, photo.workspace.device
    records = photo.split.records[:BATCH]
    views = torch.stack([part.view(photo.dataset.pixels(record), 0) for record in records]).to(device)
    stored = features.features[0, : len(records)]
    if not torch.equal(part.compute(views).float(), stored):
        raise RunError("cached features differ from what the frozen part computes")
    image.eval()
    with torch.inference_mode():
        whole, head = image(views), image.head(stored)
    far = float((whole - head).abs().max() / whole.abs().max())
    if not far <= 1e-3:
        raise RunError(f"the head embeds cached features {far:.2g} away from the whole encoder")


def _facts(group: Group, photo: Photo, part: FrozenPart) -> tuple[Fact, ...]:
    stage = photo.stage
    saved = spread(
        [a - b for a, b in zip(group.seconds(WHOLE_ANEW), group.seconds(WHOLE_CACHED), strict=True)]
    ).median
    caching = spread(group.seconds(CACHING)).median * stage.views
    epochs: Mapping[str, Any] = {"views": stage.views, "epochs": stage.epochs}
    size = 4 * len(photo.split.records) * _numbers(part)
    return (
        Fact(
            name=f"a stage of {epochs['epochs']} epochs over {epochs['views']} cached views saves",
            value=f"{plain(saved * stage.epochs / max(caching, 1e-9))} times what caching them takes "
            f"({clock(caching)} for {len(photo.split.records)} images)",
        ),
        Fact(
            name="cached features of one view, KB an image",
            value=f"{size / len(photo.split.records) / 1024:.1f}",
        ),
    )


def _numbers(part: FrozenPart) -> int:
    count = 1
    for side in part.shape:
        count *= abs(side)
    return count
