"""Words of captions, and the numbers that stand for them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from harness.api import TrainingError

# Letters and digits, held together by hyphens and apostrophes: "t-shirt", "dog's"; punctuation is left out.
_WORD = re.compile(r"[^\W_]+(?:[-'\u2019][^\W_]+)*")


def tokenize(caption: str, *, lower: bool) -> list[str]:
    """Split a caption into its words, in order."""
    return _WORD.findall(caption.lower() if lower else caption)


class Vocabulary:
    """Number the words of the train captions from 1 in alphabetical order; 0 is padding.

    Args:
        captions: captions of the train split.
        min_count: times that a word must occur.
        lower: whether captions are lower-cased first.
        known: words that may enter; ``None`` for any.

    Raises:
        TrainingError: if no word is left.
    """

    def __init__(
        self, captions: Sequence[str], *, min_count: int, lower: bool, known: Collection[str] | None = None
    ) -> None:
        self.lower = lower
        counts = Counter(word for caption in captions for word in tokenize(caption, lower=lower))
        self.words = sorted(
            word for word, count in counts.items() if count >= min_count and (known is None or word in known)
        )
        if not self.words:
            raise TrainingError(
                f"none of {len(counts)} distinct words of {len(captions)} train captions occurs "
                f"{min_count} times" + ("" if known is None else " and has a vector"),
                hint="Lower 'min_count' of the text encoder, or look at 'lower' and 'vectors'.",
            )
        self._number = {word: number for number, word in enumerate(self.words, start=1)}

    def __len__(self) -> int:
        """Return the number of words, without the padding."""
        return len(self.words)

    def encode(self, caption: str, length: int) -> Tensor:
        """Return (length,) int64: the numbers of the known words, cut at `length`, then zeros."""
        numbers = [self._number[word] for word in tokenize(caption, lower=self.lower) if word in self._number]
        ids = torch.zeros(length, dtype=torch.int64)
        ids[: len(numbers)] = torch.tensor(numbers[:length], dtype=torch.int64)
        return ids

    def idf(self, captions: Sequence[str]) -> Tensor:
        """Return (words,) float32 smoothed inverse document frequencies, ``ln((1 + n) / (1 + df)) + 1``."""
        held = Counter(word for caption in captions for word in set(tokenize(caption, lower=self.lower)))
        df = torch.tensor([held[word] for word in self.words], dtype=torch.float64)
        return (torch.log((1 + len(captions)) / (1 + df)) + 1).float()
