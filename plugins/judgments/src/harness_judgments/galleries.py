"""Small galleries that these evaluators apply to, with labels of the same form as the published ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.api import Gallery, Record, Split
from harness_judgments.grades import CROWD, EXPERT, HIGHEST, LOWEST
from harness_judgments.labels import SIDES
from harness_judgments.positions import CAPTIONS, IMAGE

IMAGES = 24
CAPTIONS_EACH = 5
JUDGES = 3


def cxc(folder: Path) -> Gallery:
    """Write labels in which every second image also fits the first caption of the next one."""
    return _labelled(folder, "cxc", range(IMAGES), range(IMAGES * CAPTIONS_EACH))


def eccv(folder: Path) -> Gallery:
    """Write the same labels, in which only some images and captions are queries."""
    return _labelled(folder, "eccv", range(0, IMAGES, 2), range(0, IMAGES * CAPTIONS_EACH, 3))


def _labelled(folder: Path, name: str, images: Sequence[int], captions: Sequence[int]) -> Gallery:
    split = _split(coco=True)
    right = split.caption_image[None, :] == np.arange(IMAGES)[:, None]
    for image in range(0, IMAGES, 2):
        right[image, (image + 1) * CAPTIONS_EACH] = True
    sides = {
        "i2t": {
            str(_image_id(i)): [_caption_id(j) for j in np.flatnonzero(right[i]).tolist()] for i in images
        },
        "t2i": {
            str(_caption_id(j)): [_image_id(i) for i in np.flatnonzero(right[:, j]).tolist()]
            for j in captions
        },
    }
    for side, stem in SIDES.items():
        (folder / f"{name}_{stem}.json").write_text(json.dumps(sides[side]), encoding="utf-8")
    return Gallery(split=split, relevance=right.astype(np.float64))


def judged(folder: Path) -> Gallery:
    """Write grades of experts and crowd for every image with captions of eight others; both agree."""
    split = _split(coco=False)
    relevance = np.where(split.caption_image[None, :] == np.arange(IMAGES)[:, None], float(HIGHEST), 0.0)
    random = np.random.default_rng(0)
    expert, crowd = [], []
    for image in range(IMAGES):
        others = np.flatnonzero(split.caption_image != image)
        for caption in random.choice(others, 8, replace=False).tolist():
            grades = random.integers(LOWEST, HIGHEST + 1, JUDGES)
            relevance[image, caption] = grades.mean()
            pair = f"{split.image_ids[image]}\t{split.caption_ids[caption]}"
            yes, asked = int(grades.sum()) - JUDGES * LOWEST, JUDGES * (HIGHEST - LOWEST)
            expert.append("\t".join([pair, *map(str, grades)]))
            crowd.append(f"{pair}\t{yes / asked:.3f}\t{yes}\t{asked - yes}")
    for file, lines in ((EXPERT, expert), (CROWD, crowd)):
        (folder / file).write_text("\n".join(lines), encoding="utf-8")
    return Gallery(split=split, relevance=relevance)


def _split(*, coco: bool) -> Split:
    records = []
    for image in range(IMAGES):
        numbers = range(image * CAPTIONS_EACH, (image + 1) * CAPTIONS_EACH)
        tags = {IMAGE: str(_image_id(image)), CAPTIONS: ",".join(str(_caption_id(j)) for j in numbers)}
        captions = tuple(f"caption {number}" for number in numbers)
        records.append(
            Record(image=f"{image}.jpg", split="test", captions=captions, tags=tags if coco else {})
        )
    return Split("test", tuple(records))


def _image_id(place: int) -> int:
    return 1000 + place


def _caption_id(place: int) -> int:
    return 5000 + place
