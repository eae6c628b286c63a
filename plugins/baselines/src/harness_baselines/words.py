"""The bag of words: what a text path can do without word order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.api import ParameterError
from harness_baselines.vectors import Vectors, read_vectors, start_from
from harness_baselines.vocabulary import Vocabulary, tokenize


class BagOfWords(nn.Module):
    """Pool the embeddings of a caption's words and map them by a perceptron with one hidden layer.

    ``BN -> dropout -> Linear -> BN -> ReLU -> dropout -> Linear -> BN`` of the pooled embedding, which is
    zero for a caption of no known word.

    Args:
        dim: size of the common embedding.
        captions: captions of the train split.
        width: size of the word embeddings.
        hidden: size of the hidden layer.
        pool: ``mean``, ``sum``, or ``sqrt``: the sum over the square root of the number of words, which keeps
            the variance whatever the length.
        idf: weigh words by their inverse document frequency instead of 1.
        vectors: start of the embeddings: ``package`` (GloVe 6B, 50 dimensions, lower-case) or the path of a
            text file; ``None`` draws them. A random matrix maps vectors of another size than `width` to it.
        known_only: with `vectors`, leave out words that have none; otherwise they are drawn.
        min_count: times that a word must occur in `captions`.
        lower: lower-case captions.
        length: words kept of a caption.
        word_dropout: share of words left out in training, 0..1.
        input_norm: normalise the pooled embedding over the batch.
        input_dropout: dropout of the pooled embedding.
        hidden_dropout: dropout of the hidden layer.

    Raises:
        ParameterError: if a parameter is out of range or `vectors` cannot be found.
        TrainingError: if no word is left.
    """

    def __init__(
        self,
        *,
        dim: int,
        captions: Sequence[str],
        width: int = 300,
        hidden: int = 1024,
        pool: Literal["mean", "sum", "sqrt"] = "sqrt",
        idf: bool = False,
        vectors: str | None = None,
        known_only: bool = True,
        min_count: int = 1,
        lower: bool = True,
        length: int = 32,
        word_dropout: float = 0.0,
        input_norm: bool = True,
        input_dropout: float = 0.1,
        hidden_dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.importance: Tensor
        for name, number in (
            ("width", width),
            ("hidden", hidden),
            ("min_count", min_count),
            ("length", length),
        ):
            if number < 1:
                raise ParameterError(f"bag-of-words: parameter {name!r} is {number}, not a number from 1")
        for name, share in (
            ("word_dropout", word_dropout),
            ("input_dropout", input_dropout),
            ("hidden_dropout", hidden_dropout),
        ):
            if not 0 <= share < 1:
                raise ParameterError(f"bag-of-words: parameter {name!r} is {share}, not in 0..1")
        table: Vectors = {}
        if vectors is not None:
            table = read_vectors(vectors, {w for caption in captions for w in tokenize(caption, lower=lower)})
        known = table if vectors is not None and known_only else None
        self.vocabulary = Vocabulary(captions, min_count=min_count, lower=lower, known=known)
        self.pool, self.length, self.word_dropout = pool, length, word_dropout
        self.embedding = nn.Embedding(len(self.vocabulary) + 1, width, padding_idx=0)
        nn.init.normal_(self.embedding.weight, 0.0, width**-0.5)
        start_from(table, self.vocabulary.words, self.embedding.weight)
        weight = self.vocabulary.idf(captions) if idf else torch.ones(len(self.vocabulary))
        self.register_buffer("importance", torch.cat([torch.zeros(1), weight]))
        self.input_norm = nn.BatchNorm1d(width) if input_norm else nn.Identity()
        self.mlp = nn.Sequential(
            nn.Dropout(input_dropout),
            nn.Linear(width, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Dropout(hidden_dropout),
            nn.Linear(hidden, dim),
            nn.BatchNorm1d(dim),
        )

    def prepare(self, raw: str, *, training: bool) -> Tensor:
        """Return (length,) int64 word numbers, padded with zeros."""
        return self.vocabulary.encode(raw, self.length)

    def forward(self, batch: Tensor) -> Tensor:
        """Embed (batch, length) word numbers: (batch, dim)."""
        if self.training and self.word_dropout > 0:
            batch = batch * (torch.rand(batch.shape, device=batch.device) >= self.word_dropout)
        weight = self.importance[batch]
        pooled = functional.embedding_bag(
            batch, self.embedding.weight, per_sample_weights=weight, mode="sum", padding_idx=0
        )
        if self.pool != "sum":
            total = (
                weight.sum(1, keepdim=True)
                if self.pool == "mean"
                else weight.square().sum(1, keepdim=True).sqrt()
            )
            pooled = pooled / total.clamp(min=1e-6)
        embedding: Tensor = self.mlp(self.input_norm(pooled))
        return embedding
