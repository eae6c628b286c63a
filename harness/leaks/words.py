"""Which words a text encoder knows, asked from outside: an unknown word prepares as a word that nobody knows does."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, RunError

if TYPE_CHECKING:
    from torch import Tensor

NONSENSE = ("qzxvkjw", "wjqxzkvv", "zqjxvkqz")
"""Words that no table holds; an encoder that tells them apart reads letters or hashes, and has no vocabulary."""
ELSEWHERE = (
    *(
        "algebra",
        "alliance",
        "budget",
        "chromosome",
        "clause",
        "commerce",
        "constitution",
        "creditor",
        "decade",
    ),
    *("democracy", "dividend", "doctrine", "economy", "election", "embassy", "enzyme", "federal", "finance"),
    *(
        "galaxy",
        "genetics",
        "gravity",
        "heritage",
        "hypothesis",
        "inflation",
        "isotope",
        "jurisdiction",
        "legislation",
    ),
    *(
        "linguistics",
        "mathematics",
        "merger",
        "ministry",
        "molecule",
        "monarchy",
        "mortgage",
        "neutron",
        "parliament",
    ),
    *(
        "pension",
        "philosophy",
        "physics",
        "plaintiff",
        "pronoun",
        "protein",
        "quantum",
        "referendum",
        "regime",
    ),
    *("semester", "sovereignty", "statute", "subsidy", "syntax", "tariff", "theorem", "treasury", "treaty"),
)
"""Common English words of what no photograph shows. An encoder that knows them has its words from elsewhere."""
ENGLISH = frozenset(("and", "in", "of", "the"))
_WORD = re.compile(r"[^\W\d_]{2,}")  # a letter alone is mostly left of "t-shirt" or "dog's"


@dataclass(frozen=True, eq=False)
class Words:
    """Words of captions, without regard to case: how often each stands there, and the ways it is written."""

    counts: Counter[str]
    forms: Mapping[str, set[str]]


def words_of(captions: Iterable[str]) -> Words:
    """Collect the words of captions: runs of letters, so that no encoder splits them any further."""
    counts: Counter[str] = Counter()
    forms: dict[str, set[str]] = defaultdict(set)
    for caption in captions:
        for form in _WORD.findall(caption):
            word = form.lower()
            counts[word] += 1
            forms[word] |= {form, word}
    return Words(counts, forms)


class Reader:
    """Asks a text encoder which words it knows.

    Args:
        encoder: its `prepare` is called with one word at a time, as for test captions.

    Raises:
        RunError: if it fails, here or later.
    """

    def __init__(self, encoder: Any) -> None:
        self.encoder = encoder
        self.unknown = self._prepared(NONSENSE[0])

    @property
    def has_vocabulary(self) -> bool:
        """Whether all nonsense is one to it."""
        return not any(self._knows_form(word) for word in NONSENSE[1:])

    def known(self, words: Iterable[str], forms: Mapping[str, set[str]]) -> set[str]:
        """Return those of `words` that it knows in one of their forms."""
        return {word for word in words if any(self._knows_form(form) for form in forms.get(word, {word}))}

    def _knows_form(self, form: str) -> bool:
        import torch

        prepared = self._prepared(form)
        return prepared.shape != self.unknown.shape or not torch.equal(prepared, self.unknown)

    def _prepared(self, word: str) -> Tensor:
        import torch

        try:
            prepared = self.encoder.prepare(word, training=False)
        except HarnessError:
            raise
        except Exception as error:
            raise RunError(
                f"the text encoder failed to prepare {word!r}: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(prepared, torch.Tensor):
            raise RunError(
                f"the text encoder prepared {word!r} as {type(prepared).__name__}, not as a tensor"
            )
        return prepared
