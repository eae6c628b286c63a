"""One flipped bit in any stored file is found, named with what mends it, and `harness run` does that alone again."""

from __future__ import annotations

import json
import random
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import decoded, derived, features
from harness.leaks import looks
from tests.faults.conftest import Faults
from tests.faults.processes import HOUSE

KINDS = {
    "result": "runs/*/result.json",
    "spec": "runs/*/spec.json",
    "history": "runs/*/history.jsonl",
    "ranks": "runs/*/ranks.parquet",
    "queries": "runs/*/queries.npz",
    "embeddings": "runs/*/embeddings.safetensors",
    "weights": "runs/*/weights.safetensors",
    "manifest": "runs/*/manifest.json",
}
CACHED = {
    "features": ("features/*/*.safetensors", features.intact),
    "derived": ("derived/*.safetensors", derived.intact),
    "decoded": ("decoded/*/*.safetensors", decoded.intact),
    "looks": ("looks/*/*.npz", looks.intact),
}
MENDED = {
    0: "harness run --matrix whole --only=variant=plain",
    1: "harness run --matrix seeds --only=seed=1",
}
"""Seed -> the command that does its run alone again."""


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def stored_figures(home: Path, fingerprint: str) -> object:
    return json.loads((home / "runs" / fingerprint / "result.json").read_text())["figures"]


@pytest.fixture
def stored(invoke: Callable[..., Any], tmp_path: Path) -> Path:
    """A store with the runs of two seeds."""
    assert invoke("run", "--matrix", "seeds", *HOUSE)[0] == 0
    return tmp_path / "home"


@pytest.mark.fault(5)
def test_a_flipped_bit_of_a_run_is_named_and_its_run_alone_done_again(
    stored: Path, invoke: Callable[..., Any], toy_log: Any, faults: Faults, long: bool
) -> None:
    whole = stored.with_name("whole")
    shutil.copytree(stored, whole)
    code, out, _ = invoke("doctor", "--store", "--json")
    assert (code, json.loads(out)["damaged"]) == (0, [])
    assert json.loads(out)["examined"]["run"] == 2 * len(KINDS)
    chance = random.Random(7)
    for kind, pattern in KINDS.items():
        path = sorted(stored.glob(pattern))[0]
        for bit in chance.sample(range(8 * path.stat().st_size), 40 if long else 2):
            with faults.inject():
                flip(path, bit)
                code, out, _ = invoke("doctor", "--store", "--json")
                found = json.loads(out)["damaged"]
                assert code == 1, (kind, bit)
                # A flip in a checksum blames the file that it is of; either way it is that run.
                assert {Path(damage["path"]).parent for damage in found} == {path.parent}, (kind, bit)
                assert kind == "manifest" or [damage["path"] for damage in found] == [str(path)], (kind, bit)
                seed = json.loads((whole / "runs" / path.parent.name / "spec.json").read_text())["seed"]
                assert {damage["repair"] for damage in found} == {MENDED[seed]}
                if bit % 2 and not long:
                    flip(path, bit)
                    continue
                toy_log.clear()
                code, out, err = invoke("run", "--matrix", "seeds", *HOUSE, "--json")
                assert code == 0, err
                assert str(path.parent) in err.replace("\n", "")
                assert len(toy_log.events("training")) == 1, (kind, bit)
                assert sorted(cell["status"] for cell in json.loads(out)["cells"]) == ["cached", "done"]
                assert invoke("doctor", "--store")[0] == 0
                name = path.parent.name
                faults.wrong += stored_figures(whole, name) != stored_figures(stored, name)
    assert faults.wrong == 0


