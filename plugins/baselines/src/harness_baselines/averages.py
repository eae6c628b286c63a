"""The mean of a caption's word vectors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from harness.api import ParameterError
from harness_baselines.fixed import FixedWords


class MeanWords(FixedWords):
    """Embed a caption as the mean of its words' vectors, or as an affine function of it.

    The vectors are fixed. A caption without a known word has the mean zero.

    Args:
        dim: size of the common embedding.
        captions: captions of the train split: its words come from here alone.
        vectors: ``package`` (GloVe 6B, 50 dimensions, lower-case) or the path of a text file; words without a vector
            are left out. ``None`` draws 50 numbers for every word: vectors that know no meaning.
        mapped: end in a linear map to `dim`, which a gradient trains or `cca` sets. Otherwise the mean itself is the
            embedding, as for DeViSE (Frome et al., NIPS 2013), `dim` is the size of the vectors and nothing is trained.
        idf: weigh words by their inverse document frequency instead of 1.
        centre: subtract the mean over all words of the train captions from each vector first: what all captions share
            tells none apart.
        lower: lower-case captions.
        min_count: times that a word must occur in `captions`.
        length: words kept of a caption.

    Raises:
        ParameterError: if a number is below 1, `vectors` cannot be found, or without a map `dim` is not their size.
        TrainingError: if no word is left.
    """

    def __init__(
        self,
        *,
        dim: int,
        captions: Sequence[str],
        vectors: str | None = None,
        mapped: bool = True,
        idf: bool = False,
        centre: bool = False,
        lower: bool = True,
        min_count: int = 1,
        length: int = 64,
    ) -> None:
        super().__init__(
            kind="mean-words",
            captions=captions,
            vectors=vectors,
            lower=lower,
            min_count=min_count,
            length=length,
        )
        self.importance: Tensor
        width = self.table.shape[1]
        if not mapped and dim != width:
            raise ParameterError(
                f"mean-words: without a map the embedding is a mean of vectors of {width} numbers, not of {dim}",
                hint=f"Set dim: {width} in the experiment, or mapped: true.",
            )
        weight = self.vocabulary.idf(captions) if idf else torch.ones(len(self.vocabulary))
        self.register_buffer("importance", torch.cat([torch.zeros(1), weight]))
        if centre:
            self.table[1:] -= self._mean(captions)
        self.projection = nn.Linear(width, dim) if mapped else None

    def features(self, inputs: Tensor) -> Tensor:
        """Return (batch, width) means of the vectors of (batch, length) word numbers."""
        pooled, total = self._sums(inputs)
        return pooled / total.clamp(min=1e-6)

    def _sums(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the (batch, width) weighted sums of the vectors, and the (batch, 1) sums of the weights."""
        weight = self.importance[inputs]
        pooled = nn.functional.embedding_bag(
            inputs, self.table, per_sample_weights=weight, mode="sum", padding_idx=0
        )
        return pooled, weight.sum(1, keepdim=True)

    def _mean(self, captions: Sequence[str]) -> Tensor:
        """Return the (width,) weighted mean over all words of the captions."""
        pooled, total = self._sums(
            torch.stack([self.prepare(caption, training=False) for caption in captions])
        )
        return pooled.double().sum(0).div(total.double().sum()).float()
