"""Flickr30k prepared from the real captions under the real names, with planted embeddings: both splits."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from harness.catalog import Catalog
from harness.data import open_dataset, prepare
from harness.execute import Workspace
from harness.execute.imported import Submission, examine
from harness.plan import Part
from harness.registry import Registry

SHARED = next(
    (p / "shared" / "data" for p in Path(__file__).resolve().parents if (p / "shared" / "data").is_dir()),
    None,
)
pytestmark = pytest.mark.skipif(SHARED is None, reason="the folder of real data is absent")

IMAGES = 31_783
SPLITS = {"karpathy": (29_000, 1_014, 1_000), "flickr8k-names": (29_783, 1_000, 1_000)}
LISTS = ("Flickr_8k.testImages.txt", "Flickr_8k.devImages.txt")
DIM = 24
RIGHT = {"i2t": 3, "t2i": 2}
"""Of five images in turn, so many find a caption of theirs first; of five captions, so many their image."""


def rows() -> Iterator[tuple[str, str, list[str]]]:
    """Yield image, Karpathy's split or none, and captions, all real but for 156 images that no text at hand has."""
    assert SHARED is not None
    known = set()
    for split in ("train", "val", "test"):
        text = (SHARED / "flickr30k_text" / f"flickr30k_{split}.jsonl").read_text(encoding="utf-8")
        for row in map(json.loads, filter(None, text.split("\n"))):
            known.add(row["image"])
            yield row["image"], split, row["captions"]
    # Flickr8k's photographs are among Flickr30k's, which Karpathy's split has not all of.
    others: dict[str, list[str]] = {}
    for line in (SHARED / "flickr8k" / "Flickr8k.token.txt").read_text(encoding="utf-8").split("\n"):
        name, _, caption = line.partition("\t")
        photo = f"{name.partition('_')[0]}.jpg"
        if caption and photo not in known:
            others.setdefault(photo, []).append(caption)
    lacking = IMAGES - len(known) - len(others)
    assert 0 < lacking < 200
    others |= {f"{n}.jpg": [f"generated {k}" for k in range(5)] for n in range(lacking)}
    yield from ((image, "", captions) for image, captions in others.items())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a generated image under each real name, the authors' token file, and Karpathy's json."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("flickr30k")
    (folder / "flickr30k-images").mkdir()
    one = folder / "one.png"
    Image.new("RGB", (1, 1), (10, 200, 30)).save(one)
    tokens, karpathy = [], []
    for image, split, captions in rows():
        os.link(one, folder / "flickr30k-images" / image)
        tokens += [f"{image}#{k}\t{caption}\n" for k, caption in enumerate(captions)]
        if split:
            sentences = [{"raw": caption} for caption in captions]
            karpathy.append({"filename": image, "split": split, "sentences": sentences})
    one.unlink()
    (folder / "results_20130124.token").write_text("".join(tokens), encoding="utf-8")
    (folder / "dataset_flickr30k.json").write_text(json.dumps({"dataset": "flickr30k", "images": karpathy}))
    return folder


@pytest.mark.parametrize("split", SPLITS)
def test_planted_embeddings_give_the_planted_recalls(folder: Path, tmp_path: Path, split: str) -> None:
    assert SHARED is not None
    catalog = Catalog.load()
    files = [folder / "dataset_flickr30k.json"]
    if split == "flickr8k-names":
        files = [
            folder / "results_20130124.token",
            *(SHARED / "flickr8k" / "splits" / name for name in LISTS),
        ]
    params = {"split": split}
    manifest = prepare("flickr", "flickr30k", params, folder, tmp_path / "data", catalog, files=files)
    expected = dict(zip(("train", "val", "test"), SPLITS[split], strict=True))
    assert {name: counts["images"] for name, counts in manifest.counts.items()} == expected
    captions = {name: counts["captions"] for name, counts in manifest.counts.items()}
    assert captions == {name: 5 * images for name, images in expected.items()}

    part = Part(name="flickr", use="flickr30k", revision=manifest.revision, params=params, title="flickr")
    test = open_dataset(part, tmp_path / "data", catalog).split("test")
    if split == "flickr8k-names":
        names = (SHARED / "flickr8k" / "splits" / LISTS[0]).read_text().split()
        assert sorted(test.image_ids) == sorted(f"{name.partition('_')[0]}.jpg" for name in names)
    _plant(tmp_path / "planted.npz", test.image_ids)
    (tmp_path / "registry.yaml").write_text(
        f"version: 1\ndatasets: {{flickr: {{use: flickr30k, split: {split}}}}}\n"
        "evaluators: {recall: {use: recall}}\n"
    )
    workspace = Workspace(
        home=tmp_path / "home", data=tmp_path / "data", catalog=catalog, device="cpu", threads=1
    )
    given = Submission(file=tmp_path / "planted.npz", method="planted", dataset="flickr")
    result = examine(given, Registry.load(tmp_path / "registry.yaml"), workspace, ("recall",)).result
    figures = result.figures["recall"]["values"]
    for side, right in RIGHT.items():
        for k in (1, 5, 10):
            assert figures[f"{side}.recall@{k}"] == pytest.approx(right / 5, abs=1e-12)
    assert figures["t2i.mean_rank"] == pytest.approx(0.4 + 0.6 * len(test.image_ids))


def _plant(path: Path, names: tuple[str, ...]) -> None:
    """Write embeddings in another order, see `RIGHT`.

    Of the captions of five images in turn 5, 4, 1, 0 and 0 lie beside their image, and the others point away from it.
    """
    random = np.random.default_rng(0)
    image = random.standard_normal((len(names), DIM))
    beside = np.arange(5)[None] < np.resize([5, 4, 1, 0, 0], len(names))[:, None]
    text = np.where(beside[..., None], image[:, None], -image[:, None]).reshape(-1, DIM)
    order, words = random.permutation(len(names)), random.permutation(len(text))
    np.savez(
        path,
        image=image[order],
        text=text[words],
        image_ids=np.array(names)[order],
        text_ids=np.array([f"{names[i // 5]}#{i % 5}" for i in words]),
    )
