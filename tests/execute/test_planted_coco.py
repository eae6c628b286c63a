"""MSCOCO prepared from the real captions and ids, with planted embeddings: 5K, 1K folds, CxC and ECCV Caption."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from harness.catalog import Catalog
from harness.data import prepare
from harness.execute import Workspace
from harness.execute.imported import Submission, examine
from harness.registry import Registry

SHARED = next(
    (p / "shared" / "data" for p in Path(__file__).resolve().parents if (p / "shared" / "data").is_dir()),
    None,
)
pytestmark = pytest.mark.skipif(SHARED is None, reason="the folder of real data is absent")

DIM = 24
RADIUS = 0.1
"""Of the small circle on which the images of a group lie; groups are far from each other."""
FOLD = 1000
ACROSS = (100, 100, 60, 60, 0)
"""Images of each fold whose captions lie at an image of the other fold of a pair, a thousand places away."""
CUTS = (1, 5, 10)


@dataclass(frozen=True)
class Planted:
    """Embeddings, and the ranks of images and of captions among 5,000 images and within each thousand."""

    image: np.ndarray
    text: np.ndarray
    whole: tuple[np.ndarray, np.ndarray]
    folds: tuple[np.ndarray, np.ndarray]


def planted() -> Planted:
    """Plant groups of images on circles, other numbers of them in each fold; ranks follow from the kind of a group.

    The captions of a group of m lie at the image opposite, so that a caption finds its image last of m, and an image
    its captions after those of m - 1 others. In a group of `mixed`, two of five captions are exchanged in a pair: they
    lie at the other image, and those that stay a little beside their own. One alone has its captions where it is.
    """
    random = np.random.default_rng(0)
    image, text = np.zeros((5000, DIM)), np.zeros((25_000, DIM))
    i2t, t2i = np.ones(5000, dtype=np.int64), np.ones(25_000, dtype=np.int64)

    def group(places: Sequence[int], *, mixed: bool = False) -> None:
        size = len(places)
        axes, _ = np.linalg.qr(random.standard_normal((DIM, 4)))
        centre, one, two, beside = axes.T
        # Not quite even: no two are equally far from a third, which rounding would decide.
        angles = 2 * np.pi * (np.arange(size) + random.uniform(0, 0.1, size)) / size
        rows = centre + (RADIUS if size > 1 else 0) * (
            np.outer(np.cos(angles), one) + np.outer(np.sin(angles), two)
        )
        for number, place in enumerate(places):
            own, captions = rows[number], slice(5 * place, 5 * place + 5)
            image[place] = own
            text[captions] = rows[(number + size // 2) % size]
            i2t[place], t2i[captions] = 1 + 5 * (size - 1), size
            if mixed:
                kept = slice(5 * place, 5 * place + 3)
                text[kept] = own + 0.01 * beside
                i2t[place], t2i[kept] = 3, 1

    for fold, across in enumerate(ACROSS):
        start, stop = FOLD * fold, FOLD * (fold + 1)
        if fold % 2 == 0:
            for place in range(start, start + across):
                group([place, place + FOLD])
        place = start + across
        for size, count in ((12, 10 + fold), (8, 10 + 2 * fold), (2, 50 + 10 * fold)):
            for _ in range(count):
                group(range(place, place + size))
                place += size
        for _ in range(75 + 5 * fold):
            group(range(place, place + 2), mixed=True)
            place += 2
        for alone in range(place, stop):
            group([alone])
    apart = np.concatenate([FOLD * fold + np.arange(across) for fold, across in enumerate(ACROSS)])
    within = i2t.copy(), t2i.copy()
    within[0][apart] = 1
    within[1].reshape(5000, 5)[apart] = 1
    return Planted(image, text, (i2t, t2i), within)


def karpathy(path: Path) -> list[dict[str, object]]:
    """Write the test set as Karpathy's json, with one generated image of train and val each."""
    assert SHARED is not None
    lines = (SHARED / "coco_text" / "coco_karpathy_test5k.jsonl").read_text(encoding="utf-8").split("\n")
    rows = [json.loads(line) for line in lines if line]
    whole = [_row(row["image"], "test", row["image_id"], row["captions"], row["caption_ids"]) for row in rows]
    for key, split in ((1, "train"), (2, "val")):
        name = f"COCO_val2014_{key:012d}.jpg"
        whole.append(_row(name, split, key, ["a generated picture"], [900_000_000 + key]))
    path.write_text(json.dumps({"images": whole}))
    return rows


def _row(name: str, split: str, key: int, captions: list[str], ids: list[int]) -> dict[str, object]:
    sentences = [{"raw": text, "sentid": caption} for text, caption in zip(captions, ids, strict=True)]
    return {"filename": name, "filepath": "val2014", "split": split, "cocoid": key, "sentences": sentences}


