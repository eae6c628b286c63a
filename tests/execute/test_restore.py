"""The model of a stored run embeds what the run stored, whatever its method, and refuses where it could not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from harness import manifest
from harness.catalog import Catalog
from harness.data import open_dataset, prepare
from harness.errors import DataError, InputError, RegistryError, StoreError, TrainingError
from harness.evaluate import embed
from harness.execute import Workspace
from harness.execute.assemble import frozen_part, open_galleries
from harness.execute.importance import importance
from harness.execute.restore import Restored, restore
from harness.execute.specification import stage_of
from harness.store import Store


def silent(*_: Any) -> None:
    """Tell nobody how far it is."""


def assert_embeds_what_was_stored(restored: Restored, workspace: Workspace) -> None:
    spec, dataset, model = restored.spec, restored.dataset, restored.model
    split = dataset.split("test", spec.limit)
    part = frozen_part(spec, model)
    gallery = open_galleries(spec, workspace, dataset, {"test": split}, model, part, silent)["test"]
    found = embed(split, model.image, model.text, gallery.images, gallery.texts)
    folder = Store(workspace.home).folder(restored.result.fingerprint)
    stored = load_file(folder / "embeddings.safetensors")
    np.testing.assert_array_equal(found[0], stored["image"])
    np.testing.assert_array_equal(found[1], stored["text"])
    # One by one, as for a picture that is no part of the dataset.
    one = restored.embed_image(dataset.pixels(split.records[-1]))
    np.testing.assert_allclose(one, stored["image"][-1], atol=1e-4)
    texts = restored.embed_captions(restored.prepare(split.captions[-3:]), split.captions[-3:])
    np.testing.assert_allclose(texts, stored["text"][-3:], atol=1e-5)


@pytest.mark.parametrize("label", ["one", "two", "cca"])
def test_the_real_methods_embed_what_they_stored(shapes: Any, label: str) -> None:
    restored = shapes.restore(label)
    assert restored.spec.fingerprint == shapes.runs[label]
    assert (restored.part is None) == (label == "two")
    assert_embeds_what_was_stored(restored, shapes.workspace)


def test_every_kind_of_run_embeds_what_it_stored(toy: Any, toy_log: Any) -> None:
    plan = toy.plan(limit=8)
    toy.execute(plan)
    toy_log.clear()
    for cell in plan.cells:
        workspace = toy.workspace()
        folder = toy.write().parent
        restored = restore(cell.run.fingerprint, workspace, Store(toy.home), folder)
        assert restored.spec == cell.run
        assert_embeds_what_was_stored(restored, workspace)
    # No loss is built: one may ask for the features of all train images.
    assert toy_log.events("training") == []


def test_the_parameters_of_a_loss_are_read_back_into_its_stage(shapes: Any) -> None:
    stage = shapes.restore("two").spec.stage
    assert dict(stage.losses) == {"instance": 1.0}
    assert {name: dict(own) for name, own in stage.settings.items()} == {"instance": {"dropout": 0.5}}
    assert stage_of(json.loads(stage.model_dump_json())) == stage


@pytest.mark.parametrize("label", ["one", "two", "cca"])
def test_a_word_counts_by_what_the_score_loses_without_it(shapes: Any, label: str) -> None:
    restored = shapes.restore(label)
    record = restored.dataset.split("test").records[0]
    pixels = restored.dataset.pixels(record)
    caption = " ".join(["zyx-unknown,", *record.captions[0].split()[:3], "zyx-unknown,"])
    found = importance(restored, pixels, caption)
    words = caption.split()
    assert [entry.word for entry in found.words] == words
    assert [entry.state for entry in found.words] == ["unknown", "read", "read", "read", "unknown"]

    def score(text: str) -> float:
        row = restored.embed_captions(restored.prepare([text]), [text])[0]
        return float(row.astype(float) @ restored.embed_image(pixels).astype(float))

    assert found.score == pytest.approx(score(caption), abs=1e-5)
    for place, entry in enumerate(found.words):
        rest = " ".join(words[:place] + words[place + 1 :])
        assert entry.change == pytest.approx(score(rest) - score(caption), abs=1e-5)
    assert found.words[0].change == 0.0
    assert any(entry.change != 0.0 for entry in found.words)


def test_equal_words_are_taken_away_one_at_a_time_and_what_is_cut_is_unread(shapes: Any) -> None:
    restored = shapes.restore("one")
    record = restored.dataset.split("test").records[0]
    known = record.captions[0].split()[0]
    found = importance(restored, restored.dataset.pixels(record), "  ".join([known] * 10))
    # Eight words are read; of ten equal ones, each can go without that the eight change.
    assert [entry.state for entry in found.words] == ["unread"] * 10
    found = importance(restored, restored.dataset.pixels(record), " ".join([known] * 8))
    assert [entry.state for entry in found.words] == ["read"] * 8
    with pytest.raises(InputError, match="no word"):
        importance(restored, restored.dataset.pixels(record), " \n")


def test_an_only_word_can_be_taken_away(shapes: Any) -> None:
    restored = shapes.restore("cca")
    record = restored.dataset.split("test").records[0]
    (entry,) = importance(restored, restored.dataset.pixels(record), record.captions[0].split()[0]).words
    assert entry.state == "read"


def revised(catalog: Catalog, kind: str, name: str, **fields: Any) -> Catalog:
    components: Any = dict(catalog.components)
    entry = components[kind, name]
    components[kind, name] = replace(entry, spec=replace(entry.spec, **fields))
    return replace(catalog, components=MappingProxyType(components))


@pytest.mark.parametrize(
    ("kind", "name"), [("encoder", "timm"), ("encoder", "text-cnn"), ("dataset", "shapes")]
)
def test_a_component_of_another_revision_is_refused(shapes: Any, kind: str, name: str) -> None:
    catalog = revised(shapes.workspace.catalog, kind, name, revision=99)
    with pytest.raises(StoreError, match=f"{kind} '{name}'; installed is revision 99"):
        shapes.restore("one", catalog=catalog)


@pytest.fixture
def toy_run(toy: Any) -> tuple[Any, str, Path]:
    (outcome,) = toy.execute(toy.plan(matrix="one"))
    return toy, outcome.cell.run.fingerprint, Store(toy.home).folder(outcome.cell.run.fingerprint)


def test_weights_that_are_damaged_or_foreign_are_refused(toy_run: tuple[Any, str, Path]) -> None:
    toy, fingerprint, folder = toy_run
    again = partial(restore, fingerprint, toy.workspace(), Store(toy.home), folder)
    assert again().result.fingerprint == fingerprint
    weights = load_file(folder / "weights.safetensors")
    save_file({name: np.asarray(-tensor) for name, tensor in weights.items()}, folder / "weights.safetensors")
    with pytest.raises(StoreError, match=r"weights\.safetensors is missing or damaged"):
        again()
    # Whole, but not the weights of these embeddings: what a changed library or backbone looks like.
    seal(folder)
    with pytest.raises(StoreError, match=r"embeds the .* 'test0' otherwise than when it was stored"):
        again()
    save_file({n: t for n, t in weights.items() if n != "image.top.bias"}, folder / "weights.safetensors")
    seal(folder)
    with pytest.raises(TrainingError, match=r"missing \['image\.top\.bias'\]"):
        again()


def seal(folder: Path) -> None:
    """Write the checksums of what lies in a run's folder now."""
    manifest.seal(folder, {})