@pytest.mark.fault(5)
@pytest.mark.parametrize("kind", CACHED)
def test_no_flipped_bit_of_a_cache_changes_what_is_read(
    kind: str, toy: Any, tmp_path: Path, faults: Faults, long: bool
) -> None:
    """Every bit, in the long form: it is found, or it is of no consequence, as in the name of a key."""
    fill(kind, toy)
    pattern, intact = CACHED[kind]
    path = sorted(toy.home.glob(pattern))[0]
    assert intact(path)
    before, bits = read(kind, path), range(8 * path.stat().st_size)
    missed = 0
    for bit in bits if long and len(bits) < 30_000 else random.Random(3).sample(bits, 400):
        with faults.inject():
            flip(path, bit)
            if intact(path):
                missed += 1
                faults.wrong += read(kind, path) != before
            flip(path, bit)
    assert faults.wrong == 0
    assert missed < faults.injected / 4


def fill(kind: str, toy: Any) -> None:
    from harness.data import open_dataset

    if kind in ("features", "derived"):
        changes = (
            (
                "  contrast: {use: contrast}\n",
                "  contrast: {use: contrast}\n  asking: {use: asking, key: mean}\n",
            ),
            ("one: {losses: {contrast: 1}", "one: {losses: {asking: 1}"),
        )
        (outcome,) = toy.execute(toy.plan(*changes, matrix="one"))
        assert outcome.status == "done", outcome.error
        return
    (run,) = toy.plan(matrix="one").runs
    dataset = open_dataset(run.dataset, toy.home / "data", toy.catalog)
    if kind == "decoded":
        decoded.load_decoded(toy.home, dataset, dataset.records[:6], size=2, progress=lambda *_: None)
    else:
        looks.looks_of(dataset, dataset.records[:4], toy.home)


def read(kind: str, path: Path) -> Any:
    from safetensors.numpy import load_file

    if kind != "looks":
        return {name: (a.dtype, a.shape, a.tobytes()) for name, a in load_file(path).items()}
    columns = looks._columns(path)
    assert columns is not None
    return {name: (a.dtype, a.shape, a.tobytes()) for name, a in columns.items()}


@pytest.mark.fault(5)
def test_a_file_that_is_gone_is_named_and_its_run_done_again(
    stored: Path, invoke: Callable[..., Any], toy_log: Any, faults: Faults
) -> None:
    for kind, pattern in KINDS.items():
        path = sorted(stored.glob(pattern))[0]
        seed = json.loads((path.parent / "spec.json").read_text())["seed"]
        path.unlink()
        with faults.inject():
            code, out, _ = invoke("doctor", "--store", "--json")
            assert code == 1, kind
            (found,) = json.loads(out)["damaged"]
            assert found == {"kind": "run", "path": str(path), "problem": "missing", "repair": MENDED[seed]}
            toy_log.clear()
            assert invoke("run", "--matrix", "seeds", *HOUSE)[0] == 0
            assert len(toy_log.events("training")) == 1, kind
            assert invoke("doctor", "--store")[0] == 0


@pytest.mark.fault(5)
@pytest.mark.parametrize("gone", ["manifest.json", "records.jsonl"])
def test_a_file_of_a_dataset_that_is_gone_is_named(
    gone: str, tmp_path: Path, invoke: Callable[..., Any], faults: Faults
) -> None:
    source, data = photographs(tmp_path), tmp_path / "home" / "data"
    prepare(source, data)
    assert invoke("doctor", "--store")[0] == 0
    with faults.inject():
        (data / "mine" / gone).unlink()
        code, out, _ = invoke("doctor", "--store", "--json")
        assert code == 1
        (found,) = json.loads(out)["damaged"]
        assert found["kind"] == "dataset"
        assert gone in found["path"] + found["problem"]
        assert "harness data prepare" in found["repair"]
        assert "--as mine" in found["repair"]
    prepare(source, data)
    assert invoke("doctor", "--store")[0] == 0


def photographs(parent: Path) -> Path:
    """Write three images with their annotations, one of each split."""
    from PIL import Image

    source = parent / "photographs"
    source.mkdir()
    rows = []
    for shade, (name, split) in enumerate({"a": "train", "b": "val", "c": "test"}.items()):
        Image.new("RGB", (8, 8), (shade, 0, 0)).save(source / f"{name}.png")
        rows.append({"filename": f"{name}.png", "split": split, "sentences": [{"raw": name}]})
    (source / "dataset.json").write_text(json.dumps({"images": rows}))
    return source


