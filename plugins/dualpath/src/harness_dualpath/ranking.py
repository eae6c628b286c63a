"""Bidirectional ranking loss: a pair scores higher than with a wrong caption or a wrong image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from harness.api import ParameterError, TrainingError

SHORTEST = 1e-6
"""An embedding of at most this length has no direction: it is left as it is, and its cosines are about 0."""


class RankingLoss(nn.Module):
    """Compute the bidirectional ranking loss (Zheng et al.).

        L = max(0, margin - (s(Ia, Ta) - s(Ia, Tn))) + max(0, margin - (s(Ta, Ia) - s(Ta, In)))

    with the cosine as s, in the mean over the anchors a. A pair of the same training image is never a negative.
    Where all embeddings are equal, the loss is 2 margin to the bit.

    Args:
        margin: by how much a pair has to win, above 0; cosines differ by 2 at most.
        negatives: ``random`` takes another pair of the batch, drawn anew for either direction; ``hardest`` the one of
            the batch that scores highest, as VSE++ does; ``mined`` is the paper's: the first part of the batch, whose
            order is random, are anchors, the wrong caption is the hardest of many from the whole train split, and
            the wrong image is drawn from the rest of the batch. With the others, all pairs are anchors.
        anchors: part of the batch that are anchors, in (0, 1], rounded, at least one pair; ``mined`` only.
        candidates: captions drawn from the train split for a step, at least 1; ``mined`` only, others draw none.

    Raises:
        ParameterError: if a number is out of its range.
    """

    def __init__(
        self,
        *,
        margin: float = 1.0,
        negatives: Literal["random", "hardest", "mined"] = "random",
        anchors: float = 0.5,
        candidates: int = 256,
    ) -> None:
        super().__init__()
        if not 0 < margin < math.inf:
            raise ParameterError(f"ranking loss: parameter 'margin' is {margin}, not a number above 0")
        if negatives not in ("random", "hardest", "mined"):
            raise ParameterError(
                f"ranking loss: parameter 'negatives' is {negatives!r}, not 'random', 'hardest' or 'mined'"
            )
        if not 0 < anchors <= 1:
            raise ParameterError(f"ranking loss: parameter 'anchors' is {anchors}, not in (0, 1]")
        if candidates < (least := 1 if negatives == "mined" else 0):
            raise ParameterError(
                f"ranking loss: parameter 'candidates' is {candidates}, not at least {least} for {negatives!r}"
            )
        self.margin, self.negatives = margin, negatives
        self.anchors = anchors if negatives == "mined" else 1.0
        self.candidates = candidates if negatives == "mined" else 0
        self._figures: dict[str, Tensor] = {}

    def forward(self, image: Tensor, text: Tensor, group: Tensor, mined: Tensor | None = None) -> Tensor:
        """Compute the loss.

        Args:
            image, text: (batch, dim) embeddings, of any length.
            group: (batch,) int64: the training image of each pair.
            mined: (anchors, dim) embeddings of the captions that `mine` chose.

        Raises:
            TrainingError: if a pair has no negative, or `mined` is not what `mine` chose for this batch.
        """
        count = self._count(group)
        image, text = unit(image), unit(text)
        allowed = group[:count, None] != group[None, :]
        anchor_image, anchor_text = image[:count], text[:count]
        if self.negatives == "mined":
            wrong_text = unit(self._checked(mined, count))
        else:
            wrong_text = _rows(text, self._pick(anchor_image, text, allowed))
        wrong_image = _rows(image, self._pick(anchor_text, image, allowed))
        # Products row by row, all three alike: equal embeddings then have equal cosines, to the bit.
        positive = (anchor_image * anchor_text).sum(1)
        negative = torch.stack([(anchor_image * wrong_text).sum(1), (anchor_text * wrong_image).sum(1)])
        hinges = (self.margin - (positive - negative)).relu()
        loss = hinges.sum(0).mean()
        with torch.no_grad():
            self._figures = {
                "active": (hinges > 0).float().mean(),
                "positive": positive.mean(),
                "negative": negative.mean(),
                "image_spread": _spread(image),
                "text_spread": _spread(text),
                "level": loss / (2 * self.margin),
            }
        return loss

    @torch.no_grad()
    def mine(self, image: Tensor, group: Tensor, text: Tensor, text_group: Tensor) -> Tensor:
        """Choose for each anchor the caption of another image that scores highest.

        Args:
            image: (batch, dim) embeddings of the batch's images.
            group: (batch,) int64: the training image of each pair.
            text: (candidates, dim) embeddings of the candidates.
            text_group: (candidates,) int64: the training image of each candidate.

        Returns:
            (anchors,) int64 rows of `text`.

        Raises:
            TrainingError: if all candidates are captions of an anchor's own image.
        """
        count = self._count(group)
        allowed = group[:count, None] != text_group[None, :]
        return _highest(_cosines(unit(image[:count]), unit(text)), allowed)

    def figures(self) -> Mapping[str, Tensor]:
        """Return what tells a collapse from progress in the last call.

        ``active`` is the part of the hinges above 0; ``positive`` and ``negative`` are mean cosines; the spreads are
        the variance of the normalised embeddings, summed over the dimensions: 0 where all are equal, 1 where they
        point everywhere; ``level`` is the loss over 2 margin: 1 where all embeddings are equal.
        """
        return dict(self._figures)

    def _count(self, group: Tensor) -> int:
        return max(1, round(self.anchors * len(group)))

    @staticmethod
    def _checked(mined: Tensor | None, count: int) -> Tensor:
        rows = 0 if mined is None else len(mined)
        if mined is None or rows != count:
            raise TrainingError(
                f"ranking loss: negatives 'mined' need the caption that mine() chose for each of {count} anchors, "
                f"and got {rows}"
            )
        return mined

    def _pick(self, anchor: Tensor, other: Tensor, allowed: Tensor) -> Tensor:
        """Return the row of `other` that is each anchor's negative in the batch."""
        if self.negatives == "hardest":
            return _highest(_cosines(anchor, other), allowed)
        # On the CPU, so that every device draws the same.
        scores = torch.rand(allowed.shape, device="cpu", pin_memory=allowed.is_cuda)
        scores = scores.to(allowed.device, non_blocking=True)
        # Pairs that are no anchors come first; they are none only where all are anchors.
        scores[:, len(allowed) :] += 1
        return _highest(scores, allowed)


