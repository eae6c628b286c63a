"""The parts of one run, put together: encoders and losses, and the splits that they read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.build import build
from harness.data import OpenDataset
from harness.errors import Interrupted
from harness.execute.outcome import Workspace
from harness.features import load_features
from harness.inputs import FeatureInputs, ImageInputs, PixelInputs, derive, prepare_captions
from harness.model import Model
from harness.plan import Part, RunSpec
from harness.protocols import CachedEncoder, FrozenPart, Split
from harness.specs import Kind

if TYPE_CHECKING:
    from torch import Tensor

Progress = Callable[[str, int, int, str], None]


@dataclass(frozen=True, eq=False)
class Gallery:
    """One split, ready for the encoders."""

    split: Split
    images: ImageInputs
    texts: Tensor


def build_model(spec: RunSpec, workspace: Workspace, split: Split) -> Model:
    """Build encoders and losses from the run's seed; `split` is the train split."""
    import torch
    from torch import nn

    values = {
        "dim": spec.dim,
        "classes": len(split.records),
        "captions": split.captions,
        "seed": spec.seed,
    }

    def part(role: str, part: Part, kind: Kind) -> nn.Module:
        # Every component draws from a stream of its own, so that changing one leaves the others' start as it was.
        torch.manual_seed(derive(spec.seed, "init", role))
        module: nn.Module = build(part, kind, workspace.catalog, **values)
        return module

    losses = {p.name: part(f"loss.{p.name}", p, "loss") for p, _ in spec.losses}
    root = nn.ModuleDict(
        {
            "image": part("image", spec.image, "encoder"),
            "text": part("text", spec.text, "encoder"),
            "loss": nn.ModuleDict(losses),
        }
    )
    return Model(root.to(workspace.device), {p.name: weight for p, weight in spec.losses})


def inherit(model: Model, weights: Mapping[str, Tensor]) -> None:
    """Start from the parent's weights; only losses and what was frozen in one of the stages may differ."""
    own = model.root.state_dict()
    shared = {name: tensor for name, tensor in weights.items() if name in own or not name.startswith("loss.")}
    rest = tuple(name for name in own if name not in weights)
    model.load(shared, rest)


def frozen_part(spec: RunSpec, model: Model) -> FrozenPart | None:
    """Return the part of the image encoder whose output the stage allows to cache, or ``None``."""
    if not isinstance(model.image, CachedEncoder):
        return None
    patterns = [glob.removeprefix("image.") for glob in spec.stage.freeze if glob.startswith("image.")]
    return model.image.frozen_part(patterns)


def open_galleries(
    spec: RunSpec,
    workspace: Workspace,
    dataset: OpenDataset,
    splits: Mapping[str, Split],
    model: Model,
    part: FrozenPart | None,
    progress: Progress,
) -> dict[str, Gallery]:
    """Prepare every split: cached features where there is a frozen part, else pixels; captions as the encoder's ids.

    Raises:
        Interrupted: a signal asked for the end, between two durable writes of the cache.
    """
    import torch

    galleries = {}
    for name, split in splits.items():
        images: ImageInputs
        if part is None:
            workers = 0 if workspace.threads < 3 else workspace.threads // 2
            images = PixelInputs(dataset, split, model.image, device=workspace.device, workers=workers)
        else:
            count = max(spec.stage.views, 1) if name == "train" else 1
            views = []
            for view in range(count):
                note = f"{name}, view {view + 1} of {count}" if count > 1 else name

                def tell(done: int, total: int, note: str = note) -> None:
                    progress("features", done, total, note)
                    if signal := workspace.stopping():
                        raise Interrupted(signal)

                features = load_features(
                    workspace.home,
                    part,
                    dataset,
                    split.records,
                    view=view,
                    device=workspace.device,
                    progress=tell,
                )
                views.append(torch.from_numpy(features))
            images = FeatureInputs(torch.stack(views).to(workspace.device))
        galleries[name] = Gallery(
            split, images, prepare_captions(model.text, split.captions, workspace.device)
        )
    return galleries
