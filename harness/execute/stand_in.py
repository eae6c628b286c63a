"""What a measurement takes in place of the real thing: made-up features, and encoders that were built before."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.build import build
from harness.catalog import Catalog
from harness.execute.pretrained import Pretrained
from harness.plan import Part
from harness.plan.fingerprint import digest
from harness.protocols import FrozenPart
from harness.specs import EncoderSpec, Kind

if TYPE_CHECKING:
    from torch import Tensor


def made_up(part: FrozenPart, count: int, rows: int) -> Tensor:
    """Return (count, *shape) float32 features, of which `rows` differ."""
    import numpy as np
    import torch

    drawn = np.random.default_rng(0).standard_normal((rows, *part.shape), dtype=np.float32)
    return torch.from_numpy(np.ascontiguousarray(np.resize(drawn, (count, *part.shape))))


class MadeUp(Pretrained):
    """Makes features up, with few different rows: clustering them takes next to no time. Nothing is remembered.

    Args:
        asked: gets the frozen part, if a component asks for its features.
    """

    def __init__(self, asked: list[FrozenPart], *run: Any) -> None:
        super().__init__(*run)
        self.asked = asked

    def features(self) -> Tensor:
        """Return (n, *shape) features."""
        part = self.part()
        self.asked.append(part)
        return made_up(part, len(self.split.records), 8)

    def remember(self, key: str, compute: Callable[[], Tensor]) -> Tensor:
        """Return what `compute` returns."""
        return compute()


class Builder:
    """Builds parts as `harness.build.build` does; the last encoder of either modality is given out again.

    A measurement changes its weights by next to nothing. Reading word vectors takes longer than all else of it.

    Attributes:
        saved: seconds that the encoders given out again took when they were built.
    """

    def __init__(self) -> None:
        self.kept: dict[str, tuple[str, Any, float]] = {}
        self.saved, self.asked = 0.0, False

    def __call__(self, scope: str, part: Part, kind: Kind, catalog: Catalog, **values: Any) -> Any:
        """Return the component of a part.

        Args:
            scope: names the train split.
        """
        spec = catalog.find(kind, part.use).spec
        if not isinstance(spec, EncoderSpec):
            return build(part, kind, catalog, **values)
        key = digest([scope, part.key, values["dim"]])
        if (found := self.kept.pop(spec.modality, None)) and found[0] == key:
            self.saved += found[2]
        else:
            found = (key, *self._built(part, kind, catalog, **values))
        # One that asked for features, which the run has to read, is to ask again.
        if not self.asked:
            self.kept[spec.modality] = found
        return found[1]

    def _built(self, part: Part, kind: Kind, catalog: Catalog, **values: Any) -> tuple[Any, float]:
        """Return an encoder and the seconds that it took; `asked` then says whether it asked for features."""
        self.asked, begun = False, time.monotonic()

        def train_features() -> Tensor:
            self.asked = True
            features: Tensor = values["train_features"]()
            return features

        own = {"train_features": train_features} if "train_features" in values else {}
        component = build(part, kind, catalog, **{**values, **own})
        return component, time.monotonic() - begun
