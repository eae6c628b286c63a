"""Embeddings and ranks of another code: any order of rows, any fault in ids, and files that mean harm."""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from harness.errors import DataError, HarnessError, InputError
from harness.evaluate import write_embeddings, write_ranks
from harness.execute.compared import one_question, scored_elsewhere
from harness.execute.imported import OWN_COUNTED, OWN_RANKED
from harness.execute.ranked import ranked_run
from harness.execute.submit import publish_imported, replaced, row_of_imported
from harness.leaderboard import check, grouped, read_rows
from harness.ranking import normalize, rank
from harness.statistics import compare

FIGURES = [f"{side}.recall@{k}" for side in ("i2t", "t2i") for k in (1, 5, 10)]

# What a CLIP codebase does at the end of its evaluation; it knows the dataset's ids and nothing else of ours.
EXPORTER = """\
import json, sys
import numpy as np
from safetensors.numpy import save_file

ids = json.load(open(sys.argv[1]))
random = np.random.default_rng(0)
concepts = random.normal(size=(len(ids["image"]), 16))
owner = [ids["image"].index(caption.rpartition("#")[0]) for caption in ids["text"]]
image = (concepts + 0.5 * random.normal(size=concepts.shape)).astype(np.float32)
text = (concepts[owner] + 0.9 * random.normal(size=(len(owner), 16))).astype(np.float32)
rows, columns = random.permutation(len(image)), random.permutation(len(text))
image, text = 7.5 * image[rows], text[columns]
image_ids, text_ids = [ids["image"][row] for row in rows], [ids["text"][column] for column in columns]
np.savez(sys.argv[2] + "/clip.npz", image=image, text=text, image_ids=image_ids, text_ids=text_ids)
save_file({"image": image, "text": text}, sys.argv[2] + "/clip.safetensors",
          metadata={"image_ids": json.dumps(image_ids), "text_ids": json.dumps(text_ids)})
assert not [name for name in sys.modules if name.partition(".")[0].startswith("harness")]
"""


def recalls(image: Any, text: Any, image_ids: list[str], text_ids: list[str]) -> dict[str, float]:
    """Compute recalls query by query, as a script of fifteen lines would."""
    unit = [[row / np.linalg.norm(row) for row in rows.astype(float)] for rows in (image, text)]
    truth = [image_ids.index(caption.rpartition("#")[0]) for caption in text_ids]
    hits = dict.fromkeys(FIGURES, 0)
    for place, query in enumerate(unit[0]):
        scores = [float(query @ row) for row in unit[1]]
        order = sorted(range(len(scores)), key=lambda item: -scores[item])
        best = min(order.index(item) for item, owner in enumerate(truth) if owner == place)
        for k in (1, 5, 10):
            hits[f"i2t.recall@{k}"] += best < k
    for place, query in enumerate(unit[1]):
        scores = [float(query @ row) for row in unit[0]]
        order = sorted(range(len(scores)), key=lambda item: -scores[item])
        for k in (1, 5, 10):
            hits[f"t2i.recall@{k}"] += order.index(truth[place]) < k
    sizes = {"i2t": len(image_ids), "t2i": len(text_ids)}
    return {name: count / sizes[name[:3]] for name, count in hits.items()}


def test_embeddings_of_a_script_that_imports_nothing_of_ours_get_the_recalls_of_a_plain_loop(
    scenes: Any, tmp_path: Path
) -> None:
    ids = {"image": scenes.split.image_ids, "text": scenes.split.caption_ids}
    (tmp_path / "ids.json").write_text(json.dumps(ids), encoding="utf-8")
    script = [sys.executable, "-c", EXPORTER, str(tmp_path / "ids.json"), str(tmp_path)]
    done = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "clip.npz") as file:
        image_ids, text_ids = file["image_ids"].tolist(), file["text_ids"].tolist()
        assert image_ids != list(scenes.split.image_ids)
        expected = recalls(file["image"], file["text"], image_ids, text_ids)
    assert 0.1 < expected["t2i.recall@1"] < 0.9
    results = [scenes.examine(tmp_path / name).result for name in ("clip.npz", "clip.safetensors")]
    for result in results:
        values = result.figures["recall"]["values"]
        assert {name: values[name] for name in FIGURES} == pytest.approx(expected, abs=1e-12)
    assert results[0].figures == results[1].figures
    assert results[0].fingerprint != results[1].fingerprint
    assert results[0].passport == results[1].passport


