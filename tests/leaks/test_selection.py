"""Runs whose files show that more than val chose, and weights whose training is known to have seen test."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from harness.errors import DataError
from harness.leaks.findings import Finding
from harness.leaks.pretraining import KNOWN, known_of
from harness.leaks.selection import check_selection, history_faults
from harness.store import Result, Store


@pytest.fixture
def drawn(world: Any) -> Any:
    image = world.photograph(1, 16)
    return world.dataset(
        {f"{split}:{split}{k}": image for split in ("train", "val", "test") for k in range(3)}
    )


@pytest.fixture
def check(store: Store, drawn: Any) -> Callable[..., list[Finding]]:
    return lambda *results: check_selection(results, store, lambda result: drawn)


def rows(*rsums: float | None, **more: float) -> list[dict[str, float]]:
    return [
        {"epoch": float(epoch), **more} | ({} if rsum is None else {"val.rsum": rsum})
        for epoch, rsum in enumerate(rsums, start=1)
    ]


@pytest.mark.parametrize(
    ("history", "best", "kinds"),
    [
        (rows(None, 20.0, None, 30.0, 30.0), (4, 30.0), []),
        (rows(20.0, 30.0, 25.0), (3, 25.0), ["epoch"]),
        (rows(20.0, 30.0, 30.0), (3, 30.0), ["epoch"]),
        (rows(20.0, 30.0), (2, 31.0), ["epoch"]),
        (rows(None, None), (2, 20.0), ["blind"]),
        (rows(20.0, **{"test.rsum": 7.0}), (1, 20.0), ["figure"]),
        (rows(None, rsum_test=7.0), (1, 20.0), ["figure", "blind"]),
        (rows(20.0, **{"contest": 7.0, "latest.loss": 1.0}), (1, 20.0), []),
        ([], (0, 0.0), ["blind"]),
    ],
)
def test_histories(
    history: list[dict[str, float]],
    best: tuple[int, float],
    kinds: list[str],
    keep: Callable[..., Result],
    drawn: Any,
) -> None:
    result = keep(drawn, rows=history, best=best)
    assert [kind for kind, _ in history_faults(history, result)] == kinds


def test_runs_as_they_should_be(keep: Any, check: Any, drawn: Any) -> None:
    assert check(keep(drawn), keep(drawn)) == []
    told = {"kind": "import", "form": "ranks", "split": "val"}
    assert check(keep(drawn, imported=told, split="val")) == []
    assert check(keep(drawn, imported={"kind": "import", "form": "embeddings"})) == []


def test_faults_are_told_by_kind_with_their_runs(keep: Any, check: Any, drawn: Any) -> None:
    runs = [keep(drawn, rows=rows(10.0, 20.0)), keep(drawn, rows=rows(20.0, **{"test.recall": 1.0}))]
    runs += [keep(drawn, rows=rows(30.0)), keep(drawn, split="train")]
    found = check(*runs)
    assert [(f.severity, f.count, f.what.split(" ", 2)[2]) for f in found] == [
        ("leak", 2, "kept the weights of another epoch than the best one on val"),
        ("leak", 1, "recorded figures of test while training, by which anybody can choose"),
        ("leak", 1, "scored other images or captions than those of their split, each once"),
    ]
    assert found[0].items[0].startswith(runs[0].fingerprint)
    assert "the best on val is epoch 2 (rSum 20.00)" in found[0].items[0]
    assert found[2].items == (f"{runs[3].fingerprint}: ranks.image: train0",)


def test_without_the_dataset_queries_are_compared_with_one_another(
    keep: Any, drawn: Any, store: Store
) -> None:
    def gone(result: Result) -> Any:
        raise DataError("dataset 'drawn' is not prepared")

    good, odd = keep(drawn), keep(drawn, split="train")
    assert check_selection([good, odd], store, gone) == []
    (finding,) = check_selection([dataclasses.replace(good, captions=7)], store, gone)
    assert finding.items == (f"{good.fingerprint}: ranks.text: 3 queries, 3 different, 7 told",)


def test_what_cannot_be_read_is_no_leak(keep: Any, check: Any, drawn: Any, store: Store) -> None:
    for name in ("history.jsonl", "ranks.parquet", "embeddings.safetensors"):
        result = keep(drawn)
        path = store.folder(result.fingerprint) / name
        for damage in (b"{", None):
            path.unlink()
            if damage:
                path.write_bytes(damage)
            (finding,) = check(result)
            assert (finding.severity, finding.count) == ("note", 1)
            assert name in finding.items[0]
            assert "harness doctor" in finding.next
            path.write_bytes(b"")


@pytest.mark.parametrize(
    ("dataset", "params", "expected"),
    [
        ("mscoco", {"weights": "COCO_V1"}, ["leak"]),
        ("my-coco", {"weights": {"file": "file:/somewhere/fasterrcnn_resnet50_fpn_coco.pth"}}, ["leak"]),
        ("flickr30k", {"weights": "COCO_V1"}, []),
        ("flickr30k", {"backbone": "vit_base_patch32_clip_224.openai"}, ["note"]),
        ("mscoco", {"backbone": ["vit_base_patch32_clip_224.openai"]}, ["note"]),
        ("mscoco", {"backbone": "vit_base_patch32_clip_224.laion2b"}, []),
        ("mscoco", {"backbone": "tf_efficientnet_lite0", "weights": "package"}, []),
        ("mscoco", {"backbone": "resnet50", "weights": "file:/data/coco/resnet50-imagenet.pth"}, []),
    ],
)
def test_weights_whose_training_is_known(dataset: str, params: dict[str, Any], expected: list[str]) -> None:
    part = {"name": dataset, "use": "folder", "params": {}}
    spec = {"dataset": part, "image": {**part, "params": params}, "text": part}
    assert [known.severity for known, _ in known_of(spec)] == expected


def test_every_claim_has_a_source_and_imports_are_judged_by_what_is_told() -> None:
    assert all(known.source and known.names and known.datasets for known in KNOWN)
    told = {
        "dataset": {"name": "flickr8k", "use": "flickr8k"},
        "method": "CLIP",
        "visual": "OpenAI CLIP ViT-B/32",
    }
    assert [(known.severity, name) for known, name in known_of(told)] == [("note", "OpenAI CLIP ViT-B/32")]
