"""Rows of another code, put into the order of a split: embeddings ranked, ranks checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import DataError, ScoreError
from harness.execute.foreign import Embeddings, ForeignRanks, Side
from harness.execute.identities import Naming, caption_namings, image_namings, listed, places_of
from harness.execute.ranks_only import ranks_only
from harness.protocols import Ranks, Split
from harness.ranking import Ranked, collapsed, normalize, rank

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Ints = npt.NDArray[np.int64]

UNIT = 1e-6
"""How far the length of an embedding may lie from 1 for it to be taken as it is."""


def rank_embeddings(found: Embeddings, split: Split, file: Path) -> tuple[Ranked, list[str]]:
    """Rank embeddings, put into the order of the split; return notes, too.

    Raises:
        DataError: names the file, and ids that do not fit or whose embeddings are NaN or infinite.
    """
    sides = (
        (found.image, found.image_ids, image_namings(split), split.image_ids, "image"),
        (found.text, found.text_ids, caption_namings(split), split.caption_ids, "caption"),
    )
    try:
        image, text = (
            unit(rows[places_of(ids, namings, what, str(file))], names, what)
            for rows, ids, namings, names, what in sides
        )
    except ScoreError as error:
        raise DataError(f"{file}: {error.message}") from error
    notes = []
    if same := collapsed(image, text):
        notes.append(f"every {same} has the same embedding: nothing can be retrieved")
    for rows, what in ((image, "image"), (text, "caption")):
        if zeros := int((~rows.any(axis=1)).sum()):
            notes.append(f"{zeros:,} {what} embeddings are zero: they tie with everything, and lose")
    return rank(split, image, text), notes


def unit(rows: npt.NDArray[Any], ids: Sequence[str], what: str) -> Floats:
    """L2-normalise (rows, dim) to float32; rows of length 1 stay as they are to the bit, zero rows stay zero.

    Raises:
        ScoreError: names the rows that are NaN or infinite, or whose length is.
    """
    import numpy as np

    with np.errstate(all="ignore"):
        length = np.linalg.norm(rows.astype(np.float64), axis=1)
    long = np.flatnonzero(np.isinf(length) & np.isfinite(rows).all(axis=1)).tolist()
    if long:
        named = listed([ids[place] for place in long])
        raise ScoreError(f"{len(long):,} {what} embeddings are too long to be normalised: {named}")
    normalized = normalize(rows, ids, what)
    kept = np.abs(length - 1.0) <= UNIT
    return np.where(kept[:, None], rows.astype(np.float32), normalized)


def align_ranks(found: ForeignRanks, split: Split, file: Path) -> tuple[Ranked, list[str]]:
    """Put ranks into the order of the split and check that its gallery can have them; return notes, too.

    Raises:
        DataError: names the file, and ids that do not fit or whose ranks are impossible.
    """
    import numpy as np

    captions = np.bincount(split.caption_image, minlength=len(split.records))
    one = np.ones(len(split.captions), dtype=np.int64)
    i2t = _side(found.i2t, image_namings(split), "image", captions, len(split.captions), file)
    t2i = _side(found.t2i, caption_namings(split), "caption", one, len(split.records), file)
    notes = []
    if not found.counted:
        notes.append(
            "the file ranks ties in its own way, so that figures under expected ties are the plain ones"
        )
    return ranks_only(split, i2t, t2i), notes


def _side(
    found: Side, namings: Sequence[Naming], what: str, relevant: Ints, gallery: int, file: Path
) -> Ranks:
    """Return one side's ranks; `relevant` (queries,) is how many of the `gallery` items are right."""
    import numpy as np

    order = places_of(found.ids, namings, what, str(file))
    ranks = Ranks(above=found.above[order], tied=found.tied[order], matched=found.matched[order])
    ids = [found.ids[row] for row in order.tolist()]
    # Compared one by one: the sum of two counts of a strange file may overflow.
    room = gallery - relevant - ranks.above
    faults = {
        "have a rank below 1, or a count below 0": (ranks.above < 0) | (ranks.tied < 0),
        "have more wrong items before them than there are": ranks.tied > room,
        "have matched below 1, or above their right items": (ranks.matched < 1) | (ranks.matched > relevant),
    }
    for fault, places in faults.items():
        if bad := np.flatnonzero(places).tolist():
            raise DataError(f"{file}: {len(bad):,} {what} queries {fault}: {listed([ids[b] for b in bad])}")
    return ranks