def test_what_a_run_stores_is_imported_to_the_bit(scenes: Any, tmp_path: Path) -> None:
    split = scenes.split
    ranked = rank(
        split,
        normalize(scenes.image, split.image_ids, "image"),
        normalize(scenes.text, split.caption_ids, "caption"),
    )
    write_embeddings(tmp_path / "embeddings.safetensors", ranked)
    write_ranks(tmp_path / "ranks.parquet", ranked)
    whole = scenes.examine(tmp_path / "embeddings.safetensors")
    assert np.array_equal(whole.ranking.image, ranked.image)
    assert np.array_equal(whole.ranking.text, ranked.text)
    assert set(whole.result.figures) == {"recall", "quarters", "twins"}
    assert whole.notes == ()
    only = scenes.examine(tmp_path / "ranks.parquet")
    assert only.result.figures["recall"] == whole.result.figures["recall"]
    assert set(only.result.figures) == {"recall"}
    assert len(only.notes) == 2
    assert all("only ranks were imported" in note for note in only.notes)
    assert only.result.protocol["scores"] == OWN_COUNTED
    assert only.result.protocol["gallery"] == whole.result.protocol["gallery"]
    with pytest.raises(InputError, match="no evaluator can score"):
        scenes.examine(tmp_path / "ranks.parquet", evaluators=["quarters"])


def test_half_precision_and_whole_number_ids_will_do(scenes: Any, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file as save

    split = scenes.split
    whole = scenes.examine(scenes.write(tmp_path / "whole.npz"))
    halves = {
        "image": torch.from_numpy(scenes.image).bfloat16(),
        "text": torch.from_numpy(scenes.text).half(),
    }
    ids = json.dumps({"image": split.image_ids, "text": split.caption_ids})
    save(halves, tmp_path / "half.safetensors", metadata={"ids": ids})
    half = scenes.examine(tmp_path / "half.safetensors")
    wanted = whole.result.figures["recall"]["values"]["rsum"]
    assert half.result.figures["recall"]["values"]["rsum"] == pytest.approx(wanted, rel=0.1)
    bytes_ = scenes.write(tmp_path / "bytes.npz", image_ids=np.array(split.image_ids, dtype="S"))
    assert scenes.examine(bytes_).result.figures == whole.result.figures


def plain_ranks(scenes: Any, path: Path, *, change: Callable[[dict[str, Any]], Any] | None = None) -> Path:
    """Write the ranks of the embeddings with a plain column, in another order."""
    found = scenes.examine(scenes.write(path.with_suffix(".npz"))).ranking
    queries = [*scenes.split.image_ids, *scenes.split.caption_ids]
    ranks = np.concatenate([found.i2t.rank(), found.t2i.rank()]).astype("int64")
    sides = ["i2t"] * len(scenes.split.image_ids) + ["t2i"] * len(scenes.split.caption_ids)
    order = np.random.default_rng(1).permutation(len(queries))
    columns = {
        "side": [sides[row] for row in order],
        "query": [queries[row] for row in order],
        "rank": ranks[order],
    }
    if change is not None:
        change(columns)
    pq.write_table(pa.table(columns), path)
    return path


def test_a_plain_rank_will_do(scenes: Any, tmp_path: Path) -> None:
    path = plain_ranks(scenes, tmp_path / "ranks.parquet")
    found = scenes.examine(path)
    whole = scenes.examine(tmp_path / "ranks.npz")
    assert found.result.figures["recall"] == whole.result.figures["recall"]
    assert found.result.protocol["scores"] == OWN_RANKED
    assert any("ranks ties in its own way" in note for note in found.notes)


@pytest.mark.parametrize("counted", [True, False])
def test_imported_ranks_are_paired_with_any_run_of_the_gallery(
    scenes: Any, tmp_path: Path, counted: bool
) -> None:
    mixed = np.random.default_rng(8).normal(size=scenes.text.shape).astype(np.float32)
    worse = replace(scenes, text=scenes.text + mixed)
    if counted:
        write_ranks(tmp_path / "ranks.parquet", worse.examine(worse.write(tmp_path / "worse.npz")).ranking)
    else:
        plain_ranks(worse, tmp_path / "ranks.parquet")
    kept = [
        scenes.keep(scenes.write(tmp_path / "whole.npz")),
        scenes.keep(tmp_path / "ranks.parquet", method="Ranks"),
    ]
    a, b = runs = [ranked_run(scenes.store, each.fingerprint) for each in kept]
    assert one_question(runs) == one_question([b, a], "recall") == ["scores"]
    told = scored_elsewhere(runs)
    assert told.startswith(f"only ranks were imported of {b.fingerprint}: their scores ")
    assert ("ties" in told) is not counted
    assert scored_elsewhere([a, a]) == scored_elsewhere([b, b]) == ""
    found = compare([a.sample], [b.sample])
    figures = [each.figures["recall"]["values"]["rsum"] for each in kept]
    assert found.difference == pytest.approx(figures[0] - figures[1])
    assert found.difference > 0
    other = replace(a, passport="x", protocol={**a.protocol, "scores": "dot, ties lose"})
    for several in ([b, a, other], [a, other]):
        with pytest.raises(InputError, match=r"differ in scores \("):
            one_question(several)
    strange = replace(b, passport="y", protocol={**b.protocol, "gallery": "another"})
    with pytest.raises(InputError, match=r"differ in gallery \("):
        one_question([a, strange])


def _set(name: str, row: int, value: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda columns: columns[name].__setitem__(row, value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_set("rank", 0, 0), "rank below 1"),
        (_set("rank", 0, 10**6), "more wrong items before them than there are"),
        (_set("side", 0, "both"), "a side is 'i2t' or 't2i'"),
        (_set("query", 0, "nobody"), "id is unknown: 'nobody'"),
        (lambda columns: columns.pop("rank"), "has no 'above', 'tied', 'matched'"),
        (lambda columns: columns.update(rank=columns["rank"] / 2.0), "must be a whole number"),
        (lambda columns: columns.update(rank=[None, *columns["rank"][1:].tolist()]), "or has gaps"),
    ],
)
def test_impossible_ranks_are_refused(
    scenes: Any, tmp_path: Path, change: Callable[[dict[str, Any]], Any], told: str
) -> None:
    path = plain_ranks(scenes, tmp_path / "ranks.parquet", change=change)
    with pytest.raises(DataError) as error:
        scenes.examine(path)
    assert told in str(error.value)
    assert str(path) in str(error.value)


