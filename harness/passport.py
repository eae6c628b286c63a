"""The protocol passport: what figures may be compared with, part by part and as one hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from harness.protocols import Record, Split

TIES_LOSE = "ties lose"
POLICY = f"cosine, {TIES_LOSE}"
"""How ranks are counted, see `harness.ranking`."""

GALLERY, PIXELS, SCORES = "gallery", "pixels", "scores"
IMAGE_VIEW, TEXT_VIEW, PREPROCESSING = "image view", "text view", "preprocessing"
RECALL = "recall"
"""The component whose figures stand in the columns of every table."""
SAME_TRUTH = (GALLERY, PIXELS, SCORES)
"""Parts that say which question was asked; the others say what of an input the answer was made from.

Where one of these differs, figures must not be compared. What else differs, views and preprocessing, is part of the
method, and levels depend on it.
"""


def protocol(
    split: Split, content: Callable[[Record], str], image: Any, text: Any, *, component: str
) -> dict[str, str]:
    """Return what figures depend on beside the method.

    Args:
        split: the gallery.
        content: returns a hash of the pixels of a record's image.
        image, text: the encoders; ``test_view`` and ``preprocessing`` of theirs are read where they have them. One
            that has no `test_view` says by it that there is a single one, see `harness.protocols.Encoder`.
        component: the image encoder with its parameters, as text: it stands for a ``preprocessing`` that nobody
            tells, so that encoders of which nothing is known share no passport.

    Returns:
        By name: the gallery (ids, captions and positives, with their numbers), its pixels, the score with its tie
        policy, the test views of both sides, and the preprocessing of images.
    """
    return gallery(split, content) | {
        IMAGE_VIEW: str(getattr(image, "test_view", "single view")),
        TEXT_VIEW: str(getattr(text, "test_view", "single view")),
        PREPROCESSING: str(getattr(image, "preprocessing", "") or f"not told by {component}"),
    }


def gallery(split: Split, content: Callable[[Record], str]) -> dict[str, str]:
    """Return the parts of `protocol` that no encoder has a say in."""
    asked = [split.name, split.image_ids, split.caption_ids, split.captions, split.caption_image.tolist()]
    size = f"{split.name}: {len(split.records):,} images, {len(split.captions):,} captions"
    return {
        GALLERY: f"{size}, {_hash(asked)}",
        PIXELS: _hash([content(record) for record in split.records]),
        SCORES: POLICY,
    }


def passport(parts: Mapping[str, str]) -> str:
    """Return the hash of a protocol, 16 hex digits."""
    return _hash(sorted(parts.items()))


def with_figures(parts: Mapping[str, str], evaluators: Mapping[str, str]) -> dict[str, str]:
    """Add how recalls were counted to a protocol: tie policy, cut-offs and folds are the evaluator's parameters.

    Args:
        parts: as `protocol` returns them.
        evaluators: name -> component, revision and parameters, as text.
    """
    recalls = {name: told for name, told in evaluators.items() if told.split(" ")[0] == RECALL}
    return {**parts, **{f"figures of {name}": told for name, told in sorted(recalls.items())}}


def question(parts: Mapping[str, str], figures: str) -> tuple[str, ...]:
    """Return what figures of two protocols must share to be compared.

    Args:
        parts: as `protocol` returns them.
        figures: the evaluator behind the figures: component, revision and parameters, as text.
    """
    return figures, *(parts.get(name, "") for name in SAME_TRUTH)


def differing(protocols: Iterable[Mapping[str, str]]) -> list[str]:
    """Return the names of the parts in which protocols differ, in their order."""
    listed = list(protocols)
    names = dict.fromkeys(name for parts in listed for name in parts)
    return [name for name in names if len({parts.get(name, "") for parts in listed}) > 1]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
