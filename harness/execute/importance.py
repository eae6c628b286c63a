"""What each word of a caption does for its score with an image: the score without it, minus the score of the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness.errors import InputError
from harness.execute.restore import Restored

if TYPE_CHECKING:
    from harness.protocols.datasets import Pixels

State = Literal["read", "unknown", "unread"]


@dataclass(frozen=True, kw_only=True)
class Word:
    """One word of a caption.

    Attributes:
        word: as it stands in the caption, with its punctuation.
        change: score without it minus score of the whole, -2..2; negative: it mattered.
        state: ``read``, ``unknown`` to the text path, or ``unread``: known, but it changes nothing of what the path
            reads, since the caption is cut before it or the path keeps one of equal words. The change of the last
            two is 0.
    """

    word: str
    change: float
    state: State


@dataclass(frozen=True, kw_only=True)
class Importance:
    """The words of a caption in order, and the score of the whole, -1..1."""

    caption: str
    score: float
    words: tuple[Word, ...]


def importance(restored: Restored, pixels: Pixels, caption: str) -> Importance:
    """Take each word of a caption away in turn and score what is left (the paper's "Explainable").

    ``change(w) = cos(f_img(I), f_text(T without w)) - cos(f_img(I), f_text(T))``. Words are what stands between
    spaces; of equal ones each occurrence is taken away by itself. That a word is unknown is seen from outside: the
    text encoder prepares the caption to the same tensor with and without it, and the word alone like an empty
    caption. A path that gives unknown words a place of their own does read them.

    Args:
        pixels: (height, width, 3) uint8 RGB.

    Raises:
        InputError: if the caption holds no word.
        RunError: if an encoder fails.
    """
    import torch

    words = caption.split()
    if not words:
        raise InputError("the caption holds no word")
    rest = [" ".join([*words[:place], *words[place + 1 :]]) for place in range(len(words))]
    texts = [" ".join(words), *rest]
    prepared = restored.prepare(texts)
    alone = restored.prepare(["", *words])
    scores = restored.embed_captions(prepared, texts) @ restored.embed_image(pixels)
    whole = float(scores[0])
    found = []
    for place, word in enumerate(words, start=1):
        state: State = "read"
        if torch.equal(prepared[place], prepared[0]):
            state = "unknown" if torch.equal(alone[place], alone[0]) else "unread"
        change = float(scores[place]) - whole if state == "read" else 0.0
        found.append(Word(word=word, change=change, state=state))
    return Importance(caption=texts[0], score=whole, words=tuple(found))
