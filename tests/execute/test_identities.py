"""Ids of rows: each way of naming images and captions, none of them mixed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import DataError, ScoreError
from harness.execute.identities import caption_namings, image_namings, places_of
from harness.execute.ranks_only import EmbeddingsNeededError, ranks_only, read_ranks_only
from harness.protocols import Ranks, Record, Split


def coco(images: int = 3) -> Split:
    return Split(
        "test",
        tuple(
            Record(
                image=f"img{n}",
                split="test",
                captions=("a", "b"),
                file=f"val2014/COCO_{n}.jpg",
                tags={"coco_id": str(500 - n), "caption_ids": f"{40 - 2 * n},{7 + 2 * n}"},
            )
            for n in range(images)
        ),
    )


@pytest.mark.parametrize(
    "ids",
    [
        ["img0", "img1", "img2"],
        ["val2014/COCO_0.jpg", "val2014/COCO_1.jpg", "val2014/COCO_2.jpg"],
        ["COCO_0.jpg", "COCO_1.jpg", "COCO_2.jpg"],
        ["COCO_0", "COCO_1", "COCO_2"],
        ["500", "499", "498"],
    ],
)
def test_images_and_captions_are_found_by_every_name(ids: list[str]) -> None:
    split = coco()
    given = [ids[2], ids[0], ids[1]]
    assert places_of(given, image_namings(split), "image", "x").tolist() == [1, 2, 0]
    captions = [f"{name}#{place}" for name in given for place in (1, 0)]
    # Captions of img0 come second in the file, and the later one first.
    assert places_of(captions, caption_namings(split), "caption", "x").tolist() == [3, 2, 5, 4, 1, 0]


def test_captions_are_found_by_annotation_id() -> None:
    split = coco()
    given = ["11", "36", "40", "7", "9", "38"]
    assert places_of(given, caption_namings(split), "caption", "x").tolist() == [2, 3, 5, 4, 1, 0]


def test_ways_of_naming_are_not_mixed() -> None:
    with pytest.raises(DataError, match="1 image id is unknown: 'COCO_2'"):
        places_of(["img0", "img1", "COCO_2"], image_namings(coco()), "image", "x")


def test_a_name_that_two_images_share_names_none() -> None:
    records = tuple(
        Record(image=f"{folder}", split="test", captions=("a",), file=f"{folder}/same.jpg") for folder in "ab"
    )
    names = {naming.name for naming in image_namings(Split("test", records))}
    assert names == {"image id", "path"}


def _ranks(count: int) -> Ranks:
    one = np.ones(count, dtype=np.int64)
    return Ranks(above=one - 1, tied=one - 1, matched=one)


def test_embeddings_that_are_not_there_are_not_made_up() -> None:
    import torch

    gallery = ranks_only(coco(), _ranks(3), _ranks(6))
    assert np.isfinite(gallery.image).all()
    assert (len(gallery.image), len(gallery.text)) == (3, 6)
    uses: list[Any] = [
        lambda rows: rows @ rows.T,
        lambda rows: rows[0],
        lambda rows: rows.shape,
        lambda rows: np.asarray(rows),
        lambda rows: np.isnan(rows),
        lambda rows: np.add(rows, 1),
        lambda rows: np.linalg.norm(rows),
        lambda rows: gallery.fold(0, 1),
    ]
    for use in uses:
        with pytest.raises(EmbeddingsNeededError, match="only ranks were imported"):
            use(gallery.text)
    with pytest.raises(ValueError, match="Withheld"):
        torch.as_tensor(gallery.text)


def test_stored_ranks_of_another_gallery_are_refused(tmp_path: Path) -> None:
    from harness.evaluate import write_ranks

    write_ranks(tmp_path / "ranks.parquet", ranks_only(coco(), _ranks(3), _ranks(6)))
    again = read_ranks_only(tmp_path / "ranks.parquet", coco())
    assert again.t2i.rank().tolist() == [1.0] * 6
    with pytest.raises(ScoreError, match="other i2t queries"):
        read_ranks_only(tmp_path / "ranks.parquet", coco(2))
