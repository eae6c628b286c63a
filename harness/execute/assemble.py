"""The parts of one run, put together: encoders and losses, and the splits that they read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.build import build
from harness.data import OpenDataset
from harness.decoded import load_decoded, stored_size
from harness.execute.outcome import Workspace
from harness.execute.pretrained import Pretrained, Progress, teller
from harness.features import load_features, load_rows
from harness.inputs import FeatureInputs, ImageInputs, PixelInputs, RowInputs, derive, prepare_captions
from harness.model import Model
from harness.plan import Part, RunSpec
from harness.protocols import CachedEncoder, FrozenPart, SeparateTest, Split
from harness.specs import Kind

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Gallery:
    """One split, ready for the encoders."""

    split: Split
    images: ImageInputs
    texts: Tensor


def build_model(
    spec: RunSpec,
    workspace: Workspace,
    dataset: OpenDataset,
    split: Split,
    progress: Progress,
    pretrained: Callable[..., Pretrained] = Pretrained,
    make: Callable[..., Any] = build,
) -> Model:
    """Build encoders and losses from the run's seed; `split` is the train split of `dataset`.

    Args:
        pretrained: makes what answers a component that asks for the train images' features.
        make: builds a component, see `harness.build.build`.
    """
    import torch
    from torch import nn

    values: dict[str, Any] = {
        "dim": spec.dim,
        "classes": len(split.records),
        "captions": split.captions,
        "seed": spec.seed,
    }

    def part(role: str, part: Part, kind: Kind) -> nn.Module:
        # Every component draws from a stream of its own, so that changing one leaves the others' start as it was.
        torch.manual_seed(derive(spec.seed, "init", role))
        module: nn.Module = make(part, kind, workspace.catalog, **values)
        return module

    image = part("image", spec.image, "encoder")

    asked = pretrained(spec, workspace, dataset, split, image, progress)
    values |= {"train_features": asked.features, "remember": asked.remember}
    text = part("text", spec.text, "encoder")
    losses = {p.name: part(f"loss.{p.name}", p, "loss") for p, _ in spec.losses}
    root = nn.ModuleDict({"image": image, "text": text, "loss": nn.ModuleDict(losses)})
    return Model(placed(root, workspace.device), {p.name: weight for p, weight in spec.losses})


def placed(root: nn.ModuleDict, device: str, *, channels_last: bool | None = None) -> nn.ModuleDict:
    """Move a model to a device; its convolutions to channels last where that is a GPU, which convolves so fastest."""
    import torch

    root.to(device)
    if device != "cpu" if channels_last is None else channels_last:
        root.to(memory_format=torch.channels_last)
    return root


def inherit(model: Model, weights: Mapping[str, Tensor]) -> None:
    """Start from the parent's weights; only losses and what was frozen in one of the stages may differ."""
    own = model.root.state_dict()
    shared = {name: tensor for name, tensor in weights.items() if name in own or not name.startswith("loss.")}
    # A frozen part of the image encoder may not have been stored: it comes from its constructor.
    rest = tuple(n for n in own if n not in weights and n.startswith(("image.", "loss.")))
    model.load(shared, rest)


def frozen_part(spec: RunSpec, model: Model) -> FrozenPart | None:
    """Return the part of the image encoder whose output the stage allows to cache, or ``None``."""
    if not isinstance(model.image, CachedEncoder):
        return None
    patterns = [glob.removeprefix("image.") for glob in spec.stage.freeze if glob.startswith("image.")]
    return model.image.frozen_part(patterns)


def part_at_test(part: FrozenPart | None) -> FrozenPart | None:
    """Return the part that val and test images go through, or ``None``."""
    return part.test if isinstance(part, SeparateTest) else part


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

    Pixels are decoded into a cache first where the encoder asks for it.

    Raises:
        Interrupted: a signal asked for the end, between two durable writes of the cache.
    """
    galleries = {}
    for name, split in splits.items():
        own = part if name == "train" else part_at_test(part)
        images: ImageInputs
        if own is None:
            images = _pixels(workspace, dataset, split, model, progress)
        else:
            views = max(spec.stage.views, 1) if name == "train" else 1
            images = _cached(own, workspace, dataset, split, views, progress)
        galleries[name] = Gallery(
            split, images, prepare_captions(model.text, split.captions, workspace.device)
        )
    return galleries


def _pixels(
    workspace: Workspace, dataset: OpenDataset, split: Split, model: Model, progress: Progress
) -> PixelInputs:
    size, decoded = stored_size(model.image), None
    if size is not None:
        tell = teller(progress, split.name, workspace, "decode")
        decoded = load_decoded(workspace.home, dataset, split.records, size=size, progress=tell)
    workers = 0 if workspace.own_threads < 3 else workspace.own_threads // 2
    return PixelInputs(dataset, split, model.image, device=workspace.device, workers=workers, decoded=decoded)


def _cached(
    part: FrozenPart, workspace: Workspace, dataset: OpenDataset, split: Split, views: int, progress: Progress
) -> ImageInputs:
    """Read, or compute, the features of a split under its first `views` views."""
    import numpy as np
    import torch

    if -1 in part.shape:
        tell = teller(progress, split.name, workspace)
        rows = load_rows(workspace.home, part, dataset, split.records, device=workspace.device, progress=tell)
        return RowInputs([torch.from_numpy(row) for row in rows], workspace.device)
    features = np.empty((views, len(split.records), *part.shape), dtype=np.float32)
    for view in range(views):
        note = f"{split.name}, view {view + 1} of {views}" if views > 1 else split.name
        load_features(
            workspace.home,
            part,
            dataset,
            split.records,
            view=view,
            device=workspace.device,
            progress=teller(progress, note, workspace),
            out=features[view],
        )
    return FeatureInputs(torch.from_numpy(features).to(workspace.device))
