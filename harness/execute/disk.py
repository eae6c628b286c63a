"""How much room results take, and how much there is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from harness.plan import RunSpec
from harness.protocols import Ranks, Split
from harness.queries import FILE, Queries, write_queries
from harness.ranking import BLOCK, Ranked

EPOCH = 300
"""Bytes of one line of the history, about."""
RECORD = 4000
"""Bytes of figures, provenance and manifest, about."""
TENSOR = 120
"""Bytes of a tensor's entry in a file of weights, about."""


def gallery_bytes(split: Split, dim: int, folder: Path) -> int:
    """Return the bytes of embeddings and ranks of a split, and of the ranks that one evaluator counts.

    Ranks are compressed as they are written, so that random ones are written into `folder`, and weighed.
    """
    import numpy as np

    from harness.evaluate import RANKS, write_ranks

    images, captions = len(split.records), len(split.captions)
    random = np.random.default_rng(0)

    def spread(queries: int, items: int) -> Ranks:
        above = random.integers(0, items, queries)
        return Ranks(above=above, tied=np.zeros_like(above), matched=np.ones_like(above))

    def both(tile: int) -> tuple[Ranks, Ranks]:
        return spread(images, -(-captions * tile // images)), spread(captions, tile)

    none = np.empty((0, dim), dtype=np.float32)
    i2t, t2i = both(images)
    tiles = both(BLOCK) if images > BLOCK else None
    ranks, queries = folder / RANKS, folder / FILE
    write_ranks(ranks, Ranked(split=split, image=none, text=none, i2t=i2t, t2i=t2i, tiles=tiles))
    counted = {"recall": (i2t.above + 1, t2i.above + 1)}
    write_queries(queries, Queries(owner=split.caption_image, ranks=counted))
    ids = json.dumps({"image": split.image_ids, "text": split.caption_ids})
    stored = ranks.stat().st_size + queries.stat().st_size
    return stored + 4 * dim * (images + captions) + len(ids)


def record_bytes(spec: RunSpec) -> int:
    """Return the bytes of a run's texts: its specification, twice, its history, its figures."""
    return 2 * len(json.dumps(spec.as_dict(), indent=1)) + RECORD + EPOCH * max(spec.stage.epochs, 1)


def free_bytes(home: Path) -> int:
    """Return the free bytes where a store lies or will lie."""
    there = next(path for path in (home, *home.parents) if path.exists())
    return shutil.disk_usage(there).free
