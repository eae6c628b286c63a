"""Datasets of drawn photographs in memory, what happens to photographs in the world, and stored runs."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from safetensors.torch import save_file

from harness.catalog import Catalog, Entry
from harness.data import OpenDataset
from harness.evaluate import write_embeddings, write_ranks
from harness.protocols import Record
from harness.ranking import normalize, rank
from harness.specs import EncoderSpec
from harness.store import Result, Store

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"
"""Data that lie beside the repository on some machines."""

ENCODERS = '''
"""Text encoders that get their words from various places."""
import re
import zlib
from pathlib import Path

import torch
from torch import nn

WORD = re.compile(r"\\\\w+")


class Table(nn.Module):
    """Knows the words of the train captions, and of a file."""

    def __init__(self, *, dim: int, captions: tuple[str, ...], file: str = "", fault: str = ""):
        super().__init__()
        text = " ".join(captions) + (Path(file).read_text() if file else "")
        self.words = {word: number for number, word in enumerate(sorted(set(WORD.findall(text.lower()))), 1)}
        self.embedding = nn.EmbeddingBag(len(self.words) + 1, dim)
        self.fault = fault

    def prepare(self, raw, *, training):
        if self.fault:
            raise ZeroDivisionError(self.fault)
        found = [self.words[word] for word in WORD.findall(raw.lower()) if word in self.words]
        return torch.tensor((found + [0] * 16)[:16])

    def forward(self, batch):
        return self.embedding(batch)


class Hashed(Table):
    """Has no words, but a bucket for each."""

    def prepare(self, raw, *, training):
        return torch.tensor(([zlib.crc32(w.encode()) % 4096 for w in raw.split()] + [0] * 16)[:16])
'''


def photograph(seed: int, size: int = 96) -> Image.Image:
    """Draw what has structure at all scales, as a photograph does."""
    random = np.random.default_rng(seed)
    pixels = np.zeros((size, size, 3))
    for cells, weight in ((3, 90), (6, 60), (12, 45), (24, 30)):
        noise = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        pixels += weight * (np.asarray(noise.resize((size, size), Image.Resampling.BICUBIC)) / 255)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _jpeg(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=25)
    return Image.open(file).convert("RGB")


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "jpeg": _jpeg,
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "squashed": lambda image: image.resize((image.width, image.height // 2)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.15),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "cut": lambda image: image.crop((2, 2, image.width - 2, image.height - 2)),
    "turned": lambda image: image.rotate(1),
    "mirrored": ImageOps.mirror,
}


@dataclass
class Drawn:
    """Images of a dataset in memory; `read` counts how often pixels were asked for."""

    of: Mapping[str, Image.Image]
    read: list[str] = field(default_factory=list)

    def pixels(self, record: Record) -> Any:
        self.read.append(record.image)
        return np.asarray(self.of[record.image])

    def content(self, record: Record) -> str:
        """Return what a file's hash would be; the tag ``file`` stands for bytes that are no pixels."""
        return hashlib.sha256(
            self.of[record.image].tobytes() + record.tags.get("file", "").encode()
        ).hexdigest()


def dataset(
    images: Mapping[str, Image.Image],
    captions: Mapping[str, Sequence[str]] | None = None,
    tags: Mapping[str, Mapping[str, str]] | None = None,
    name: str = "drawn",
) -> OpenDataset:
    """Make a dataset of images by ``split:id``."""
    records = []
    for key in images:
        split, _, image = key.partition(":")
        texts = tuple((captions or {}).get(key, (f"a picture called {image}",)))
        records.append(Record(image=image, split=split, captions=texts, tags=(tags or {}).get(key, {})))
    drawn = Drawn({key.partition(":")[2]: image for key, image in images.items()})
    passport = hashlib.sha256(repr(records).encode()).hexdigest()
    return OpenDataset(name, passport, tuple(records), drawn)


@pytest.fixture
def encoders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """The installed components, and the text encoders above."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "harness_leaky_encoders.py").write_text(ENCODERS.replace("\\\\", "\\"), encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "harness_leaky_encoders", raising=False)
    installed = Catalog.load()
    own = {
        ("encoder", name): Entry(
            spec=EncoderSpec(
                name=name,
                target=f"harness_leaky_encoders:{name.capitalize()}",
                summary=name,
                modality="text",
            ),
            plugin="test",
            distribution="test",
            version="1",
        )
        for name in ("table", "hashed")
    }
    return Catalog(components={**installed.components, **own})


class World:
    """What the tests of this folder share."""

    photograph = staticmethod(photograph)
    dataset = staticmethod(dataset)
    changes = CHANGES
    real = REAL


@pytest.fixture
def world() -> type[World]:
    return World


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


@pytest.fixture
def keep(store: Store) -> Callable[..., Result]:
    """Store a run of a dataset: its ranks and embeddings under the ids of test, and a history."""

    def write(
        of: OpenDataset,
        *,
        text: Mapping[str, Any] | None = None,
        encoder: Any = None,
        rows: Sequence[Mapping[str, float]] = ({"epoch": 1.0, "val.rsum": 20.0},),
        split: str = "test",
        best: tuple[int, float] = (1, 20.0),
        image: Mapping[str, Any] | None = None,
        imported: Mapping[str, Any] | None = None,
    ) -> Result:
        part = {"name": "p", "use": "table", "revision": 1, "params": {}, "title": "Table", "files": {}}
        spec: dict[str, Any] = {
            "dataset": {**part, "name": of.name, "use": "folder"},
            "protocol": of.passport,
        }
        if imported is None:
            spec |= {"image": {**part, "params": image or {}}, "text": {**part, **(text or {})}}
            spec |= {"stage": {}, "dim": 8, "seed": 0}
        own = of.split(split)
        number = len(store.fingerprints())
        result = Result(
            fingerprint=f"{number:016x}",
            spec={**spec, **(imported or {})},
            dataset=of.name,
            passport="p",
            images=len(own.records),
            captions=len(own.captions),
            limit=None,
            figures={},
            val_rsum=best[1],
            epochs=len(rows),
            best_epoch=best[0],
            cost={},
            provenance={},
        )
        random = np.random.default_rng(number)
        ranking = rank(
            own,
            *(
                normalize(random.normal(size=(len(ids), 8)).astype(np.float32), ids, "row")
                for ids in (own.image_ids, own.caption_ids)
            ),
        )

        def fill(folder: Path) -> None:
            write_ranks(folder / "ranks.parquet", ranking)
            if spec.get("form", (imported or {}).get("form")) != "ranks":
                write_embeddings(folder / "embeddings.safetensors", ranking)
            if imported is None:
                lines = "".join(f"{json.dumps(row)}\n" for row in rows)
                (folder / "history.jsonl").write_text(lines, encoding="utf-8")
                state = {} if encoder is None else encoder.state_dict()
                save_file({f"text.{k}": v for k, v in state.items()}, folder / "weights.safetensors")

        store.publish(result, fill)
        return store.result(result.fingerprint)

    return write
