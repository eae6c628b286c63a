"""Other ways to the same recalls: what people use today, and what one would write first."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.bench.contest import Contender
from harness.protocols import Split
from harness.ranking import KS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    Floats = npt.NDArray[np.float32]
    Doubles = npt.NDArray[np.float64]
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
BATCHES = (16, 256)
"""Others that it is asked with on a small gallery: how many queries it looks at at a time changes its speed."""


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
    """Return the evaluators that people use, as far as they are installed. What they are given is not timed.

    Args:
        slow: the gallery is so large that each is asked once a round, and loops for a part of the queries.
    """
    images = len(split.records)
    some = part(images, slow=slow)
    wide = _Doubles(image, text)
    found = [
        Contender(
            name=LOOP,
            ready=wide.make,
            call=lambda: wide.loop(split, some),
            part=some / images,
            slow=slow,
        )
    ]
    if importlib.util.find_spec("clip_benchmark") is not None:
        found.append(_clip(CLIP, split, image, text, BATCH, slow))
        if not slow:
            found += [_clip(f"{CLIP}, batches of {size}", split, image, text, size, slow) for size in BATCHES]
    if not slow and importlib.util.find_spec("torchmetrics") is not None:
        found.append(
            Contender(name=METRICS, call=lambda: hit_rates(split, image, text, some), part=some / images)
        )
    return found


def _clip(name: str, split: Split, image: Floats, text: Floats, size: int, slow: bool) -> Contender:
    batches = clip_batches(split, image, size)
    return Contender(
        name=name,
        # Where it is asked once a round, no call before has imported it.
        ready=lambda: importlib.import_module("clip_benchmark.metrics.zeroshot_retrieval"),
        call=lambda: clip_benchmark(batches, text),
        slow=slow,
    )


class _Doubles:
    """Embeddings in float64, converted once, when they are first asked for."""

    def __init__(self, image: Floats, text: Floats) -> None:
        self.given = image, text
        self.made: tuple[Doubles, Doubles] | None = None

    def make(self) -> None:
        import numpy as np

        if self.made is None:
            image, text = self.given
            self.made = image.astype(np.float64), text.astype(np.float64)

    def loop(self, split: Split, count: int) -> Mapping[str, float]:
        """Sort their scores."""
        assert self.made is not None
        return argsort_loop(split, *self.made, count)


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


def argsort_loop(split: Split, image: Doubles, text: Doubles, count: int) -> Mapping[str, float]:
    """Sort the scores of one query after the other in float64, as VSE++'s evaluation does, in NumPy.

    Args:
        count: the first so many images are asked, and their captions, whose scores are computed an image at a time.
    """
    import numpy as np

    edges = np.searchsorted(split.caption_image, np.arange(count + 1))
    i2t, t2i = [], []
    for row, (start, stop) in enumerate(itertools.pairwise(edges.tolist())):
        order = np.argsort(np.dot(image[row], text.T))[::-1]
        i2t.append(1 + min(int(np.where(order == place)[0][0]) for place in range(start, stop)))
    for row, (start, stop) in enumerate(itertools.pairwise(edges.tolist())):
        for scores in np.dot(text[start:stop], image.T):
            t2i.append(1 + int(np.where(np.argsort(scores)[::-1] == row)[0][0]))
    return figures(np.array(i2t), np.array(t2i), first(count))


def clip_batches(split: Split, image: Floats, size: int) -> list[tuple[Tensor, list[range]]]:
    """Return what CLIP_benchmark's data loader gives: batches of images, here embedded, each with its captions."""
    import numpy as np
    import torch

    images = torch.from_numpy(image)
    edges = np.searchsorted(split.caption_image, np.arange(len(image) + 1)).tolist()
    rows = [range(*pair) for pair in itertools.pairwise(edges)]
    return [(images[start : start + size], rows[start : start + size]) for start in range(0, len(rows), size)]


def clip_benchmark(batches: Sequence[tuple[Tensor, list[range]]], text: Floats) -> Mapping[str, float]:
    """Ask CLIP_benchmark's own evaluation, whose encoder hands out the embeddings.

    Args:
        batches: see `clip_batches`; it ranks as many queries at a time as the first has images.
    """
    import torch
    from clip_benchmark.metrics import zeroshot_retrieval

    texts = torch.from_numpy(text)
    # Its progress bar is no message of ours.
    with contextlib.redirect_stderr(io.StringIO()):
        found = zeroshot_retrieval.evaluate(
            _Given(),
            batches,
            lambda asked: texts[asked[0] : asked[-1] + 1],
            "cpu",
            amp=False,
            recall_k_list=list(KS),
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
