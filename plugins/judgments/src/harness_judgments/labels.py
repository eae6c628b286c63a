"""Positive pairs of COCO's test set, as json files of ids: who is right for whom."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.api import DataError

SIDES = {"i2t": "image_to_caption", "t2i": "caption_to_image"}
PACKAGE = "eccv_caption"
FOLDERS = ("", "annotations")
"""Where the files may lie below the source of the dataset."""

Positives = Mapping[int, frozenset[int]]  # id of the query -> ids of what is right


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The positives of both directions. They need not mirror one another: each has its own queries.

    Attributes:
        i2t: COCO image id -> annotation ids of its right captions.
        t2i: COCO annotation id -> image ids of its right images.
    """

    i2t: Positives
    t2i: Positives

    def images(self) -> frozenset[int]:
        """Return every image that is a query or a positive."""
        return frozenset(self.i2t).union(*self.t2i.values())

    def hash(self) -> str:
        """Return 16 hex digits over the pairs of both directions."""
        pairs = [[[query, sorted(side[query])] for query in sorted(side)] for side in (self.i2t, self.t2i)]
        return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()[:16]


def read_labels(name: str, given: Mapping[str, str | None], source: Path | None) -> Labels:
    """Read ``<name>_image_to_caption.json`` and ``<name>_caption_to_image.json``.

    Each is looked for as `given`, then below `source` and its folder ``annotations``, then in the package
    `eccv-caption`.

    Args:
        name: ``cxc`` or ``eccv``.
        given: side -> path that the user gave, or ``None``.

    Raises:
        DataError: if a file is not found or does not hold what it should.
    """
    return Labels(
        **{side: _read(_find(f"{name}_{stem}.json", given[side], source)) for side, stem in SIDES.items()}
    )


def _find(file: str, given: str | None, source: Path | None) -> Path:
    if given is not None:
        return Path(given)
    places = [source / folder for folder in FOLDERS] if source is not None else []
    package = find_spec(PACKAGE)
    # Its files are read where they lie: to import it would load code that is not needed.
    places += (
        [Path(folder) / "data" for folder in (package.submodule_search_locations or ())] if package else []
    )
    for place in places:
        if (place / file).is_file():
            return place / file
    looked = ", ".join(str(place) for place in places) or "nowhere: the dataset has no folder"
    raise DataError(
        f"{file} is not found (looked in {looked})",
        hint="Install it: uv pip install 'retrieval-harness-judgments[eccv]'; or put the file into the dataset's "
        "folder; or name it in registry.yaml with 'i2t' and 't2i' of the evaluator. Nothing is trained again.",
    )


def _read(path: Path) -> Positives:
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON of ids: {error}") from error
    if not isinstance(content, dict) or not content:
        raise DataError(f'{path} holds no object of ids, such as {{"179765": [38, 6638]}}')
    problems: list[str] = []
    found = {_id(key, key, problems): _ids(key, values, problems) for key, values in content.items()}
    if problems:
        raise DataError(f"{path} does not hold COCO ids:", problems=problems)
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"{twice!r} stands twice")
    return content


def _ids(key: str, values: Any, problems: list[str]) -> frozenset[int]:
    if not isinstance(values, list):
        problems.append(f"{key!r}: {str(values)[:40]!r} is no list")
        return frozenset()
    return frozenset(_id(key, value, problems) for value in values)


def _id(key: str, value: Any, problems: list[str]) -> int:
    # Files of others write ids as numbers or as text.
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        return int(value)
    problems.append(f"{key!r}: {str(value)[:40]!r} is no id")
    return -1
