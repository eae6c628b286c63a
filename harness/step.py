"""One step of training: both paths, the captions that losses mine, and the terms of the objective."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.distributed import ALONE, Team
from harness.errors import InputError, TrainingError, nearest
from harness.inputs import ImageInputs, derive, sent
from harness.model import Model
from harness.protocols import Drafting, Mining, Split

if TYPE_CHECKING:
    from torch import Tensor

PRECISIONS = ("32-true", "bf16-mixed")
"""Lightning Fabric's names: float32 throughout, or forward passes in bfloat16 where torch holds that safe."""


@dataclass(frozen=True, kw_only=True)
class Numerics:
    """How a step computes.

    Args:
        precision: one of `PRECISIONS`. Embeddings of val and test are float32 in either.
        compile: backend of torch.compile for both paths, such as ``inductor``; empty compiles nothing.
    """

    precision: str = "32-true"
    compile: str = ""

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise InputError(f"no precision {self.precision!r}{nearest(self.precision, PRECISIONS)}")

    def cast(self, device: str, *, keep: bool = True) -> contextlib.AbstractContextManager[Any]:
        """Return the context of a forward pass.

        Args:
            keep: let the weights in bfloat16 be used again by later passes under an outer context.
        """
        import torch

        if self.precision == "32-true":
            return contextlib.nullcontext()
        return torch.autocast(device.partition(":")[0], dtype=torch.bfloat16, cache_enabled=keep)


@dataclass(frozen=True, eq=False, kw_only=True)
class Batch:
    """What a step trains on: prepared images or their features, prepared captions, and the image of each pair.

    In a process that shares the batch with others, `images` are its own; captions and groups are of the whole batch.
    """

    images: Tensor
    texts: Tensor
    groups: Tensor


class Step:
    """Computes the terms of the objective on a batch.

    Args:
        split: the train split.
        texts: (m, ...) its prepared captions, on the device.
        seed: of the run; candidates are drawn from it, the epoch and the step, so that a resumed run repeats them.
        team: the processes that share a batch.
    """

    def __init__(
        self,
        model: Model,
        images: ImageInputs,
        split: Split,
        texts: Tensor,
        *,
        seed: int,
        numerics: Numerics,
        team: Team = ALONE,
    ) -> None:
        self.model, self.texts, self.seed, self.numerics = model, texts, seed, numerics
        self.team = team
        self._doubts: dict[str, Tensor] = {}
        self.caption_image = sent(split.caption_image, texts.device)
        self.embed_image: Callable[[Tensor], Tensor] = lambda batch: images.embed(model.image, batch)
        self.embed_text: Callable[[Tensor], Tensor] = lambda batch: model.text(batch)
        if numerics.compile:
            import torch

            # What earlier runs of this process compiled counts against a limit, beyond which nothing is.
            torch.compiler.reset()
            self.embed_image = torch.compile(self.embed_image, backend=numerics.compile)
            self.embed_text = torch.compile(self.embed_text, backend=numerics.compile)

    def terms(self, batch: Batch, epoch: int, step: int) -> dict[str, Tensor]:
        """Return the value of each loss, with gradient.

        Args:
            epoch, step: from 1 and from 0.

        Raises:
            TrainingError: if a loss mines what is no row of its candidates.
        """
        import torch

        with self.numerics.cast(str(batch.texts.device)):
            image = self.team.whole(self.embed_image, batch.images, len(batch.groups))
            mined = self.mined(image.detach(), batch.groups, epoch, step)
            # One pass over the batch's and the mined captions, with batch statistics over them all.
            text = self._embedded(self.embed_text, torch.cat([batch.texts, *mined.values()]))
            # Every process computes the losses of the whole batch, so that what they drop must be the same.
            self.team.same_random(str(batch.texts.device))
            return self.losses(image, text, mined, batch.groups)

    def losses(
        self, image: Tensor, text: Tensor, mined: Mapping[str, Tensor], groups: Tensor
    ) -> dict[str, Tensor]:
        """Return the value of each loss.

        Args:
            image: (batch, dim).
            text: (batch + mined, dim): the batch's captions, and after them those that losses mined, in order.
            mined: what `mined` returned.
        """
        import torch

        own, *more = torch.split(text, [len(groups), *map(len, mined.values())])
        extra: Mapping[str, Tensor] = dict(zip(mined, more, strict=True))
        return {
            name: loss(image, own, groups, *([extra[name]] if name in extra else []))
            for name, loss in self.model.losses.items()
        }

    def mined(
        self, image: Tensor, groups: Tensor, epoch: int, step: int, *, parts: int = 1
    ) -> dict[str, Tensor]:
        """Return the prepared captions that each loss takes from beyond the batch, by its name.

        Args:
            image: (batch, dim), without gradient.
            parts: in which candidates are embedded.
        """
        return {
            name: self._mine(name, loss, image, groups, epoch, step, parts)
            for name, loss in self.model.losses.items()
            if isinstance(loss, Mining) and loss.candidates > 0
        }

    def _embedded(self, embed: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
        """Embed what every process has whole."""
        return self.team.whole(embed, rows[self.team.share(len(rows)).slice], len(rows))

    def _mine(
        self, name: str, loss: Mining, image: Tensor, groups: Tensor, epoch: int, step: int, parts: int = 1
    ) -> Tensor:
        """Return the prepared captions that a loss takes from beyond the batch."""
        import numpy as np
        import torch

        random = np.random.default_rng(derive(self.seed, "candidates", name, epoch, step))
        count = min(loss.candidates, len(self.texts))
        drawn = sent(random.choice(len(self.texts), count, replace=False), self.texts.device)
        candidates = self.texts[drawn]
        encoder = self.model.text
        embed = encoder.draft if isinstance(encoder, Drafting) else encoder
        encoder.eval()
        try:
            # Weights that are cast here have no gradient: the pass after this one must not find them.
            with torch.no_grad(), self.numerics.cast(str(candidates.device), keep=False):
                rows = torch.tensor_split(candidates, min(parts, count))
                embedded = torch.cat([self._embedded(embed, part) for part in rows])
        finally:
            encoder.train()
        chosen: Any = loss.mine(image, groups, embedded, self.caption_image[drawn])
        must = f"it must return (k,) int64 rows of its {count} candidates"
        if not (isinstance(chosen, torch.Tensor) and chosen.dtype == torch.int64 and chosen.ndim == 1):
            raise TrainingError(f"loss {name!r} mined {chosen!r:.80}; {must}")
        # Read later, with the step's figures: until then what is no row may not stop a GPU.
        kept = chosen.clamp(0, count - 1)
        self._doubts[f"loss {name!r} mined what is no row; {must}"] = (kept != chosen).any()
        return candidates[self.team.same(kept)]

    def doubts(self) -> dict[str, Tensor]:
        """Return, by what is to be said of it, whether something was wrong in the last step: bool scalars."""
        found, self._doubts = self._doubts, {}
        return found
