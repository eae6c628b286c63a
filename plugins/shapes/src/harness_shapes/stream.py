"""The generator behind every choice: the same words on every machine and Python.

Stream `key` is the sequence of little-endian 64-bit words in BLAKE2b("key#0"), BLAKE2b("key#1") and so
on, eight words a digest. `random` and numpy promise this only for parts of their generators.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import count
from typing import TypeVar

Item = TypeVar("Item")

_WORDS = struct.Struct("<8Q")


class Stream:
    """Draw from the stream named `key`."""

    def __init__(self, key: str) -> None:
        self._words = _words(key)

    def word(self) -> int:
        """Return the next word, 0..2**64-1."""
        return next(self._words)

    def below(self, stop: int) -> int:
        """Return a whole number in 0..stop-1."""
        return next(self._words) * stop >> 64

    def between(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * (next(self._words) >> 11) / 2.0**53

    def choose(self, items: Sequence[Item]) -> Item:
        """Return one item."""
        return items[next(self._words) * len(items) >> 64]

    def sample(self, items: Sequence[Item], size: int) -> list[Item]:
        """Return `size` items of different positions, in random order."""
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in range(size)]


def _words(key: str) -> Iterator[int]:
    for block in count():
        yield from _WORDS.unpack(blake2b(f"{key}#{block}".encode()).digest())