def test_missing_unknown_and_doubled_ids_are_counted_and_the_first_are_named(
    scenes: Any, tmp_path: Path
) -> None:
    ids = np.array(scenes.split.caption_ids)
    first = ids[0]
    ids[:7] = [f"stranger{number}" for number in range(7)]
    ids[7] = ids[8]
    path = scenes.write(tmp_path / "x.npz", text_ids=ids)
    with pytest.raises(DataError) as error:
        scenes.examine(path)
    text = str(error.value)
    assert (
        "7 caption ids are unknown: 'stranger0', 'stranger1', 'stranger2', 'stranger3', 'stranger4', ..."
        in text
    )
    assert f"1 caption id is there more than once: {str(ids[8])!r}" in text
    assert "8 caption ids are missing: " in text
    assert repr(str(first)) in text
    assert "120 captions" in text
    five = {"image": np.repeat(scenes.image, 5, axis=0), "image_ids": np.repeat(scenes.split.image_ids, 5)}
    with pytest.raises(DataError, match="24 image ids are there more than once") as error:
        scenes.examine(scenes.write(tmp_path / "five.npz", **five))
    assert "An image has one row" in error.value.hint


def _unnormalisable(scenes: Any) -> Any:
    rows = scenes.image.astype(np.float64)
    rows[3] = 1e200
    return rows


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        (
            lambda s: {"image": np.where(np.eye(24, 8) > 0, np.nan, s.image)},
            "8 of 24 image embeddings are NaN",
        ),
        (lambda s: {"image": _unnormalisable(s)}, "too long to be normalised"),
        (lambda s: {"image": s.image[:, :4]}, "4 dimensions, those of text 8"),
        (lambda s: {"image": s.image[:-1]}, "shape (23, 8) and 24 ids"),
        (lambda s: {"image": s.image.astype(int)}, "not of a floating one"),
        (lambda s: {"image": s.image.ravel()}, "must be (ids, dim)"),
        (lambda s: {"image_ids": np.zeros((24, 2), int)}, "one text or whole number a row"),
        (lambda s: {"text_ids": np.zeros(120)}, "one text or whole number a row"),
    ],
)
def test_what_is_no_gallery_is_refused(scenes: Any, tmp_path: Path, arrays: Any, told: str) -> None:
    path = scenes.write(tmp_path / "x.npz", **arrays(scenes))
    with pytest.raises(DataError) as error:
        scenes.examine(path)
    assert told in str(error.value)
    assert str(path) in str(error.value)


