"""Word vectors that training leaves alone, and a linear map of what is made of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.api import ParameterError
from harness_baselines.vectors import Vectors, read_vectors
from harness_baselines.vocabulary import Vocabulary, tokenize

DRAWN = 50
"""Size of a vector that is drawn."""


class FixedWords(nn.Module):
    """Turn captions into numbers of train words that have a vector; an encoder adds its `features`.

    Args:
        kind: name of the encoder, for messages.
        captions: captions of the train split: its words come from here alone.
        vectors: ``package`` or the path of a text file, see `read_vectors`; words without a vector are left out.
            ``None`` draws `DRAWN` numbers for every word: vectors that know no meaning, for comparison.
        lower: lower-case captions.
        min_count: times that a word must occur in `captions`.
        length: words kept of a caption.

    Attributes:
        table: (words + 1, width) float32; row 0, of the padding, is zero.

    Raises:
        ParameterError: if a number is below 1 or `vectors` cannot be found.
        TrainingError: if no word is left.
    """

    projection: nn.Linear | None

    def __init__(
        self,
        *,
        kind: str,
        captions: Sequence[str],
        vectors: str | None,
        lower: bool,
        min_count: int,
        length: int,
    ) -> None:
        super().__init__()
        self.table: Tensor
        for name, number in (("min_count", min_count), ("length", length)):
            if number < 1:
                raise ParameterError(f"{kind}: parameter {name!r} is {number}, not a number from 1")
        found: Vectors | None = None
        if vectors is not None:
            found = read_vectors(vectors, {w for caption in captions for w in tokenize(caption, lower=lower)})
        self.vocabulary = Vocabulary(captions, min_count=min_count, lower=lower, known=found)
        self.kind, self.length = kind, length
        words = (
            torch.randn(len(self.vocabulary), DRAWN)
            if found is None
            else torch.from_numpy(np.stack([found[word] for word in self.vocabulary.words]))
        )
        # A buffer and no parameter: no stage can train it by mistake.
        self.register_buffer("table", functional.pad(words, (0, 0, 1, 0)))
        self.projection = None

    def prepare(self, raw: str, *, training: bool) -> Tensor:
        """Return (length,) int64 word numbers, padded with zeros."""
        return self.vocabulary.encode(raw, self.length)

    def features(self, inputs: Tensor) -> Tensor:
        """Return (batch, features) of (batch, length) word numbers."""
        raise NotImplementedError

    @torch.no_grad()
    def project(self, weight: Tensor, bias: Tensor) -> None:
        """Set the map: from now on a caption's embedding is ``features @ weight + bias``.

        Raises:
            ParameterError: if the encoder has none.
        """
        if self.projection is None:
            raise ParameterError(
                f"{self.kind}: with mapped: false there is no map to set", hint="Set mapped: true."
            )
        self.projection.weight.copy_(weight.T)
        self.projection.bias.copy_(bias)

    def forward(self, batch: Tensor) -> Tensor:
        """Embed (batch, length) word numbers: (batch, dim)."""
        features = self.features(batch)
        embedding: Tensor = features if self.projection is None else self.projection(features)
        return embedding
