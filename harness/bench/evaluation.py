"""`harness bench evaluation`: ranking beside the bare matrix product, and beside other evaluators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.bench import rivals
from harness.bench.contest import Contender, Rounds, alike, contest
from harness.bench.galleries import CAPTIONS, embeddings, gallery
from harness.bench.origin import load_average, origin_of
from harness.bench.report import Fact, Group, Ratio, Report
from harness.build import build
from harness.execute.settings import settle
from harness.plan import Part
from harness.protocols import Split
from harness.ranking import BLOCK, KS, Ranked, rank

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

SIZES = (1000, 5000)
DIM = 2048
FOLDS = 5
OURS, PRODUCT, SPLIT = "harness", "bare matrix product", "folds from the tiles"
PACKAGES = ("torch", "numpy", "clip-benchmark", "torchmetrics", "retrieval-harness-recall")
ABOUT = (
    "One gallery with five captions an image, embeddings drawn at random, both directions: R@1, R@5, R@10 and MedR, "
    "for 5,000 images also the mean over five folds of 1,000. Every evaluator must find the same recalls, up to two "
    "queries whose scores rounding parts, or nothing is reported. The bare product writes into memory that it was "
    "given. CLIP_benchmark is its own `evaluate` with an encoder that hands out the embeddings, in its default "
    "batches of 64, on 1,000 images also of 16 and of 256; it normalises them once more, sorts anew for every K, and "
    "computes no MedR. The loop is VSE++'s in NumPy: it sorts the scores of one query at a time, in float64, to which "
    "embeddings are converted before. What evaluators are given is made, and memory is cleared, before the clock "
    "starts. Extra memory is resident memory beyond the embeddings at its highest; the kernel keeps it, no thread "
    "watches."
)
SLOW = 4000
"""Images from which on the others are asked once a round, and some for a part of the queries."""
EXTRA = 128 * 2**20
"""Bytes beyond the embeddings that ranking such a gallery may take."""
SLOW_ROUNDS = 3
"""At most, of what takes half a minute a call."""


@dataclass(frozen=True, kw_only=True)
class EvaluationBench(Rounds):
    """What to measure.

    Attributes:
        sizes: images of the galleries; there are five captions to each.
        dim: size of the embedding.
    """

    sizes: Sequence[int] = SIZES
    dim: int = DIM


def measure(bench: EvaluationBench, told: Any) -> Report:
    """Time every evaluator on every gallery.

    Raises:
        RunError: if two do not find the same.
    """
    load = load_average()
    settle(bench.workspace)
    groups: list[Group] = []
    for images in bench.sizes:
        split = gallery(images)
        told(f"{images:,} images, {len(split.captions):,} captions, {bench.dim} numbers")
        image, text = embeddings(split, bench.dim)
        groups += _Contest(bench, split, image, text).groups()
    return Report(
        benchmark="evaluation",
        section="evaluation",
        heading="Evaluation",
        about=ABOUT,
        groups=tuple(groups),
        origin=origin_of(bench.workspace, PACKAGES, load),
    )


class _Contest:
    def __init__(self, bench: EvaluationBench, split: Split, image: Floats, text: Floats) -> None:
        self.bench, self.split, self.image, self.text = bench, split, image, text
        self.recall = self._evaluator(folds=1)
        images = len(split.records)
        self.folds = self._evaluator(folds=FOLDS) if images == FOLDS * BLOCK else None
        self.ranked: Ranked | None = None
        self.slow = images >= SLOW
        self.part = rivals.part(images, slow=self.slow)
        self.title = f"{images:,} x {len(split.captions):,} x {bench.dim}"

    def _evaluator(self, *, folds: int) -> Any:
        part = Part(name="recall", use="recall", revision=1, params={"folds": folds}, title="")
        return build(part, "evaluator", self.bench.workspace.catalog)

    def groups(self) -> list[Group]:
        """Time the product and what is fast in the same rounds; what takes minutes in a few rounds of its own."""
        fast = [self._ours(), self._product(), self._naive()]
        if self.folds is not None:
            fast.append(Contender(name=SPLIT, call=self._in_folds, weigh=False))
        ratios = [
            Ratio(over=OURS, under=PRODUCT, most=1.15 if self.slow else None),
            Ratio(over=rivals.WHOLE, under=OURS),
            *([Ratio(over=SPLIT, under=OURS, most=0.01)] if self.folds is not None else []),
        ]
        others = rivals.others(self.split, self.image, self.text, slow=self.slow)
        against = [
            Ratio(over=other.name, under=OURS, least=rivals.GOALS.get(other.name) if self.slow else None)
            for other in others
        ]
        if not self.slow:
            return [self._contest(self.title, [*fast, *others], self.bench, [*ratios, *against])]
        few = Rounds(workspace=self.bench.workspace, rounds=min(SLOW_ROUNDS, self.bench.rounds), seconds=0.0)
        return [
            _held(self._contest(self.title, fast, self.bench, ratios), len(self.split.records)),
            self._contest(f"{self.title}, others", [self._ours(slow=True), *others], few, against),
        ]

    def _contest(
        self, title: str, contenders: Sequence[Contender], how: Rounds, ratios: Sequence[Ratio]
    ) -> Group:
        return contest(title, contenders, how, ratios=ratios, check=self._check, facts=self._facts)

    def _ours(self, *, slow: bool = False) -> Contender:
        return Contender(name=OURS, call=self._evaluate, slow=slow)

    def _evaluate(self) -> Mapping[str, float]:
        self.ranked = rank(self.split, self.image, self.text)
        found: dict[str, float] = dict(self.recall.evaluate(self.ranked))
        return found | (dict(self._in_folds()) if self.folds is not None else {})

    def _in_folds(self) -> Mapping[str, float]:
        assert self.ranked is not None
        assert self.folds is not None
        return {f"folds.{name}": value for name, value in self.folds.evaluate(self.ranked).items()}

    def _product(self) -> Contender:
        import torch

        images, texts = torch.from_numpy(self.image), torch.from_numpy(self.text)
        scores = torch.empty(len(images), len(texts))

        def call() -> dict[str, float]:
            torch.mm(images, texts.T, out=scores)
            return {}

        return Contender(name=PRODUCT, call=call, weigh=False)

    def _naive(self) -> Contender:
        return Contender(
            name=rivals.WHOLE, call=lambda: rivals.whole_matrix(self.split, self.image, self.text)
        )

    def _check(self, found: Mapping[str, Mapping[str, float]]) -> None:
        """Hold all to what the harness found; of those that looked at the first images alone, to its ranks of these."""
        if OURS not in found:
            return
        assert self.ranked is not None
        part, images = self.part, len(self.split.records)
        some = self.ranked.i2t.rank()[:part], self.ranked.t2i.rank()[: CAPTIONS * part]
        ours = {**found[OURS], **rivals.figures(*some, rivals.first(part))}
        within = {
            f"{prefix}{key}": 0.5 if key.endswith("median_rank") else 2 / (queries * count)
            for prefix, count in (("", images), (rivals.first(part), part))
            for side, queries in (("i2t", 1), ("t2i", CAPTIONS))
            for key in (f"{side}.median_rank", *(f"{side}.recall@{k}" for k in KS))
        }
        alike(self.title, {OURS: ours, **{n: f for n, f in found.items() if n != OURS}}, within=within)

    def _facts(self, found: Mapping[str, Mapping[str, float]]) -> list[Fact]:
        shown = ", ".join(
            f"{side} R@1 {100 * found[OURS][f'{side}.recall@1']:.1f} %" for side in ("i2t", "t2i")
        )
        return [Fact(name="figures", value=shown)]


def _held(group: Group, images: int) -> Group:
    """Hold the harness's extra memory to its goal, where the system tells it."""
    took = next(timed.memory for timed in group.timed if timed.name == OURS)
    if took is None:
        return group
    goal = "yes" if took < EXTRA else "no"
    value = f"{took / 2**20:,.0f} MB (to reach: under {EXTRA // 2**20} MB: {goal})"
    fact = Fact(name=f"extra memory of {images:,} images", value=value)
    return replace(group, facts=(*group.facts, fact))