@pytest.mark.fault(5)
def test_damage_of_every_kind_is_named_with_what_mends_it(
    stored: Path, invoke: Callable[..., Any], toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = photographs(stored.parent)
    prepare(source, stored / "data")
    for kind in ("decoded", "looks", "derived"):
        fill(kind, toy)
    work = stored / "work" / ("f" * 16)
    work.mkdir(parents=True)
    (work / "checkpoint.pt").write_bytes(b"cut")
    stray = stored / "runs" / f".{'e' * 16}.123"
    stray.mkdir()
    (stored / "features" / ".x.tmp").touch()
    paths = [sorted(stored.glob(pattern))[0] for pattern, _ in CACHED.values()]
    paths += [stored / "data" / "mine" / "records.jsonl"]
    for path in paths:
        size = path.stat().st_size  # the end of a zip holds names and times; that of a tensor file, tensors
        flip(path, 8 * (size // 2 if path.suffix == ".npz" else size - 40))
    extra = sorted(stored.glob("runs/*/result.json"))[0].with_name("extra.txt")
    extra.touch()
    within = extra.with_name("further")
    within.mkdir()
    code, out, err = invoke("doctor", "--store", "--json")
    assert code == 1
    told = json.loads(out)
    found = {damage["kind"]: damage for damage in told["damaged"]}
    assert set(found) == {"run", "checkpoint", "dataset", *CACHED}
    assert all(damage["repair"] and damage["problem"] for damage in told["damaged"])
    mended = found["dataset"]["repair"].partition("else: ")[2]
    assert mended == f"harness data prepare folder --from {source} --as mine"
    assert found["run"]["problem"] == "stands in no manifest"
    repairs = {damage["path"]: damage["repair"] for damage in told["damaged"] if damage["kind"] == "run"}
    assert repairs == {str(extra): f"rm {extra}", str(within): f"rm -r {within}"}
    assert found["checkpoint"]["problem"] == "it is damaged, or no checkpoint of the harness"
    for path in [*paths[:-1], extra, work / "checkpoint.pt"]:
        assert str(path) in err
    # Folders of dead processes are gone by now; a file of a cache goes when its shard is written.
    assert told["left"] == [str(stored / "features" / ".x.tmp")]
    assert not stray.exists()
    code, out, err = invoke("doctor", "--store")
    assert (code, "every stored file" in out) == (1, False)
    assert "mended by: " in err
    shard = paths[0]
    shutil.copy(shard, shard.with_name("99999999.safetensors"))
    err = invoke("doctor", "--store")[2]
    assert f"{shard}: not what was written (and 1 more in its folder; --json names them)" in err
    monkeypatch.setenv("HARNESS_PLUGINS", "toy,datasets")
    code, _, err = invoke(*shlex.split(mended)[1:])
    assert code == 0, err
    code, out, err = invoke("doctor", "--store", "--json")
    assert "dataset" not in {damage["kind"] for damage in json.loads(out)["damaged"]}


def prepare(source: Path, data: Path) -> None:
    from harness.catalog import Catalog
    from harness.data import prepare as prepare_dataset

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_PLUGINS", "datasets")
        prepare_dataset("mine", "folder", {}, source, data, Catalog.load())


@pytest.mark.fault(20)
def test_a_run_of_a_newer_version_is_never_replaced(
    stored: Path, invoke: Callable[..., Any], toy_log: Any
) -> None:
    path = sorted(stored.glob("runs/*/result.json"))[0]
    newer = path.read_text().replace('"schema": 2', '"schema": 3')
    assert '"schema": 3' in newer
    path.write_text(newer)
    toy_log.clear()
    for more in ((), ("--force",)):
        code, _, err = invoke("run", "--matrix", "seeds", *HOUSE, *more)
        assert code == 1
        assert "written by a newer version (schema 3, known: 2)" in err.replace("\n", " ")
        assert path.read_text() == newer
    assert len(toy_log.events("training")) == 1  # the other run, forced
