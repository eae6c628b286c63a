"""TF-IDF of the words of a caption, and a linear map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.api import ParameterError
from harness_baselines.vocabulary import Vocabulary


class TfIdf(nn.Module):
    """Embed a caption as an affine function of its TF-IDF vector.

    Counts of the words times ``ln((1 + n) / (1 + df)) + 1``, L2-normalised; zero without a known word.

    Args:
        dim: size of the common embedding.
        captions: captions of the train split: its words and their frequencies come from here alone.
        min_count: times that a word must occur in `captions`.
        lower: lower-case captions.
        length: words kept of a caption.

    Raises:
        ParameterError: if `min_count` or `length` is below 1.
        TrainingError: if no word is left.
    """

    def __init__(
        self, *, dim: int, captions: Sequence[str], min_count: int = 5, lower: bool = True, length: int = 64
    ) -> None:
        super().__init__()
        self.idf: Tensor
        for name, number in (("min_count", min_count), ("length", length)):
            if number < 1:
                raise ParameterError(f"tfidf: parameter {name!r} is {number}, not a number from 1")
        self.vocabulary = Vocabulary(captions, min_count=min_count, lower=lower)
        self.length = length
        self.register_buffer("idf", self.vocabulary.idf(captions))
        self.projection = nn.Linear(len(self.vocabulary), dim)

    def prepare(self, raw: str, *, training: bool) -> Tensor:
        """Return (length,) int64 word numbers, padded with zeros."""
        return self.vocabulary.encode(raw, self.length)

    def features(self, inputs: Tensor) -> Tensor:
        """Return (batch, words) TF-IDF vectors of (batch, length) word numbers, of length 1 or 0."""
        counts = torch.zeros(len(inputs), len(self.vocabulary) + 1, device=inputs.device)
        counts.scatter_add_(1, inputs, torch.ones_like(inputs, dtype=counts.dtype))
        return functional.normalize(counts[:, 1:] * self.idf, dim=1)

    @torch.no_grad()
    def project(self, weight: Tensor, bias: Tensor) -> None:
        """Set the map: from now on a caption's embedding is ``features @ weight + bias``."""
        self.projection.weight.copy_(weight.T)
        self.projection.bias.copy_(bias)

    def forward(self, batch: Tensor) -> Tensor:
        """Embed (batch, length) word numbers: (batch, dim)."""
        embedding: Tensor = self.projection(self.features(batch))
        return embedding