def unit(rows: Tensor) -> Tensor:
    """Scale rows to length 1, in float32 at least.

    A row without direction stays as it is: dividing by a tiny length would give it a huge gradient.
    """
    rows = rows.float() if rows.dtype in (torch.bfloat16, torch.float16) else rows
    length = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return rows / torch.where(length > SHORTEST, length, 1.0)


@torch.no_grad()
def _cosines(query: Tensor, gallery: Tensor) -> Tensor:
    # Near ties are told apart in float32, whatever the precision of the step.
    with torch.autocast(query.device.type, enabled=False):
        return query @ gallery.T


def _highest(scores: Tensor, allowed: Tensor) -> Tensor:
    """Return the (queries,) columns of the highest allowed scores, -1 where none is allowed.

    On a CPU that is an error; another device would have to wait until it is read.
    """
    none = ~allowed.any(1)
    if none.device.type == "cpu" and (lacking := none.nonzero().flatten().tolist()):
        raise TrainingError(
            f"ranking loss: pair {lacking[0] + 1} of the batch has no negative: all {allowed.shape[1]} pairs or "
            "captions to choose from are of the same training image",
            hint="Train on more images, or raise the stage's batch or the loss's candidates.",
        )
    return scores.masked_fill(~allowed, -torch.inf).argmax(1).masked_fill(none, -1)


def _rows(table: Tensor, chosen: Tensor) -> Tensor:
    """Return rows of a table, NaN for -1: the loss is NaN then, which the harness tells."""
    return table[chosen.clamp(min=0)].masked_fill((chosen < 0)[:, None], torch.nan)


def _spread(rows: Tensor) -> Tensor:
    return (rows - rows.mean(0)).square().sum(1).mean()