def test_a_result_of_another_version_is_refused(toy_run: tuple[Any, str, Path]) -> None:
    toy, fingerprint, folder = toy_run
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    changes: list[tuple[str, Callable[[Any], None]]] = [
        ("the same specification is", lambda spec: spec.update(dim=9)),
        ("stored by another version.*lustre", lambda spec: spec["stage"].update(lustre=1)),
        ("stored by another version.*text", lambda spec: spec.pop("text")),
    ]
    for message, change in changes:
        altered = json.loads(json.dumps(result))
        change(altered["spec"])
        (folder / "result.json").write_text(json.dumps(altered), encoding="utf-8")
        seal(folder)
        with pytest.raises(StoreError, match=message):
            restore(fingerprint, toy.workspace(), Store(toy.home), folder)


def test_a_file_that_a_parameter_names_must_be_the_one_of_then(toy: Any) -> None:
    folder = toy.write().parent
    (folder / "words.txt").write_text("red 1 2\n", encoding="utf-8")
    plan = toy.plan(("words: {use: words}", 'words: {use: words, fault: "file:words.txt"}'), matrix="one")
    (outcome,) = toy.execute(plan)
    again = partial(restore, outcome.cell.run.fingerprint, toy.workspace(), Store(toy.home), folder)
    assert again().spec == outcome.cell.run
    (folder / "words.txt").write_text("red 2 1\n", encoding="utf-8")
    with pytest.raises(StoreError, match=r"file:words.txt is not the file that run"):
        again()
    (folder / "words.txt").unlink()
    with pytest.raises(RegistryError, match=r"words\.txt"):
        again()


