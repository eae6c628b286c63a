"""The opponent of the text path: a GRU or an LSTM that reads a caption word by word."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from harness.api import ParameterError
from harness_dualpath.layers import Embed
from harness_dualpath.words import Words


class TextRNN(Words):
    """Embed captions with a recurrent network between the words and the head of `TextCNN`.

    Words alone are read and normalised, never the padding after them, and they are not shifted. A caption without a
    known word is read as one step of padding: it has an embedding, the same for all of them.

    Args:
        dim, captions: given by the harness.
        vectors, vocabulary, embedding, embedding_dim, lower, min_count, length: as of `TextCNN`.
        cell: ``gru`` or ``lstm``.
        hidden: size of the state, at least 1; VSE++ and those after it have 1024.
        layers: recurrent layers on top of each other, at least 1.
        bidirectional: read the words backwards, too, with a state of its own; the head sees both.
        pool: what the head sees: the state after the ``last`` word (backwards: after the first), as VSE++ (Faghri et
            al., BMVC 2018) and most since; or the ``max`` or ``mean`` of the states after every word.
        word_dropout: probability of dropping a word in training; those after it move up, as they do for an unknown one.
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
        cell: Literal["gru", "lstm"] = "gru",
        hidden: int = 1024,
        layers: int = 1,
        bidirectional: bool = False,
        pool: Literal["last", "max", "mean"] = "last",
        word_dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        feature_dropout: float = 0.0,
        relu: bool = True,
        test_before_relu: bool = True,
    ) -> None:
        if hidden < 1 or layers < 1:
            raise ParameterError(f"hidden {hidden} and layers {layers} must be at least 1")
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
        self.pool, self.directions = pool, 2 if bidirectional else 1
        kind = nn.GRU if cell == "gru" else nn.LSTM
        self.recurrent = kind(self.channels, hidden, layers, batch_first=True, bidirectional=bidirectional)
        self.feature_dropout = nn.Dropout(feature_dropout)
        self.projection = Embed(self.directions * hidden, dim, relu=relu, test_before_relu=test_before_relu)

    def forward(self, batch: Tensor) -> Tensor:
        """Embed prepared captions: (batch, length) -> (batch, dim)."""
        output: Tensor = self.projection(self._features(batch))
        return output

    def draft(self, batch: Tensor) -> Tensor:
        """Embed them, ending as in training, whatever `test_before_relu` says: (batch, length) -> (batch, dim)."""
        return self.projection.as_trained(self._features(batch))

    def _features(self, batch: Tensor) -> Tensor:
        """Return (batch, features): what the head sees."""
        ids = _closed(self.drop_words(batch))
        count = (ids > 0).sum(dim=1).clamp(min=1)
        states, last = self._read(ids, count.cpu())
        features: Tensor = self.feature_dropout(self._pooled(states, last, count))
        return features

    def _read(self, ids: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """Read the first `count` ids of each caption, (batch,) on the CPU.

        Returns:
            (batch, words, features) states of the top layer, zero after a caption's end, and (batch, features), its
            last ones.
        """
        longest = int(count.max())
        if int(count.min()) == longest:
            # Nothing to skip: one product over all words then feeds the steps, which is faster.
            states, last = self.recurrent(self.embed_words(ids[:, :longest]))
        else:
            packed = pack_padded_sequence(ids, count, batch_first=True, enforce_sorted=False)
            words = self.embed_words(packed.data.unsqueeze(0)).squeeze(0)
            states, last = self.recurrent(PackedSequence(words, *packed[1:]))
            states, _ = pad_packed_sequence(states, batch_first=True)
        state: Tensor = last[0] if isinstance(last, tuple) else last  # an LSTM returns its cells, too
        return states, state[-self.directions :].transpose(0, 1).flatten(1)

    def _pooled(self, states: Tensor, last: Tensor, count: Tensor) -> Tensor:
        """Return (batch, features): what the head sees of the states."""
        if self.pool == "last":
            return last
        if self.pool == "mean":
            return states.sum(dim=1) / count.unsqueeze(1)
        after = torch.arange(states.shape[1], device=states.device) >= count.unsqueeze(1)
        return states.masked_fill(after.unsqueeze(-1), -math.inf).amax(dim=1)


def _closed(ids: Tensor) -> Tensor:
    """Move the words of each caption to the left, in their order, over the gaps between them."""
    return ids.gather(1, (ids == 0).to(torch.uint8).argsort(dim=1, stable=True))
