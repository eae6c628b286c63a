"""Captions that train and test share."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from harness.data import OpenDataset
from harness.data.checks import number
from harness.leaks.findings import Finding

_WORD = re.compile(r"[^\W_]+")


def normal(caption: str) -> str:
    """Return a caption's words in lower case, without punctuation and variants of letters: what a reader compares."""
    return " ".join(_WORD.findall(unicodedata.normalize("NFKC", caption).casefold()))


def shared_captions(dataset: OpenDataset) -> list[Finding]:
    """Note the captions of test whose words stand, in the same order, as a caption of train."""
    captions: dict[str, list[str]] = {"train": [], "test": []}
    for record in dataset.records:
        captions.get(record.split, []).extend(map(normal, record.captions))
    train = Counter(captions["train"])
    shared = Counter(text for text in captions["test"] if text in train)
    if not shared:
        return []
    count = shared.total()
    share = 100 * count / len(captions["test"])
    return [
        Finding(
            severity="note",
            check="captions",
            subject=dataset.name,
            what=f"{number(count, 'caption')} of test ({share:.1f} %) {'stands' if count == 1 else 'stand'} in train "
            f"word for word, {len(shared):,} of them different",
            count=count,
            items=tuple(
                f"{text!r}: {n} in test, {train[text]} in train"
                for text, n in sorted(shared.items(), key=lambda item: (-item[1], item[0]))
            ),
            next="Nothing: people describe different images alike. Many more than here hint at shared images.",
        )
    ]