def test_planted_embeddings_give_the_planted_recalls(tmp_path: Path) -> None:
    from PIL import Image

    file = tmp_path / "dataset_coco.json"
    rows = karpathy(file)
    folder = tmp_path / "val2014"
    folder.mkdir()
    one = tmp_path / "one.jpg"
    Image.new("RGB", (8, 8), (10, 200, 30)).save(one)
    for row in json.loads(file.read_text())["images"]:
        os.link(one, folder / row["filename"])
    catalog = Catalog.load()
    registry = tmp_path / "registry.yaml"
    registry.write_text(
        "version: 1\n"
        "datasets: {coco: {use: mscoco, title: MSCOCO, strict: false}}\n"
        "evaluators: {recall: {use: recall}, recall-1k: {use: recall, folds: 5}, cxc: {use: cxc}, "
        "eccv-caption: {use: eccv-caption}}\n"
    )
    manifest = prepare("coco", "mscoco", {"strict": False}, folder, tmp_path / "data", catalog, files=[file])
    assert manifest.counts["test"] == {"images": 5000, "captions": 25_000}

    plant = planted()
    image, text = plant.image, plant.text
    random = np.random.default_rng(1)
    order, words = random.permutation(5000), random.permutation(25_000)
    np.savez(
        tmp_path / "planted.npz",
        image=image[order],
        text=text[words],
        image_ids=np.array([rows[i]["image"] for i in order]),
        text_ids=np.array([f"{rows[i // 5]['image']}#{i % 5}" for i in words]),
    )
    workspace = Workspace(
        home=tmp_path / "home", data=tmp_path / "data", catalog=catalog, device="cpu", threads=1
    )
    given = Submission(file=tmp_path / "planted.npz", method="planted", dataset="coco")
    names = ("recall", "recall-1k", "cxc", "eccv-caption")
    found = examine(given, Registry.load(registry), workspace, names)
    result = found.result
    figures = {name: result.figures[name]["values"] for name in names}

    told = []
    for name, sides in (("recall", plant.whole), ("recall-1k", plant.folds)):
        for side, ranks, counted in zip(("i2t", "t2i"), sides, found.queries.ranks[name], strict=True):
            assert np.array_equal(counted, ranks)
            shares = [float((ranks <= k).mean()) for k in CUTS]
            for k, share in zip(CUTS, shares, strict=True):
                assert figures[name][f"{side}.recall@{k}"] == pytest.approx(share, abs=1e-12)
            assert figures[name][f"{side}.mean_rank"] == pytest.approx(ranks.mean())
            # What is planted tells apart cut-offs, sides, folds, and the whole from its folds.
            assert min(np.diff([0.2, *shares, 1])) > 0.03
            of_folds = ranks.reshape(5, -1) <= 5
            assert min(np.diff(np.sort(of_folds.mean(axis=1)))) > 0.003
            told += shares
    assert min(np.diff(np.unique(np.round(told, 9)))) > 1e-3
    images = [int(row["image_id"]) for row in rows]  # type: ignore[call-overload]
    captions = [int(number) for row in rows for number in row["caption_ids"]]  # type: ignore[attr-defined]
    sides = {
        "i2t": (image, text, images, captions, "image_to_caption"),
        "t2i": (text, image, captions, images, "caption_to_image"),
    }
    for name, prefix in (("cxc", "cxc"), ("eccv-caption", "eccv")):
        for side, (*parts, stem) in sides.items():
            assert SHARED is not None
            labels = json.loads((SHARED / "coco_text" / f"{prefix}_{stem}.json").read_text())
            first, precision, average = _planted(
                *parts, {int(key): set(map(int, v)) for key, v in labels.items()}
            )
            assert figures[name][f"{side}.recall@1"] == pytest.approx(first, abs=1e-12)
            assert figures[name][f"{side}.r_precision"] == pytest.approx(precision, abs=1e-12)
            assert figures[name][f"{side}.map@r"] == pytest.approx(average, abs=1e-12)
            assert 0.3 < first < 0.7
            assert abs(precision - average) > 1e-3
            low, high = result.figures[name]["intervals"][f"{side}.recall@1"]
            assert low < first < high < low + 0.08
        assert result.figures[name]["labels"]


def _planted(
    asked: np.ndarray,
    items: np.ndarray,
    asked_ids: list[int],
    item_ids: list[int],
    labels: dict[int, set[int]],
) -> tuple[float, float, float]:
    """Return R@1, R-Precision and mAP@R over the labelled queries, query by query; ties are lost."""
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (asked, items)]
    column = {number: place for place, number in enumerate(item_ids)}
    first, precision, average = [], [], []
    for number, row in zip(asked_ids, unit[0], strict=True):
        if number not in labels:
            continue
        scores = unit[1] @ row
        right = [column[item] for item in labels[number] if item in column]
        own = -np.sort(-scores[right])
        # Captions of one image were planted at one place: their scores are one but for rounding.
        tied = own[:, None] - 1e-9
        places = np.arange(1, len(own) + 1) + (scores >= tied).sum(axis=1) - (own >= tied).sum(axis=1)
        first.append(places[0] == 1)
        relevant = len(labels[number])
        among = places <= relevant
        precision.append(np.count_nonzero(among) / relevant)
        average.append(float((np.arange(1, len(own) + 1) / places)[among].sum()) / relevant)
    return float(np.mean(first)), float(np.mean(precision)), float(np.mean(average))
