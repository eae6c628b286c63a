"""MSCOCO prepared from the real captions and ids, with planted embeddings: 5K, 1K folds, CxC and ECCV Caption."""

from __future__ import annotations

import json
import os
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
RIGHT = 2
"""Of five images in turn, so many have their own captions beside them; those of the others point away."""


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

    random = np.random.default_rng(0)
    image = random.standard_normal((5000, DIM))
    right = np.arange(5000) % 5 < RIGHT
    text = np.repeat(np.where(right[:, None], image, -image), 5, axis=0)
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
    result = examine(given, Registry.load(registry), workspace, names).result
    figures = {name: result.figures[name]["values"] for name in names}

    for name in ("recall", "recall-1k"):
        for side in ("i2t", "t2i"):
            for k in (1, 5, 10):
                assert figures[name][f"{side}.recall@{k}"] == pytest.approx(RIGHT / 5, abs=1e-12)
    assert (figures["recall"]["t2i.mean_rank"], figures["recall-1k"]["t2i.mean_rank"]) == (
        pytest.approx(0.4 + 0.6 * 5000),
        pytest.approx(0.4 + 0.6 * 1000),
    )
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
            first, precision = _planted(*parts, {int(key): set(map(int, v)) for key, v in labels.items()})
            assert figures[name][f"{side}.recall@1"] == pytest.approx(first, abs=1e-12)
            assert figures[name][f"{side}.r_precision"] == pytest.approx(precision, abs=1e-12)
            assert 0.35 < first < 0.6
            low, high = result.figures[name]["intervals"][f"{side}.recall@1"]
            assert low < first < high < low + 0.08
        assert result.figures[name]["labels"]


def _planted(
    asked: np.ndarray,
    items: np.ndarray,
    asked_ids: list[int],
    item_ids: list[int],
    labels: dict[int, set[int]],
) -> tuple[float, float]:
    """Return R@1 and R-Precision over the labelled queries, query by query; ties are lost."""
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (asked, items)]
    column = {number: place for place, number in enumerate(item_ids)}
    first, precision = [], []
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
        precision.append(np.count_nonzero(places <= len(labels[number])) / len(labels[number]))
    return float(np.mean(first)), float(np.mean(precision))
