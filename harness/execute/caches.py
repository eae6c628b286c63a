"""What a run reads from caches, and what filling them takes, measured on a few images."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.data import OpenDataset
from harness.decoded import decoded_key, load_decoded, missing_decoded, stored_size
from harness.execute.assemble import part_at_test
from harness.features import feature_key, load_features, load_rows, missing_images
from harness.model import Model
from harness.plan import RunSpec
from harness.protocols import FrozenPart, Record, Split

IMAGES = 64
"""Images that a cache is filled with to measure it."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Features or decoded images that a run reads: where they lie, of how many images, and what each takes."""

    cache: Literal["features", "decoded"]
    address: str
    images: int
    image_seconds: float
    image_bytes: float

    def missing(self, home: Path) -> int:
        """Return how many of the images the cache of a store does not have."""
        count = missing_images if self.cache == "features" else missing_decoded
        return count(home, self.address, self.images)


class Caches:
    """Measures what filling caches takes, each kind once.

    Args:
        folder: for the caches that are filled to measure it.
        device: what features are computed on.
    """

    def __init__(self, folder: Path, device: str) -> None:
        self.folder, self.device = folder, device
        self.rates: dict[str, tuple[float, float]] = {}

    def readings(
        self,
        spec: RunSpec,
        dataset: OpenDataset,
        splits: Mapping[str, Split],
        model: Model,
        part: FrozenPart | None,
        asked: Sequence[FrozenPart],
    ) -> tuple[Reading, ...]:
        """Return all that a run reads from caches.

        Args:
            part: the frozen part whose output the run caches, or ``None``.
            asked: parts whose features of the train split a component asked for.
        """
        found = [self._features(own, dataset, splits["train"], 0) for own in asked[:1]]
        size = stored_size(model.image)
        for name, split in splits.items():
            own = part if name == "train" else part_at_test(part)
            if own is not None:
                views = spec.stage.views if name == "train" else 1
                found += [self._features(own, dataset, split, view) for view in range(views)]
            elif size is not None:
                found.append(self._decoded(size, dataset, split))
        return tuple(found)

    def _features(self, part: FrozenPart, dataset: OpenDataset, split: Split, view: int) -> Reading:
        kind = f"{part.key} {part.shape}"
        if kind not in self.rates:
            self.rates[kind] = self._features_rate(part, dataset, split.records[:IMAGES])
        address = feature_key(part, _contents(dataset, split), view, self.device)
        return self._reading("features", address, split, kind)

    def _decoded(self, size: int, dataset: OpenDataset, split: Split) -> Reading:
        kind = f"decoded {size} {dataset.passport}"
        if kind not in self.rates:
            self.rates[kind] = self._decoded_rate(size, dataset, split.records[:IMAGES])
        return self._reading("decoded", decoded_key(_contents(dataset, split), size), split, kind)

    def _reading(
        self, cache: Literal["features", "decoded"], address: str, split: Split, kind: str
    ) -> Reading:
        seconds, size = self.rates[kind]
        return Reading(
            cache=cache,
            address=address,
            images=len(split.records),
            image_seconds=seconds,
            image_bytes=size,
        )

    def _features_rate(
        self, part: FrozenPart, dataset: OpenDataset, records: Sequence[Record]
    ) -> tuple[float, float]:
        load: Callable[..., Any] = load_features
        view = {"view": 0}
        if -1 in part.shape:
            load, view = load_rows, {}
        part.compute(part.view(dataset.pixels(records[0]), 0)[None].to(self.device))  # the first is slower
        return self._rate(
            lambda home: load(home, part, dataset, records, device=self.device, progress=_silent, **view),
            len(records),
        )

    def _decoded_rate(
        self, size: int, dataset: OpenDataset, records: Sequence[Record]
    ) -> tuple[float, float]:
        return self._rate(
            lambda home: load_decoded(home, dataset, records, size=size, progress=_silent), len(records)
        )

    def _rate(self, fill: Callable[[Path], object], count: int) -> tuple[float, float]:
        """Return seconds and bytes of one image, through the code that fills the cache."""
        home = self.folder / f"rate-{len(self.rates)}"
        begun = time.monotonic()
        fill(home)
        seconds = time.monotonic() - begun
        size = sum(path.stat().st_size for path in home.glob("*/*/*.safetensors"))
        return seconds / count, size / count


def _contents(dataset: OpenDataset, split: Split) -> list[str]:
    return [dataset.content(record) for record in split.records]


def _silent(done: int, total: int) -> None:
    """Tell nobody."""
