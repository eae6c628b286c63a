"""Other ways to the same recalls: what people use today, and what one would write first."""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.bench.contest import Contender
from harness.protocols import Split
from harness.ranking import KS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Ranks = npt.NDArray[np.floating[Any]] | npt.NDArray[np.int64]

CLIP, LOOP, METRICS, WHOLE = (
    "CLIP_benchmark",
    "argsort loop, float64",
    "torchmetrics hit rate",
    "whole matrix",
)
GOALS = {CLIP: 10.0, LOOP: 30.0}
"""How many times faster than them the harness is to be on 5,000 images."""
BATCH = 64
"""CLIP_benchmark's default."""


def figures(i2t: Ranks, t2i: Ranks, prefix: str = "") -> dict[str, float]:
    """Return the recalls of ranks from 1, and the median ranks."""
    import numpy as np

    found: dict[str, float] = {}
    for side, ranks in (("i2t", i2t), ("t2i", t2i)):
        found |= {f"{prefix}{side}.recall@{k}": float((ranks <= k).mean()) for k in KS}
        found[f"{prefix}{side}.median_rank"] = float(np.median(ranks))
    return found


def first(images: int) -> str:
    """Return what stands before figures of the first images and their captions alone."""
    return f"first {images} images: "


def part(images: int, *, slow: bool) -> int:
    """Return of how many images the loops look at the queries: a tenth, of large galleries a hundredth."""
    return max(1, images // (100 if slow else 10))


def others(split: Split, image: Floats, text: Floats, *, slow: bool) -> list[Contender]:
    """Return the evaluators that people use, as far as they are installed.

    Args:
        slow: the gallery is so large that each is asked once, and loops for a part of the queries.
    """
    images = len(split.records)
    some = part(images, slow=slow)
    found = [
        Contender(
            name=LOOP,
            call=lambda: argsort_loop(split, image, text, some),
            part=some / images,
            slow=slow,
        )
    ]
    if importlib.util.find_spec("clip_benchmark") is not None:
        found.append(Contender(name=CLIP, call=lambda: clip_benchmark(split, image, text), slow=slow))
    if not slow and importlib.util.find_spec("torchmetrics") is not None:
        found.append(
            Contender(name=METRICS, call=lambda: hit_rates(split, image, text, some), part=some / images)
        )
    return found


def whole_matrix(split: Split, image: Floats, text: Floats) -> Mapping[str, float]:
    """Hold all scores at once and count, for every query, those above the truth."""
    import torch

    owner = torch.from_numpy(split.caption_image)
    scores = torch.from_numpy(image) @ torch.from_numpy(text).T
    truth = scores[owner, torch.arange(len(owner))]
    best = torch.full((len(image),), -torch.inf).scatter_reduce(0, owner, truth, "amax")
    i2t = 1 + (scores > best[:, None]).sum(1)
    t2i = 1 + (scores > truth[None, :]).sum(0)
    return figures(i2t.numpy(), t2i.numpy())


def argsort_loop(split: Split, image: Floats, text: Floats, count: int) -> Mapping[str, float]:
    """Sort the scores of one query after the other in float64: of the first `count` images, and of their captions."""
    import numpy as np
    import torch

    images, texts = torch.from_numpy(image).double(), torch.from_numpy(text).double()
    owner = torch.from_numpy(split.caption_image)
    last = int(np.searchsorted(split.caption_image, count))
    i2t = [
        1 + int((owner[torch.argsort(texts @ images[row], descending=True)] == row).nonzero()[0, 0])
        for row in range(count)
    ]
    t2i = [
        1 + int((torch.argsort(images @ texts[row], descending=True) == owner[row]).nonzero()[0, 0])
        for row in range(last)
    ]
    return figures(np.array(i2t), np.array(t2i), first(count))


def clip_benchmark(split: Split, image: Floats, text: Floats) -> Mapping[str, float]:
    """Ask CLIP_benchmark's own evaluation, whose encoder hands out the embeddings."""
    import torch
    from clip_benchmark.metrics import zeroshot_retrieval

    images, texts = torch.from_numpy(image), torch.from_numpy(text)
    rows: list[list[int]] = [[] for _ in split.records]
    for row, owner in enumerate(split.caption_image.tolist()):
        rows[owner].append(row)
    batches = [
        (images[start : start + BATCH], rows[start : start + BATCH]) for start in range(0, len(images), BATCH)
    ]
    # Its progress bar is no message of ours.
    with contextlib.redirect_stderr(io.StringIO()):
        found = zeroshot_retrieval.evaluate(
            _Given(), batches, lambda asked: texts[asked], "cpu", amp=False, recall_k_list=list(KS)
        )
    names = {"text": "i2t", "image": "t2i"}
    return {
        f"{side}.recall@{k}": float(found[f"{name}_retrieval_recall@{k}"])
        for name, side in names.items()
        for k in KS
    }


class _Given:
    """An encoder for what is embedded already."""

    def encode_image(self, batch: Any) -> Any:
        return batch

    def encode_text(self, batch: Any) -> Any:
        return batch


def hit_rates(split: Split, image: Floats, text: Floats, count: int) -> Mapping[str, float]:
    """Ask torchmetrics for the hit rates of the first `count` images, and of their captions."""
    import numpy as np
    import torch
    from torchmetrics.retrieval import RetrievalHitRate

    images, texts = torch.from_numpy(image), torch.from_numpy(text)
    owner = torch.from_numpy(split.caption_image)
    last = int(np.searchsorted(split.caption_image, count))
    found = {}
    sides = {
        "i2t": (images[:count] @ texts.T, owner[None, :] == torch.arange(count)[:, None]),
        "t2i": (texts[:last] @ images.T, owner[:last, None] == torch.arange(len(images))[None, :]),
    }
    for side, (scores, target) in sides.items():
        query = torch.arange(len(scores))[:, None].expand_as(scores)
        for k in KS:
            metric = RetrievalHitRate(top_k=k)
            metric.update(scores.flatten(), target.flatten(), indexes=query.flatten())
            found[f"{first(count)}{side}.recall@{k}"] = float(metric.compute())
    return found
