"""The text path of VSE++: what a GRU remembers of a caption."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from harness.api import ParameterError
from harness_baselines.vectors import Vectors, read_vectors, start_from
from harness_baselines.vocabulary import Vocabulary, tokenize


class VseGru(nn.Module):
    """Embed a caption as the state of a GRU after its last word (Faghri et al., BMVC 2018).

    The state is the embedding: no layer, normalisation or dropout comes before or after it. A caption without a known
    word is read as one step of padding.

    Args:
        dim: size of the common embedding, and so of the state.
        captions: captions of the train split: its words come from here alone.
        width: size of the word embeddings.
        vectors: start of the embeddings: ``package`` (GloVe 6B, 50 dimensions, lower-case) or the path of a
            text file; ``None``, as in the paper, draws them from -0.1..0.1. A random matrix maps vectors of another
            size than `width` to it; words without a vector are drawn at their scale.
        min_count: times that a word must occur in `captions`.
        lower: lower-case captions.
        length: words kept of a caption.

    Raises:
        ParameterError: if a number is below 1 or `vectors` cannot be found.
        TrainingError: if no word is left.
    """

    def __init__(
        self,
        *,
        dim: int,
        captions: Sequence[str],
        width: int = 300,
        vectors: str | None = None,
        min_count: int = 4,
        lower: bool = True,
        length: int = 32,
    ) -> None:
        super().__init__()
        for name, number in (("width", width), ("min_count", min_count), ("length", length)):
            if number < 1:
                raise ParameterError(f"vse-gru: parameter {name!r} is {number}, not a number from 1")
        table: Vectors = {}
        if vectors is not None:
            table = read_vectors(vectors, {w for caption in captions for w in tokenize(caption, lower=lower)})
        self.vocabulary = Vocabulary(captions, min_count=min_count, lower=lower)
        self.length = length
        self.embedding = nn.Embedding(len(self.vocabulary) + 1, width, padding_idx=0)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        start_from(table, self.vocabulary.words, self.embedding.weight)
        self.recurrent = nn.GRU(width, dim, batch_first=True)

    def prepare(self, raw: str, *, training: bool) -> Tensor:
        """Return (length,) int64 word numbers, padded with zeros."""
        return self.vocabulary.encode(raw, self.length)

    def forward(self, batch: Tensor) -> Tensor:
        """Embed (batch, length) word numbers: (batch, dim)."""
        # Read back once: packing takes lengths on the CPU.
        count = (batch > 0).sum(1).clamp(min=1).cpu()
        words = self.embedding(batch[:, : int(count.max())])
        packed = pack_padded_sequence(words, count, batch_first=True, enforce_sorted=False)
        _, last = self.recurrent(packed)
        state: Tensor = last[0]
        return state
