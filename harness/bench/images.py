"""`harness bench input`: images a second of a batch for training, beside what people write for it."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.bench import transforms
from harness.bench.contest import Contender, Rounds, contest
from harness.bench.memory import resident
from harness.bench.origin import load_average, origin_of
from harness.bench.photographs import HEIGHT, WIDTH, Photographs
from harness.bench.report import Fact, Group, Ratio, Report
from harness.build import build
from harness.data.images import inspect
from harness.decoded import DecodedImages, load_decoded, shrunk
from harness.errors import RunError
from harness.execute.settings import settle
from harness.inputs import PixelInputs
from harness.parallel import cores, each
from harness.plan import Part

if TYPE_CHECKING:
    from torch import Tensor

PIL, PIL_SCALED, V2_FLOAT, V2 = (
    "PIL: resize 256, crop 224, flip",
    "PIL: random resized crop 224, flip",
    "torchvision v2, float",
    "torchvision v2, uint8",
)
CACHE, CACHE_SCALED, UNCACHED = (
    "harness: decoded cache, exact crop",
    "harness: decoded cache, scaled crop",
    "harness: decoded every time, scaled crop",
)
NORMAL = "normalising uint8 batches alone"
ONE, ALL = "one after the other", "on all cores"
PACKAGES = ("torch", "torchvision", "pillow", "timm", "retrieval-harness-dualpath")
ABOUT = (
    f"Generated photographs, JPEG of {WIDTH} x {HEIGHT}, to batches of 224 x 224, on one core. What is uint8 is "
    "normalised on the device, where a batch is converted at once; that is timed apart, on this core. The cache holds "
    "decoded images whose shorter side is 256, mapped into memory. Its exact crop does what resize, crop and flip do; "
    "its scaled crop, here by torch's filter, what the random resized crop does. Before anything is timed, batches out "
    "of the cache equal those of the decoded and shrunk images to the bit, and the exact crop equals the PIL chain's "
    "within rounding where both cut the same window."
)


@dataclass(frozen=True, kw_only=True)
class InputBench(Rounds):
    """What to measure.

    Attributes:
        images: how many are generated.
        batch: of a step.
        epochs: over which memory is watched.
    """

    images: int = 64
    batch: int = 32
    epochs: int = 4


def measure(bench: InputBench, told: Callable[[str], None]) -> Report:
    """Time the ways from files to batches; watch memory; decode on all cores.

    Raises:
        RunError: if the cache gives other pixels than decoding.
    """
    load = load_average()
    settle(bench.workspace)
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        told(f"{bench.images} images of {WIDTH} x {HEIGHT}")
        ways = _Ways(bench, Path(folder))
        ways.check()
        groups = [ways.batches(), ways.prepare()]
    return Report(
        benchmark="input",
        section="input",
        heading="Images",
        about=ABOUT,
        groups=tuple(groups),
        origin=origin_of(bench.workspace, PACKAGES, load),
    )


class _Ways:
    def __init__(self, bench: InputBench, folder: Path) -> None:
        import numpy as np

        self.bench = bench
        dataset: Any = Photographs(folder, bench.images)
        self.dataset = dataset
        self.split = dataset.split(("a picture",))
        records = self.split.records
        self.encoder, scaled = self._encoder(crop="exact"), self._encoder(resize="torch")
        self.decoded = load_decoded(
            folder / "home",
            self.dataset,
            records,
            size=self.encoder.stored_size,
            progress=lambda done, total: None,
        )
        self.exact = self._inputs(self.encoder, self.decoded)
        self.scaled, self.uncached = self._inputs(scaled, self.decoded), self._inputs(scaled, None)
        self.order = np.arange(bench.images)
        self._batches = list(self.exact.batches(self.order, self.order * 0, bench.batch, 1))

    def _encoder(self, **settings: str) -> Any:
        # A backbone of 224 pixels without weights: only its views are used.
        params = {"backbone": "resnet18", "weights": None, **settings}
        part = Part(name="image", use="timm", revision=1, params=params, title="")
        catalog = self.bench.workspace.catalog
        return build(part, "encoder", catalog, dim=8, classes=8, captions=("a picture",), seed=0)

    def _inputs(self, encoder: Any, decoded: DecodedImages | None) -> PixelInputs:
        return PixelInputs(self.dataset, self.split, encoder, device="cpu", workers=0, decoded=decoded)

    def epoch(self, inputs: PixelInputs, seed: int = 1) -> Tensor:
        """Return the last batch of an epoch."""
        return list(inputs.batches(self.order, self.order * 0, self.bench.batch, seed))[-1]

    def _normalised(self) -> Tensor:
        scaled: list[Tensor] = [self.encoder.scaled(batch) for batch in self._batches]
        return scaled[-1]

    def check(self) -> None:
        """Hold the cache to decoding and shrinking, and the exact crop to the PIL chain's window."""
        import torch

        plain = self._inputs(self.encoder, None)
        whole = {r.file: shrunk(self.dataset.pixels(r), self.encoder.stored_size) for r in self.split.records}
        plain.pixels = lambda index: whole[self.split.records[index].file]  # type: ignore[method-assign]
        if not torch.equal(self.epoch(self.exact), self.epoch(plain)):
            raise RunError("batches out of the decoded cache differ from those of decoded images")
        windows = transforms.same_window(self.dataset.paths[0], self.encoder)
        worst = int((windows[0].int() - windows[1].int()).abs().max())
        if worst > 1:
            raise RunError(f"the exact crop differs from the PIL chain's by {worst} of 255")

    def batches(self) -> Group:
        """Time an epoch of each way."""
        ways: list[tuple[str, Callable[[], Any]]] = [
            (CACHE, lambda: self.epoch(self.exact)),
            (CACHE_SCALED, lambda: self.epoch(self.scaled)),
            (UNCACHED, lambda: self.epoch(self.uncached)),
            (NORMAL, self._normalised),
        ]
        ratios = [Ratio(over=CACHE_SCALED, under=CACHE)]
        if importlib.util.find_spec("torchvision") is not None:
            paths = self.dataset.paths
            ways += [
                (PIL, lambda: transforms.pil(paths, self.bench.batch, scaled=False)),
                (PIL_SCALED, lambda: transforms.pil(paths, self.bench.batch, scaled=True)),
                (V2_FLOAT, lambda: transforms.v2(paths, self.bench.batch, floats=True)),
                (V2, lambda: transforms.v2(paths, self.bench.batch, floats=False)),
            ]
            ratios = [
                Ratio(over=PIL, under=CACHE, least=20),
                Ratio(over=PIL_SCALED, under=CACHE_SCALED),
                Ratio(over=PIL, under=UNCACHED, least=2.5),
                Ratio(over=V2, under=CACHE),
            ]
        return contest(
            "to batches",
            [Contender(name=name, call=call, weigh=False) for name, call in ways],
            self.bench,
            ratios=ratios,
            facts=lambda found: self._facts(found),
            unit="images",
            amount=self.bench.images,
        )

    def _facts(self, found: Mapping[str, Any]) -> Sequence[Fact]:
        sizes = []
        for epoch in range(self.bench.epochs):
            self.epoch(self.exact, seed=epoch + 2)
            sizes.append(resident())
        listed = ", ".join(f"{(size - sizes[0]) / 2**20:+.1f}" for size in sizes)
        return [Fact(name=f"resident memory after {len(sizes)} more epochs of the cache, MB", value=listed)]

    def prepare(self) -> Group:
        """Time what `harness data prepare` does with every file: decode, check, hash."""
        paths = self.dataset.paths
        ratios = [Ratio(over=ONE, under=ALL)]
        return contest(
            f"checked by prepare, {cores()} cores",
            [
                Contender(name=ONE, call=lambda: [inspect(path) for path in paths], weigh=False),
                Contender(name=ALL, call=lambda: list(each(inspect, paths)), weigh=False),
            ],
            self.bench,
            ratios=ratios,
            check=_same,
            unit="images",
            amount=self.bench.images,
        )


def _same(found: Mapping[str, Any]) -> None:
    if found[ONE] != found[ALL]:
        raise RunError("inspections on all cores differ from those of one")
