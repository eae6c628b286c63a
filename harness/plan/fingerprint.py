"""One spelling for every value, and its hash."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any


def canonical(value: Any) -> str:
    """Return JSON in which equal values are spelled alike.

    Keys are sorted, tuples are lists, and a float of a whole number is that number (1.0 is 1), so that it
    does not matter how a person wrote it. Booleans are no numbers: true is not 1.

    Raises:
        TypeError: if a value is none of JSON's types.
        ValueError: if a number is NaN or infinite.
    """
    return json.dumps(
        _normal(value), sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":")
    )


def digest(value: Any) -> str:
    """Return 16 hex digits of the sha256 of a value's canonical spelling."""
    return hashlib.sha256(canonical(value).encode("ascii")).hexdigest()[:16]


def _normal(value: Any) -> Any:
    if isinstance(value, float) and math.isfinite(value) and value == int(value) and abs(value) < 2**53:
        return int(value)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"key {key!r} is not text")
        return {key: _normal(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_normal(item) for item in value]
    return value
