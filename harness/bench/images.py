"""`harness bench input`: images a second of a batch for training, beside what people write for it."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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
CACHE, BYTES, CACHE_DEFAULT, CACHE_TORCH, FILES, FILES_DEFAULT = (
    "harness: decoded cache, exact crop",
    "harness: decoded cache, exact crop, left in uint8",
    "harness: decoded cache, scaled crop (default)",
    "harness: decoded cache, scaled crop, torch's filter",
    "harness: decoded every time, exact crop, torch's filter",
    "harness: decoded every time, scaled crop (default)",
)
ONE, ALL = "one after the other", "on all cores"
PACKAGES = ("torch", "torchvision", "pillow", "timm", "retrieval-harness-dualpath")
ABOUT = (
    f"Generated photographs, JPEG of {WIDTH} x {HEIGHT}, to normalised batches of 224 x 224 in float32, on one core. "
    "PIL and torchvision on floats normalise image by image; torchvision on uint8 and the harness a whole batch, which "
    "on another device would be its work: one row leaves that out. The cache holds decoded images whose shorter side "
    "is 256, mapped into memory. The exact crop does what resize, crop and flip do, the scaled crop what the random "
    "resized crop does; runs take the scaled crop with Pillow's filter unless their entry says otherwise. Before "
    "anything is timed, batches out of the cache equal those of the decoded and shrunk images to the bit, the exact "
    "crop equals the PIL chain's within rounding (torch's filter: within 2 of 255) where both cut the same window, and "
    "normalised windows equal the formula's."
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
        self.encoder = self._encoder(crop="exact")
        self.decoded = load_decoded(
            folder / "home",
            self.dataset,
            records,
            size=self.encoder.stored_size,
            progress=lambda done, total: None,
        )
        self.exact = self._inputs(self.encoder, self.decoded)
        default = self._encoder()
        self.unscaled = self._encoder(crop="exact", resize="torch")
        self.ways = {
            CACHE: self.exact,
            CACHE_DEFAULT: self._inputs(default, self.decoded),
            CACHE_TORCH: self._inputs(self._encoder(resize="torch"), self.decoded),
            FILES: self._inputs(self.unscaled, None),
            FILES_DEFAULT: self._inputs(default, None),
        }
        self.order = np.arange(bench.images)

    def _encoder(self, **settings: str) -> Any:
        # A backbone of 224 pixels without weights: only its views are used.
        params = {"backbone": "resnet18", "weights": None, **settings}
        part = Part(name="image", use="timm", revision=1, params=params, title="")
        catalog = self.bench.workspace.catalog
        return build(part, "encoder", catalog, dim=8, classes=8, captions=("a picture",), seed=0)

    def _inputs(self, encoder: Any, decoded: DecodedImages | None) -> PixelInputs:
        return PixelInputs(self.dataset, self.split, encoder, device="cpu", workers=0, decoded=decoded)

    def epoch(self, inputs: PixelInputs, seed: int = 1) -> Tensor:
        """Return the last batch of an epoch, in uint8."""
        *_, last = inputs.batches(self.order, self.order * 0, self.bench.batch, seed)
        return last

    def normalised(self, inputs: PixelInputs) -> Tensor:
        """Return the last batch of an epoch, each normalised as the encoder does it first."""
        encoder: Any = inputs.encoder
        last: Tensor
        *_, last = map(encoder.scaled, inputs.batches(self.order, self.order * 0, self.bench.batch, 1))
        return last

    def check(self) -> None:
        """Hold the cache to decoding and shrinking, and the exact crop to the PIL chain's window."""
        import torch

        plain = self._inputs(self.encoder, None)
        whole = {r.file: shrunk(self.dataset.pixels(r), self.encoder.stored_size) for r in self.split.records}
        plain.pixels = lambda index: whole[self.split.records[index].file]  # type: ignore[method-assign]
        if not torch.equal(self.epoch(self.exact), self.epoch(plain)):
            raise RunError("batches out of the decoded cache differ from those of decoded images")
        for encoder, most in ((self.encoder, 1), (self.unscaled, 2)):
            theirs, ours = transforms.same_window(self.dataset.paths[0], encoder)
            worst = int((theirs.int() - ours.int()).abs().max())
            if worst > most:
                raise RunError(f"the exact crop differs from the PIL chain's by {worst} of 255")
            if not torch.allclose(encoder.scaled(ours[None]), transforms.normalised(ours[None]), atol=1e-5):
                raise RunError("normalised windows differ from those of the formula")

    def batches(self) -> Group:
        """Time an epoch of each way."""
        ways: list[tuple[str, Callable[[], Any]]] = [
            (name, partial(self.normalised, inputs)) for name, inputs in self.ways.items()
        ]
        ways.insert(1, (BYTES, lambda: self.epoch(self.exact)))
        ratios = [Ratio(over=CACHE_DEFAULT, under=CACHE)]
        if importlib.util.find_spec("torchvision") is not None:
            paths, batch = self.dataset.paths, self.bench.batch
            ways += [
                (PIL, lambda: transforms.pil(paths, batch, scaled=False)),
                (PIL_SCALED, lambda: transforms.pil(paths, batch, scaled=True)),
                (V2_FLOAT, lambda: transforms.v2(paths, batch, floats=True)),
                (V2, lambda: transforms.v2(paths, batch, floats=False)),
            ]
            ratios = [
                Ratio(over=PIL, under=CACHE, least=20),
                Ratio(over=PIL, under=FILES, least=2.5),
                Ratio(over=PIL_SCALED, under=CACHE_DEFAULT),
                Ratio(over=PIL_SCALED, under=CACHE_TORCH),
                Ratio(over=PIL_SCALED, under=FILES_DEFAULT),
                Ratio(over=V2, under=CACHE),
                Ratio(over=V2, under=FILES),
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