def test_a_run_without_its_dataset_says_so(shapes: Any, tmp_path: Path) -> None:
    from PIL import Image

    source, home = tmp_path / "photographs", tmp_path / "home"
    (source / "images").mkdir(parents=True)
    lines = ["image,caption,split"]
    for place, split in enumerate(["train"] * 8 + ["val"] * 2 + ["test"] * 2):
        noise = np.random.default_rng(place).integers(0, 256, (4 + place, 9, 3), dtype=np.uint8)
        Image.fromarray(noise).save(source / "images" / f"{place}.png")
        lines.append(f"{place}.png,a {('dark', 'light')[place % 2]} picture,{split}")
    (source / "captions.csv").write_text("\n".join(lines), encoding="utf-8")
    text = (shapes.folder / "registry.yaml").read_text(encoding="utf-8")
    text = text.replace("shapes-tiny: {use: shapes, images: 64, size: 32}", "own: {use: folder}")
    registry = tmp_path / "registry.yaml"
    registry.write_text(text.replace("shapes-tiny", "own"), encoding="utf-8")
    command = "harness run --matrix 'of two words' --force"
    workspace = replace(shapes.workspace, home=home, data=home / "data", command=command)
    prepare("own", "folder", {}, source, workspace.data, workspace.catalog)
    (outcome,) = shapes.execute(shapes.make(registry, workspace, only={"variant": ["cca"]}), workspace)
    run = outcome.cell.run
    assert open_dataset(run.dataset, workspace.data, workspace.catalog).passport == run.protocol
    assert restore(run.fingerprint, workspace, Store(home), tmp_path).spec == run
    needs = f"run {run.fingerprint} needs its dataset"

    lines[1] = lines[1].replace("picture", "photograph")
    (source / "captions.csv").write_text("\n".join(lines), encoding="utf-8")
    prepare("own", "folder", {}, source, workspace.data, workspace.catalog)
    with pytest.raises(DataError, match=f"{needs}.*other records than then") as caught:
        restore(run.fingerprint, workspace, Store(home), tmp_path)
    now = open_dataset(run.dataset, workspace.data, workspace.catalog).passport
    assert f"({run.protocol[:16]} then, {now[:16]} now; its test images" in caught.value.message
    assert f"harness data prepare folder --from {source} --as own" in caught.value.hint
    assert caught.value.hint.endswith("Or run it again: harness run --matrix 'of two words'")
    (source / "images" / "11.png").rename(source / "images" / "new.png")
    lines[-1] = lines[-1].replace("11.png", "new.png")
    (source / "captions.csv").write_text("\n".join(lines), encoding="utf-8")
    prepare("own", "folder", {}, source, workspace.data, workspace.catalog)
    ids = "first other test image: '11.png' then, 'new.png' now; first other test caption: '11.png#0' then, 'new.png#0'"
    with pytest.raises(DataError, match=f"{needs}.*{ids} now"):
        restore(run.fingerprint, workspace, Store(home), tmp_path)
    elsewhere = replace(workspace, data=tmp_path / "nowhere")
    with pytest.raises(DataError, match=f"{needs}.*is not prepared"):
        restore(run.fingerprint, elsewhere, Store(home), tmp_path)
