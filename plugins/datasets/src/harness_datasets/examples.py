"""A few drawn images with captions in each layout that this package reads, for the contract tests of the harness."""

from __future__ import annotations

import json
from pathlib import Path

from harness_datasets.flickr8k import LISTS, TOKENS

SPLITS = {"train": range(4), "val": range(4, 6), "test": range(6, 8)}
COLOURS = ("red", "green", "blue", "yellow", "white", "grey", "purple", "orange")
CAPTIONS = ("A {} square.", "A picture in {}", "there is {} everywhere", "one {} surface", "Plain {} paper")


def folder(place: Path) -> None:
    """Write ``images/`` and ``<split>.jsonl``."""
    for split, numbers in SPLITS.items():
        rows = [{"image": f"{n}.jpg", "captions": _captions(n)} for n in numbers]
        _write(place / f"{split}.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows))
    _draw(place / "images", [f"{n}.jpg" for numbers in SPLITS.values() for n in numbers])


def flickr8k(place: Path) -> None:
    """Write the authors' layout: a token file, and a list a split."""
    names = {n: f"{1000 + n}_{n:x}.jpg" for numbers in SPLITS.values() for n in numbers}
    _write(place / TOKENS, _tokens(names))
    for split, numbers in SPLITS.items():
        _write(place / "splits" / LISTS[split], "".join(f"{names[n]}\n" for n in numbers))
    _draw(place / "images", list(names.values()))


def flickr30k(place: Path) -> None:
    """Write a folder of images beside the json of Karpathy and Fei-Fei."""
    names = {n: f"{1000 + n}.jpg" for numbers in SPLITS.values() for n in numbers}
    _write(place / "dataset_flickr30k.json", _karpathy("flickr30k", names))
    _draw(place / "flickr30k-images", list(names.values()))


def mscoco(place: Path) -> None:
    """Write images of 2014 beside the json of Karpathy and Fei-Fei, whose restval is train."""
    names = {n: f"COCO_val2014_{1000 + n:012d}.jpg" for numbers in SPLITS.values() for n in numbers}
    _write(place / "dataset_coco.json", _karpathy("coco", names))
    _draw(place / "val2014", list(names.values()))


def _captions(number: int) -> list[str]:
    return [caption.format(COLOURS[number]) for caption in CAPTIONS]


def _tokens(names: dict[int, str]) -> str:
    return "".join(
        f"{name}#{place}\t{caption}\n"
        for number, name in names.items()
        for place, caption in enumerate(_captions(number))
    )


def _karpathy(dataset: str, names: dict[int, str]) -> str:
    images = []
    for split, numbers in SPLITS.items():
        for number in numbers:
            sentences = [
                {"raw": caption, "sentid": 10 * number + place}
                for place, caption in enumerate(_captions(number))
            ]
            entry = {"filename": names[number], "split": split, "sentences": sentences, "imgid": number}
            if dataset == "coco":
                entry |= {"cocoid": 1000 + number, "filepath": "val2014"}
                entry["split"] = "restval" if number == 0 else split
            images.append(entry)
    return json.dumps({"dataset": dataset, "images": images})


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _draw(place: Path, names: list[str]) -> None:
    from PIL import Image

    place.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.new("RGB", (48 + number, 36), COLOURS[number]).save(place / name)
