"""A store with runs of known quality on the toy dataset: real files, no training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

IMAGES = 400
"""Of the drawn dataset; a quarter are test images."""


@pytest.fixture
def planted(command: Any) -> Callable[..., str]:
    """Store a run; returns its fingerprint. Better runs have less noise; the same noise comes with the same seed."""
    import numpy as np

    from harness.evaluate import rank, write_embeddings, write_ranks
    from harness.passport import gallery, passport
    from harness.protocols import Split
    from harness.queries import FILE, Queries, write_queries
    from harness.ranking import normalize
    from harness.store import Result, Store

    store = Store(Path(command.environment["HARNESS_HOME"]))

    def plant(
        name: str,
        noise: float,
        *,
        seed: int = 0,
        images: int = IMAGES,
        loss: str = "contrast",
        view: str = "single",
        old: bool = False,
        parent: str | None = None,
        factor: int = 2,
    ) -> str:
        from harness_toy.data import Toys

        records = Toys(images=images).annotations(None).records
        split = Split("test", tuple(record for record in records if record.split == "test"))
        n, owner = len(split.records), split.caption_image
        image = np.random.default_rng(5).normal(size=(n, 12))
        own = np.random.default_rng([seed, len(loss)])
        text = image[owner] + noise * own.normal(size=(len(owner), 12))
        ranked = rank(
            split,
            normalize(image.astype("float32"), split.image_ids, "image"),
            normalize(text.astype("float32"), split.caption_ids, "caption"),
        )
        parts = {**gallery(split, lambda record: record.image), "image view": view}
        result = Result(
            fingerprint=name,
            spec=_spec(loss, seed, images, parent),
            dataset="toys",
            passport=passport(parts),
            protocol={} if old else parts,
            images=n,
            captions=len(owner),
            limit=None,
            figures={"double": {"use": "double", "revision": 1, "params": {"factor": factor}, "values": {}}},
            val_rsum=0.0,
            epochs=1,
            best_epoch=1,
            cost={},
            provenance={},
        )

        def write(folder: Path) -> None:
            write_ranks(folder / "ranks.parquet", ranked)
            write_embeddings(folder / "embeddings.safetensors", ranked)
            doubled = ((ranked.i2t.above + 1) * factor, (ranked.t2i.above + 1) * factor)
            write_queries(folder / FILE, Queries(owner=owner, ranks={"double": doubled}))

        store.publish(result, write)
        return name

    return plant


@pytest.fixture
def committed(command: Any) -> Callable[..., None]:
    """Turn stored runs into rows of the leaderboards with their ranks, as a clone has them."""
    import shutil

    import pyarrow.parquet as pq

    from harness.leaderboard import Ranks, Row, merge_rows
    from harness.queries import Queries, write_queries
    from harness.statistics import RECALLS, Sample
    from harness.store import Store

    store = Store(Path(command.environment["HARNESS_HOME"]))
    folder = command.folder / "leaderboards"

    def commit(*names: str, title: str = "Toy", recipe: str = "", keep: bool = False) -> None:
        for name in names:
            result = store.result(name)
            columns = pq.read_table(store.folder(name) / "ranks.parquet").to_pandas()
            ranks = 1 + columns["above"] + columns["tied"]
            i2t, t2i = (ranks[columns["side"] == side].to_numpy() for side in ("i2t", "t2i"))
            queries = store.queries(name)
            assert queries is not None
            sample = Sample(i2t, t2i, queries.owner)
            path = folder / f"{name}.npz"
            write_queries(path, Queries(owner=queries.owner, ranks={"recall": (i2t, t2i), **queries.ranks}))
            Ranks(folder).keep(name, path.read_bytes())
            path.unlink()
            row = Row(
                matrix="ablations",
                labels={"dataset": "toys", "variant": title, "seed": str(result.spec["seed"])},
                experiment="toy",
                title=title,
                visual="frozen",
                textual=title.lower(),
                dataset="toys",
                dataset_title="Toys",
                fingerprint=name,
                passport=result.passport,
                seed=result.spec["seed"],
                metrics={f"recall.{figure}": sample.figures()[figure] for figure in RECALLS},
                val_rsum=0.0,
                images=result.images,
                captions=result.captions,
                parameters=1,
                train_seconds=1.0,
                peak_memory_bytes=1,
                epochs=4,
                best_epoch=1,
                hardware="",
                versions={},
                command="harness run",
                date="2026-01-01",
                source_revision="",
                recipe=recipe or title,
                protocol=dict(result.protocol),
                evaluators={"recall": "recall 1", "double": "double 1 (factor: 2)"},
            )
            merge_rows(folder / "results.jsonl", [row])
            if not keep:
                shutil.rmtree(store.folder(name))

    return commit


def _spec(loss: str, seed: int, images: int, parent: str | None) -> Mapping[str, Any]:
    def part(name: str, **params: Any) -> dict[str, Any]:
        return {"name": name, "use": name, "revision": 1, "params": params, "title": name, "files": {}}

    return {
        "dataset": part("toys", images=images),
        "image": part("frozen"),
        "text": part("words"),
        "losses": [{**part(loss), "weight": 1.0}],
        "stage": {"name": "one", "epochs": 4, "losses": {loss: 1.0}},
        "dim": 12,
        "seed": seed,
        "limit": None,
        "parent": parent,
        "protocol": "none",
    }