def test_zero_and_equal_embeddings_are_told(scenes: Any, tmp_path: Path) -> None:
    image = scenes.image.copy()
    image[:2] = 0
    found = scenes.examine(scenes.write(tmp_path / "x.npz", image=image))
    assert "2 image embeddings are zero: they tie with everything, and lose" in found.notes
    found = scenes.examine(scenes.write(tmp_path / "x.npz", text=np.ones_like(scenes.text)))
    assert any("every caption has the same embedding" in note for note in found.notes)
    assert found.result.figures["recall"]["values"]["i2t.recall@10"] == 0.0


class Harmful:
    """Touches a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return Path.touch, (self.canary,)


def _objects(path: Path, evil: Any, scenes: Any) -> None:
    np.savez(path, image=scenes.image, text=scenes.text, image_ids=np.array([evil], object), text_ids=[0])


def _pickled_member(path: Path, evil: Any, scenes: Any) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("image", "text", "image_ids", "text_ids"):
            archive.writestr(f"{name}.npy", pickle.dumps(evil))


def _pickle(path: Path, evil: Any, scenes: Any) -> None:
    path.write_bytes(pickle.dumps(evil))


def _torch(path: Path, evil: Any, scenes: Any) -> None:
    import torch

    torch.save({"image": evil}, path)


def _header(path: Path, evil: Any, scenes: Any) -> None:
    np.savez(path, image=scenes.image, text=scenes.text, text_ids=list(scenes.split.caption_ids))
    header = b"{'descr': __import__('os'), 'fortran_order': False, 'shape': (24,), }".ljust(117) + b"\n"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("image_ids.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)


def _boundless(path: Path, evil: Any, scenes: Any) -> None:
    np.savez(path, image=scenes.image, text=scenes.text, text_ids=list(scenes.split.caption_ids))
    header = (
        f"{{'descr': '<U64', 'fortran_order': False, 'shape': ({10**15},), }}".encode().ljust(117) + b"\n"
    )
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("image_ids.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)


def _bomb(path: Path, evil: Any, scenes: Any) -> None:
    np.savez(path, image=scenes.image, text=scenes.text, text_ids=list(scenes.split.caption_ids))
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("image_ids.npy", "w") as file,
    ):
        for _ in range(300):
            file.write(bytes(2**20))


def _nested(path: Path, evil: Any, scenes: Any) -> None:
    deep = "[" * 200_000 + "]" * 200_000
    save_file(
        {"image": scenes.image, "text": scenes.text}, path, metadata={"image_ids": deep, "text_ids": "[]"}
    )


def _numbers(path: Path, evil: Any, scenes: Any) -> None:
    save_file(
        {"image": scenes.image, "text": scenes.text}, path, metadata={"image_ids": "7", "text_ids": "[{}]"}
    )


def _no_ids(path: Path, evil: Any, scenes: Any) -> None:
    save_file({"image": scenes.image, "text": scenes.text}, path)


def _cut(path: Path, evil: Any, scenes: Any) -> None:
    whole = io.BytesIO()
    np.savez(whole, image=scenes.image)
    path.write_bytes(whole.getvalue()[:-40])


def test_an_array_of_objects_is_refused_with_what_to_write(scenes: Any, tmp_path: Path) -> None:
    ids = np.array(scenes.split.image_ids, dtype=object)
    scenes.write(tmp_path / "ids.npz", image_ids=ids)
    with pytest.raises(DataError, match="'image_ids' is an array of Python objects") as error:
        scenes.examine(tmp_path / "ids.npz")
    assert "dtype=str" in error.value.hint
    scenes.write(tmp_path / "rows.npz", text=scenes.text.astype(object))
    with pytest.raises(DataError, match="'text' is an array of Python objects") as error:
        scenes.examine(tmp_path / "rows.npz")
    assert "dtype=np.float32" in error.value.hint


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("objects.npz", _objects),
        ("pickled.npz", _pickled_member),
        ("pickle.npz", _pickle),
        ("header.npz", _header),
        ("boundless.npz", _boundless),
        ("bomb.npz", _bomb),
        ("cut.npz", _cut),
        ("pickle.safetensors", _pickle),
        ("torch.safetensors", _torch),
        ("nested.safetensors", _nested),
        ("numbers.safetensors", _numbers),
        ("none.safetensors", _no_ids),
        ("pickle.parquet", _pickle),
        ("torch.parquet", _torch),
    ],
)
def test_hostile_files_run_nothing_and_store_nothing(
    scenes: Any, tmp_path: Path, name: str, write: Callable[..., None]
) -> None:
    canary = tmp_path / "canary"
    write(tmp_path / name, Harmful(canary), scenes)
    with pytest.raises(DataError, match=name):
        scenes.keep(tmp_path / name)
    assert not canary.exists()
    assert scenes.store.fingerprints() == []
    with pytest.raises(InputError, match="ending is none of"):
        scenes.examine(tmp_path / "model.pt")
    with pytest.raises(InputError, match="not a file"):
        scenes.examine(tmp_path / "absent.npz")


def test_a_run_of_it_is_stored_under_method_and_content(scenes: Any, tmp_path: Path) -> None:
    path = scenes.write(tmp_path / "theirs.npz")
    result = scenes.keep(path, visual="ViT", source="a paper")
    again = scenes.keep(path, visual="other words")
    assert again.fingerprint == result.fingerprint
    assert scenes.store.fingerprints() == [result.fingerprint]
    assert scenes.store.damage(result.fingerprint) == []
    assert scenes.store.result(result.fingerprint).figures == again.figures
    others = [
        scenes.examine(path, method="Other").result,
        scenes.examine(path, seed=1).result,
        scenes.examine(scenes.write(tmp_path / "theirs.npz", image=scenes.image + 1)).result,
    ]
    assert len({result.fingerprint, *(other.fingerprint for other in others)}) == 4
    assert {result.protocol[part] for part in ("image view", "text view", "preprocessing")} == {"imported"}
    with pytest.raises(InputError, match="no name"):
        scenes.examine(path, method=" ")
    with pytest.raises(InputError, match="there is no dataset 'scene'; did you mean 'scenes'"):
        scenes.examine(path, dataset="scene")
    with pytest.raises(HarnessError, match="unknown split"):
        scenes.examine(path, split="tests")


def test_its_row_takes_the_place_of_an_earlier_one_and_seeds_are_averaged(
    scenes: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "leaderboards"
    first = scenes.keep(scenes.write(tmp_path / "a.npz"), source="https://example.org/<b>")
    publish_imported(first, scenes.store, folder)
    (row,) = read_rows(folder / "results.jsonl")
    assert (row.matrix, dict(row.labels)) == ("imported", {"dataset": "scenes", "method": "Theirs"})
    assert (row.parameters, row.train_seconds, row.epochs, row.val_rsum) == (None,) * 4
    assert row.metrics["recall.rsum"] == first.figures["recall"]["values"]["rsum"]
    assert check(folder) == []
    page = (folder / "dataset-scenes.md").read_text(encoding="utf-8")
    assert "imported: https:&#47;&#47;example.org/&lt;b&gt;" in page
    assert "<b>" not in page

    second = scenes.keep(scenes.write(tmp_path / "b.npz", image=scenes.image + 1))
    assert replaced(second, folder) == first.fingerprint
    publish_imported(second, scenes.store, folder)
    (row,) = read_rows(folder / "results.jsonl")
    assert row.fingerprint == second.fingerprint
    assert [path.stem for path in (folder / "ranks").iterdir()] == [second.fingerprint]

    for seed, name in enumerate("ab"):
        publish_imported(
            scenes.keep(tmp_path / f"{name}.npz", method="Seeds", seed=seed), scenes.store, folder
        )
    groups = grouped(read_rows(folder / "results.jsonl"))
    assert sorted(len(group.rows) for group in groups) == [1, 2]
    assert check(folder) == []


def test_another_split_reaches_no_leaderboard(scenes: Any, tmp_path: Path) -> None:
    from harness.data import open_dataset
    from harness.execute.registered import dataset_part

    w = scenes.workspace
    part = dataset_part("scenes", scenes.registry, w.catalog, w.data)
    val = open_dataset(part, w.data, w.catalog).split("val")
    random = np.random.default_rng(0)
    path = scenes.write(
        tmp_path / "val.npz",
        image=random.normal(size=(len(val.records), 8)),
        text=random.normal(size=(len(val.captions), 8)),
        image_ids=np.array(val.image_ids),
        text_ids=np.array(val.caption_ids),
    )
    result = scenes.keep(path, split="val")
    assert result.protocol["gallery"].startswith("val: ")
    with pytest.raises(InputError, match="of split 'val'"):
        row_of_imported(result)
