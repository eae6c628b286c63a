"""Words of a caption, and the vocabulary of the train captions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from harness.api import ParameterError

_WORD = re.compile(r"\w+(?:[-'\u2019]\w+)*")
_POSSESSIVE = re.compile(r"['\u2019]s$", re.IGNORECASE)


def tokens(caption: str, *, lower: bool) -> list[str]:
    """Split a caption into words: runs of letters and digits, joined by inner hyphens and apostrophes.

    Punctuation separates and is dropped, and so is a possessive 's: word-vector tables keep it apart.
    """
    text = caption.lower() if lower else caption
    return [_POSSESSIVE.sub("", word) for word in _WORD.findall(text)]


@dataclass(frozen=True, eq=False, kw_only=True)
class Vocabulary:
    """Words with ids from 1; 0 is padding.

    Args:
        words: the words, the most frequent first; the id of ``words[k]`` is ``k + 1``.
        lower: whether captions are lower-cased.
    """

    words: tuple[str, ...]
    lower: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ids", {word: number for number, word in enumerate(self.words, start=1)})

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, caption: str) -> tuple[list[int], int]:
        """Return the ids of a caption's known words, in order, and the number of its unknown words."""
        ids: dict[str, int] = self.__dict__["_ids"]
        found = [ids.get(word, 0) for word in tokens(caption, lower=self.lower)]
        known = [number for number in found if number]
        return known, len(found) - len(known)


def build_vocabulary(
    captions: Sequence[str], *, lower: bool, min_count: int, known: Container[str] | None
) -> Vocabulary:
    """Collect the words of the train captions.

    Args:
        captions: of the train split, and of no other.
        lower: lower-case them.
        min_count: leave out words that stand fewer times in them, at least 1.
        known: leave out words that are not in it: the paper's rule, with its word-vector table.

    Raises:
        ParameterError: if no word is left.
    """
    counts = Counter(_words(captions, lower=lower))
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    words = tuple(word for word, count in ranked if count >= min_count and (known is None or word in known))
    if not words:
        raise ParameterError(
            f"of {len(counts)} words in {len(captions)} train captions none is left for the vocabulary",
            hint="Lower min_count; with word vectors of lower-case words set lower: true.",
        )
    return Vocabulary(words=words, lower=lower)


def _words(captions: Iterable[str], *, lower: bool) -> Iterable[str]:
    for caption in captions:
        yield from tokens(caption, lower=lower)
