"""Ranks of every query as an evaluator counts them: one small file a run, from which intervals and tests follow."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.durable import durable
from harness.errors import StoreError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]

FILE = "queries.npz"
"""Its name in a stored run."""
UNREADABLE = (
    *(OSError, ValueError, KeyError, TypeError, EOFError, MemoryError, OverflowError, RuntimeError),
    *(AttributeError, SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)
"""What numpy raises on an array that is damaged or was made to do harm: its headers are parsed as Python literals."""

_OWNER, _SEPARATOR = "owner", "/"
_SIDES = ("i2t", "t2i")


@dataclass(frozen=True, eq=False, kw_only=True)
class Queries:
    """What one gallery was asked and where the answers stood.

    Attributes:
        owner: (m,) the image of each caption, as a position from 0.
        ranks: evaluator -> the (n,) ranks of images and the (m,) ranks of captions as queries, from 1.
    """

    owner: Ints
    ranks: Mapping[str, tuple[Ints, Ints]]


def write_queries(path: Path, queries: Queries) -> None:
    """Store the ranks, each array in the smallest unsigned type that holds it; the same bytes from the same ranks."""
    import numpy as np

    arrays = {_OWNER: _small(queries.owner)}
    for name, sides in sorted(queries.ranks.items()):
        arrays |= {f"{name}{_SEPARATOR}{side}": _small(a) for side, a in zip(_SIDES, sides, strict=True)}
    with durable(path) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def read_queries(path: Path) -> Queries:
    """Read what `write_queries` wrote. Nothing in the file can run code.

    Raises:
        StoreError: if it is missing, damaged, or its arrays do not fit one another.
    """
    import io

    import numpy as np

    try:
        # From memory: numpy leaves a file open that is none of its own.
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays: dict[str, Any] = {name: file[name] for name in file.files}
        owner, *others = (arrays.pop(_OWNER), *arrays.values())
        if not all(np.issubdtype(array.dtype, np.integer) for array in (owner, *others)):
            raise ValueError("it holds what are no whole numbers")
        names = sorted({name.rpartition(_SEPARATOR)[0] for name in arrays})
        ranks = {
            name: tuple(arrays[f"{name}{_SEPARATOR}{side}"].astype(np.int64) for side in _SIDES)
            for name in names
        }
        owner = owner.astype(np.int64)
        _check(owner, ranks)
    except UNREADABLE as error:
        raise StoreError(f"cannot read the ranks in {path}: {error}") from error
    return Queries(owner=owner, ranks=ranks)


def _small(array: Ints) -> npt.NDArray[np.unsignedinteger]:
    import numpy as np

    return array.astype(np.min_scalar_type(int(array.max(initial=0))))


def _check(owner: Ints, ranks: Mapping[str, tuple[Ints, ...]]) -> None:
    images = int(owner.max(initial=-1)) + 1
    for name, (i2t, t2i) in ranks.items():
        if len(i2t) < images or t2i.shape != owner.shape or i2t.ndim != 1:
            raise ValueError(
                f"{name}: {i2t.shape} and {t2i.shape} ranks of {images} images, {owner.shape} captions"
            )
        if min(i2t.min(initial=1), t2i.min(initial=1)) < 1:
            raise ValueError(f"{name}: a rank below 1")
