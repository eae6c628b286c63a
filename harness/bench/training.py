"""Stages of an experiment of registry.yaml on generated photographs: what a benchmark of training steps runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.bench.components import check_profile, part_of
from harness.bench.photographs import Photographs
from harness.build import build
from harness.collapse import Look
from harness.decoded import load_decoded, stored_size
from harness.errors import InputError, nearest
from harness.execute.assemble import placed
from harness.execute.outcome import Workspace
from harness.features import load_features
from harness.inputs import (
    FeatureInputs,
    ImageInputs,
    PixelInputs,
    derive,
    draw_epoch,
    prepare_captions,
    sent,
)
from harness.model import Model
from harness.protocols import CachedEncoder, FrozenPart, Split
from harness.registry import Registry, Stage
from harness.step import Batch, Numerics
from harness.task import State, Task
from harness.train import _Training

if TYPE_CHECKING:
    from torch import nn

CAPTIONS, WORDS, LENGTH = 5, 500, 12
"""Captions of an image, different words in all, and words of a caption."""
PLAIN = {"image": {"weights": None}, "text": {"vectors": None}}
"""Nothing is downloaded: how long a step takes does not depend on where its weights came from."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """An experiment under a profile.

    Attributes:
        profile: ``None`` takes the entries of the registry as they are.
    """

    registry: Registry
    experiment: str
    profile: str | None

    def check(self) -> None:
        """Refuse names that are not there.

        Raises:
            InputError: with the nearest name.
        """
        check_profile(self.registry, self.profile)
        if self.experiment not in self.registry.experiments:
            raise InputError(
                f"{self.registry.path} has no experiment {self.experiment!r}"
                f"{nearest(self.experiment, self.registry.experiments)}"
            )

    def stage(self, name: str | None = None) -> Stage:
        """Return a stage by name; without one, that of the experiment.

        Raises:
            InputError: if there is no such stage, with the nearest name.
        """
        known = self.registry.names("stages")
        if name is not None and name not in known:
            raise InputError(f"{self.registry.path} has no stage {name!r}{nearest(name, known)}")
        experiment = self.registry.experiment(self.experiment, self.profile)
        return self.registry.stage(name or experiment.stage, self.profile)


class Photo:
    """Photographs on disk, their captions, and a model that is trained on them.

    Args:
        classes: of a loss that classifies, at least as many as there are images; ``None``: as many.
    """

    def __init__(
        self,
        recipe: Recipe,
        stage: Stage,
        workspace: Workspace,
        folder: Path,
        images: int,
        classes: int | None,
    ) -> None:
        import numpy as np

        self.recipe, self.stage, self.workspace = recipe, stage, workspace
        self.home = folder / "home"
        dataset: Any = Photographs(folder, images)
        self.dataset = dataset
        random = np.random.default_rng(derive(0, "bench", "words"))
        words = [f"word{place}" for place in range(WORDS)]
        self.split: Split = dataset.split([" ".join(random.choice(words, LENGTH)) for _ in range(CAPTIONS)])
        self.model = self._model(classes or images)
        self.texts = prepare_captions(self.model.text, self.split.captions, workspace.device)

    def _model(self, classes: int) -> Model:
        from torch import nn

        experiment = self.recipe.registry.experiment(self.recipe.experiment, self.recipe.profile)
        # Every word is known.
        captions = tuple(f"word{place}" for place in range(WORDS) for _ in range(CAPTIONS))
        values = {"dim": experiment.dim, "classes": classes, "captions": captions, "seed": 0}
        sides = (("image", experiment.image), ("text", experiment.text))
        parts: dict[str, nn.Module] = {
            role: self._built("encoders", name, PLAIN[role], values) for role, name in sides
        }
        losses = {
            name: self._built("losses", name, self.stage.settings.get(name, {}), values)
            for name in self.stage.losses
        }
        root = nn.ModuleDict({**parts, "loss": nn.ModuleDict(losses)})
        return Model(placed(root, self.workspace.device), dict(self.stage.losses))

    def _built(self, section: str, name: str, params: Any, values: Any) -> Any:
        import torch

        recipe, catalog = self.recipe, self.workspace.catalog
        component = recipe.registry.component(section, name, recipe.profile)
        known = {
            key: value for key, value in params.items() if section == "losses" or key in component.params
        }
        part = part_of(recipe.registry, catalog, section, component, {**component.params, **known})
        torch.manual_seed(derive(0, "bench", section, name))
        return build(part, "encoder" if section == "encoders" else "loss", catalog, **values)

    def pixels(self, *, workers: int = 0) -> PixelInputs:
        """Return the images as pixels, out of a decoded cache where the encoder asks for one.

        Args:
            workers: processes that prepare them; 0: this one does.
        """
        size = stored_size(self.model.image)
        decoded = None
        if size is not None:
            decoded = load_decoded(
                self.home, self.dataset, self.split.records, size=size, progress=lambda done, total: None
            )
        device = self.workspace.device
        return PixelInputs(
            self.dataset, self.split, self.model.image, device=device, workers=workers, decoded=decoded
        )

    def frozen_part(self) -> FrozenPart | None:
        """Return the part of the image encoder whose output the stage allows to cache, or ``None``."""
        image = self.model.image
        globs = [glob.removeprefix("image.") for glob in self.stage.freeze if glob.startswith("image.")]
        return image.frozen_part(globs) if isinstance(image, CachedEncoder) else None

    def features(self, part: FrozenPart, home: Path) -> FeatureInputs:
        """Return the features of the test view, computed where the store `home` does not hold them."""
        import torch

        device = self.workspace.device
        records = self.split.records
        found = load_features(
            home, part, self.dataset, records, view=0, device=device, progress=lambda done, total: None
        )
        return FeatureInputs(torch.from_numpy(found).to(device)[None])

    def trainer(self, images: ImageInputs, numerics: Numerics | None = None) -> Trainer:
        """Return what trains the model on these inputs, in float32 unless `numerics` says otherwise."""
        return Trainer(self, images, numerics or Numerics())


class _Steps(_Training):
    """The training of runs without what surrounds its steps: val, checkpoints, signals."""

    def _pause(self, *, finished: bool = False) -> None:
        pass

    def _close_epoch(self) -> None:
        pass


class Trainer:
    """An epoch of a stage: the very loop and step of `harness.train`, the figures that a run reports among it.

    Attributes:
        sizes: images of each batch of an epoch.
    """

    def __init__(self, photo: Photo, images: ImageInputs, numerics: Numerics) -> None:
        self.photo, self.images, self.numerics, self.model = photo, images, numerics, photo.model
        task = Task(
            model=photo.model,
            split=photo.split,
            images=images,
            texts=photo.texts,
            stage=photo.stage,
            seed=0,
            unsaved=(),
            validate=_no_val,
            checkpoint=photo.home / "none",
            progress=lambda phase, done, total, note: None,
            stopping=lambda: 0,
            note=lambda line: None,
            numerics=numerics,
        )
        self.training = _Steps(task)
        self.optimizer, self.step, self.size = (
            self.training.optimizer,
            self.training.step,
            self.training.batch,
        )
        last = min(self.training.steps * self.size, len(photo.split.records))
        self.sizes = tuple(min(self.size, last - start) for start in range(0, last, self.size))

    def batches(self) -> Iterator[Batch]:
        """Yield the batches of the epoch."""
        device, last = self.photo.texts.device, sum(self.sizes)
        draw = draw_epoch(self.photo.split, views=self.images.views, seed=0, epoch=1)
        inputs = self.images.batches(draw.order[:last], draw.views[:last], self.size, derive(0, "pixels", 1))
        captions, groups = sent(draw.captions, device), sent(draw.order, device)
        for place, images in enumerate(inputs):
            rows = slice(place * self.size, min((place + 1) * self.size, last))
            yield Batch(images=images, texts=self.photo.texts[captions[rows]], groups=groups[rows])

    def train(self, batch: Batch) -> None:
        """Take one step."""
        self.training._step(batch)

    def epoch(self) -> float:
        """Take all steps of the epoch and return the mean of their losses."""
        state = State()
        self.training.state = state
        self.training._epoch()
        return state.sums["loss"] / state.step

    def image_epoch(self) -> None:
        """Take the image path alone over the epoch: forward, and backward from a given gradient."""
        import torch

        self.model.root.train()
        for batch in self.batches():
            self.optimizer.zero_grad(set_to_none=True)
            embedded = self.step.embed_image(batch.images)
            embedded.backward(torch.ones_like(embedded))  # type: ignore[no-untyped-call]


def _no_val() -> Look:
    raise AssertionError("a benchmark looks at no val")
