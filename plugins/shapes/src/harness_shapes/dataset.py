"""The embedded dataset."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.api import SPLITS, Annotations, DataError, ParameterError, Record
from harness_shapes.drawing import draw
from harness_shapes.planning import Planned, plan, split_sizes


class Shapes:
    """Generate scenes of coloured shapes, with five captions an image and near-twins in val and test.

    Args:
        images: images of all splits together, 64..30000; a tenth of them is val and a tenth is test.
        size: side of the square images in pixels, 32..512.
        data_seed: names the dataset, 0 or more; another one gives other scenes. The run's seed plays no part.
        twins: share of the images of val and test that have a near-twin, 0..1; the attributes take turns.

    Raises:
        ParameterError: if a parameter is out of its range.
    """

    def __init__(self, *, images: int = 2000, size: int = 96, data_seed: int = 0, twins: float = 0.5) -> None:
        _require_whole("images", images, 64, 30000)
        _require_whole("size", size, 32, 512)
        _require_whole("data_seed", data_seed, 0, 2**63 - 1)
        if isinstance(twins, bool) or not isinstance(twins, int | float) or not 0 <= twins <= 1:
            raise ParameterError(f"shapes: twins is {twins!r}; it takes a share from 0 to 1")
        self._images = images
        self._size = size
        self._data_seed = data_seed
        self._twins = float(twins)

    def annotations(self, source: Path | None) -> Annotations:
        """Return the records of train, val and test; `source` is not read."""
        records = tuple(record for record, _ in self._planned.values())
        twins = Counter(record.split for record in records if record.tags)
        sizes = split_sizes(self._images)
        counted = "; ".join(f"{split} {sizes[split]} ({twins[split]} with a near-twin)" for split in SPLITS)
        return Annotations(records=records, notes=(f"images: {counted}",))

    def pixels(self, record: Record) -> npt.NDArray[np.uint8]:
        """Draw an image, (size, size, 3) uint8 RGB.

        Raises:
            DataError: if the dataset has no such image.
        """
        if record.image not in self._planned:
            raise DataError(
                f"shapes: {self._images} images of data_seed {self._data_seed} hold no {record.image!r}",
                hint="open the dataset with the parameters that the record was made with",
            )
        return draw(self._planned[record.image][1], self._size)

    @cached_property
    def _planned(self) -> dict[str, Planned]:
        planned = plan(self._images, self._data_seed, self._twins)
        return {record.image: (record, scene) for record, scene in planned}


def _require_whole(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ParameterError(f"shapes: {name} is {value!r}; it takes a whole number from {low} to {high}")
