"""The estimate of what a gallery takes on disk, beside what one writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.evaluate import EMBEDDINGS, RANKS, write_embeddings, write_ranks
from harness.execute.disk import gallery_bytes
from harness.protocols import Record, Split
from harness.queries import FILE, Queries, write_queries
from harness.ranking import BLOCK, normalize, rank

DIM = 8


@pytest.mark.parametrize("images", [300, BLOCK + 200])
def test_bytes_of_a_gallery_are_those_that_it_writes(images: int, tmp_path: Path) -> None:
    records = tuple(Record(image=f"{n}.jpg", split="test", captions=("a", "b")) for n in range(images))
    split = Split("test", records)
    random = np.random.default_rng(3)
    ranking = rank(
        split,
        *(
            normalize(random.standard_normal((len(ids), DIM)).astype(np.float32), ids, "row")
            for ids in (split.image_ids, split.caption_ids)
        ),
    )
    assert (ranking.tiles is None) == (images <= BLOCK)
    write_ranks(tmp_path / RANKS, ranking)
    write_embeddings(tmp_path / EMBEDDINGS, ranking)
    ranks = {"recall": (ranking.i2t.above + 1, ranking.t2i.above + 1)}
    write_queries(tmp_path / FILE, Queries(owner=split.caption_image, ranks=ranks))
    written = sum((tmp_path / name).stat().st_size for name in (RANKS, EMBEDDINGS, FILE))
    folder = tmp_path / "guess"
    folder.mkdir()
    assert gallery_bytes(split, DIM, folder) == pytest.approx(written, rel=0.05)
