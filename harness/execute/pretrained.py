"""The pretrained features of the train images, as the components of a run may ask for them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.data import OpenDataset
from harness.derived import load_derived
from harness.durable import Waiting
from harness.errors import Interrupted, TrainingError
from harness.execute.outcome import Workspace
from harness.features import feature_key, load_features
from harness.plan import RunSpec
from harness.protocols import CachedEncoder, FrozenPart, Split

if TYPE_CHECKING:
    from torch import Tensor

Progress = Callable[[str, int, int, str], None]


class Pretrained:
    """What the longest frozen part of an image encoder makes of the train images, whatever a stage trains of it.

    Args:
        split: the train split.
        image: the image encoder.
    """

    def __init__(
        self,
        spec: RunSpec,
        workspace: Workspace,
        dataset: OpenDataset,
        split: Split,
        image: Any,
        progress: Progress,
    ) -> None:
        self.name, self.workspace, self.dataset, self.split = spec.image.name, workspace, dataset, split
        self.image, self.progress = image, progress

    def features(self) -> Tensor:
        """Return (n, *shape) float32 features under the test view, from the cache: the value `train_features`.

        Raises:
            TrainingError: if the image encoder has no frozen part.
            Interrupted: a signal asked for the end, between two durable writes of the cache.
        """
        import torch

        part = self.part()
        self.image.to(self.workspace.device)
        tell = teller(self.progress, "train", self.workspace)
        load = partial(load_features, self.workspace.home, part, self.dataset, self.split.records, view=0)
        return torch.from_numpy(load(device=self.workspace.device, progress=tell))

    def remember(self, key: str, compute: Callable[[], Tensor]) -> Tensor:
        """Return what `compute` derives from these features, from the cache: the value `remember`.

        Raises:
            TrainingError: as `features`, or if it is no tensor.
            Interrupted: a signal asked for the end while another process was computing it.
        """
        contents = [self.dataset.content(record) for record in self.split.records]
        address = feature_key(self.part(), contents, 0, self.workspace.device)
        tell = partial(self.progress, "derive", 0, 1)

        def told() -> Tensor:
            tell(key)
            return compute()

        waiting = Waiting(lambda who: tell(f"waiting for {who}"), self.workspace.stopping)
        return load_derived(self.workspace.home, address, key, told, waiting)

    def part(self) -> FrozenPart:
        """Return that frozen part."""
        part = self.image.frozen_part(("*",)) if isinstance(self.image, CachedEncoder) else None
        if part is None:
            raise TrainingError(
                f"image encoder {self.name!r} has no frozen part, whose features a component of the run asks for"
            )
        return part


def teller(
    progress: Progress, note: str, workspace: Workspace, phase: str = "features"
) -> Callable[[int, int], None]:
    """Return what tells of a split's cache, and stops between two durable writes of it."""

    def tell(done: int, total: int) -> None:
        progress(phase, done, total, note)
        if signal := workspace.stopping():
            raise Interrupted(signal)

    return tell
