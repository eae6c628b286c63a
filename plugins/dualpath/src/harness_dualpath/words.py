"""What the text paths share: the vocabulary of the train captions, and the words as vectors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from harness.api import ParameterError
from harness_dualpath.blocks import Norm
from harness_dualpath.layers import bound
from harness_dualpath.vectors import WordVectors, read_vectors
from harness_dualpath.vocabulary import Vocabulary, build_vocabulary

EMBEDDING = 300
"""Width of a word without a table of vectors, as in the paper."""


class Words(nn.Module):
    """Turn captions into ids of their known words, and ids into normalised vectors; a text path builds on it.

    Args:
        captions: of the train split.
        vectors, vocabulary, embedding, embedding_dim, lower, min_count, length, word_dropout, embedding_dropout:
            as of `TextCNN`.

    Raises:
        ParameterError: if the vectors cannot be read, no word is left, or a number is out of range.
    """

    def __init__(
        self,
        *,
        captions: Sequence[str],
        vectors: str | None,
        vocabulary: Literal["vectors", "all"] | None,
        embedding: Literal["vectors", "random"],
        embedding_dim: int | None,
        lower: bool,
        min_count: int,
        length: int,
        word_dropout: float,
        embedding_dropout: float,
    ) -> None:
        super().__init__()
        if length < 1 or (embedding_dim is not None and embedding_dim < 1):
            raise ParameterError(f"length {length} and embedding_dim {embedding_dim} must be positive")
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
        self.length, self.word_dropout = length, word_dropout
        self.counts = dict.fromkeys(("captions", "without_words", "cut", "words", "unknown_words"), 0)

        self.channels = embedding_dim or (EMBEDDING if table is None else table.dim)
        start = _start(self.vocabulary, table, self.channels, random=embedding == "random")
        # A row of zeros for padding makes the lookup equal to a 1x1 convolution over one-hot words.
        self.embedding = nn.Embedding(len(start), self.channels, padding_idx=0, _weight=start)
        self.embedding_bias = nn.Parameter(torch.zeros(self.channels))
        self.embedding_norm = Norm(self.channels)
        self.embedding_dropout = nn.Dropout(embedding_dropout)

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

    def drop_words(self, ids: Tensor) -> Tensor:
        """Replace each word by padding with the probability `word_dropout`, in training."""
        if self.training and self.word_dropout > 0:
            return ids * (torch.rand(ids.shape, device=ids.device) >= self.word_dropout)
        return ids

    def embed_words(self, ids: Tensor) -> Tensor:
        """Look up, add the bias, normalise over all that is given, drop: (batch, words) -> (batch, words, channels)."""
        words: Tensor = self.embedding_norm(self.embedding(ids) + self.embedding_bias)
        dropped: Tensor = self.embedding_dropout(words)
        return dropped


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
