"""Figures of stored runs, computed anew: the same to the bit, without what trained them, and nothing lost."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.catalog import Catalog
from harness.errors import InputError, ParameterError, StoreError
from harness.evaluate import judge, write_embeddings, write_ranks
from harness.execute.republish import republish
from harness.execute.rescore import Rescored, Rescorer
from harness.execute.rows import publish_rows
from harness.execute.submit import publish_imported
from harness.leaderboard import check, read_rows
from harness.passport import gallery, passport
from harness.queries import FILE, read_queries
from harness.ranking import normalize, rank
from harness.registry import Registry
from harness.store import Result, Store


def files(folder: Path) -> dict[str, tuple[str, int]]:
    """Return content and inode of each file."""
    return {
        path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_ino)
        for path in folder.iterdir()
    }


def judges_only(catalog: Catalog) -> Catalog:
    """The plugins without the encoders and losses that trained the runs."""
    kept = {key: entry for key, entry in catalog.components.items() if key[0] in ("dataset", "evaluator")}
    return replace(catalog, components=kept)


def spoil(store: Store, result: Result, **figures: Any) -> None:
    """Store a run with other figures; its other files stay."""
    store.update(replace(result, figures={**result.figures, **figures}))


@pytest.fixture
def trained(toy: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any, Store]:
    """A run that was really trained and scored; from here on no image can be drawn and no encoder found."""
    (outcome,) = toy.execute(toy.plan(matrix="one"))
    from harness_toy.data import Toys

    def drawn(*_: Any) -> Any:
        raise AssertionError("an image was read")

    monkeypatch.setattr(Toys, "pixels", drawn)
    return toy, outcome.result, Store(toy.home)


def rescorer(toy: Any, *changes: tuple[str, str], **options: Any) -> Rescorer:
    workspace = replace(toy.workspace(), catalog=judges_only(toy.catalog))
    return Rescorer(Registry.load(toy.write(*changes)), workspace, Store(toy.home), **options)


def test_figures_of_a_trained_run_come_out_as_they_were_without_what_trained_it(
    trained: tuple[Any, Result, Store],
) -> None:
    toy, result, store = trained
    before = files(store.folder(result.fingerprint))
    found = rescorer(toy).rescore(result.fingerprint)
    assert found.problems == ()
    assert {figure.fate for figure in found.figures} == {"same"}
    # Nothing changed, so nothing was written.
    assert files(store.folder(result.fingerprint)) == before

    wrong = {**result.figures["recall"], "values": {"rsum": 1.0, "nonsense": 2.0}}
    other = {"use": "hits", "revision": 1, "params": {"k": 3}, "values": {"x": 0.5}, "ranked": False}
    spoil(store, result, recall=wrong, kept=other)
    found = rescorer(
        toy, ("  recall: {use: hits}\n", "  recall: {use: hits}\n  kept: {use: nobody}\n")
    ).rescore(result.fingerprint)
    assert {figure.name: figure.fate for figure in found.figures} == {
        "rsum": "changed",
        "nonsense": "gone",
        "i2t.recall@1": "new",
        "t2i.recall@1": "new",
    }
    assert any("'kept' is left as it is" in note for note in found.notes)
    now = store.result(result.fingerprint)
    assert now.figures == {**result.figures, "kept": other}
    assert store.damage(result.fingerprint) == []
    after = files(store.folder(result.fingerprint))
    assert {name for name in after if after[name] != before[name]} == {
        "result.json",
        "spec.json",
        "manifest.json",
        FILE,
    }
    assert after["result.json"][0] != before["result.json"][0]
    spoil(store, now, recall=result.figures["recall"])


def test_an_evaluator_that_the_registry_lost_is_asked_as_it_was(trained: tuple[Any, Result, Store]) -> None:
    toy, result, store = trained
    assert rescorer(toy, evaluators=["five"]).rescore(result.fingerprint).result is not None
    five = store.result(result.fingerprint).figures["five"]
    spoil(store, store.result(result.fingerprint), five={**five, "values": {}})
    found = rescorer(toy, ("  five: {use: hits, k: 5}\n", "")).rescore(result.fingerprint)
    assert found.notes == found.problems == ()
    assert store.result(result.fingerprint).figures["five"] == five


def test_new_evaluators_and_parameters_stand_beside_the_others(trained: tuple[Any, Result, Store]) -> None:
    toy, result, store = trained
    found = rescorer(toy, evaluators=["five"], params={"k": 3}).rescore(result.fingerprint)
    assert {(figure.evaluator, figure.fate) for figure in found.figures} == {("five (k: 3)", "new")}
    figures = store.result(result.fingerprint).figures
    assert figures["recall"] == result.figures["recall"]
    assert figures["five (k: 3)"]["params"] == {"k": 3}
    again = rescorer(toy).rescore(result.fingerprint)
    assert {figure.fate for figure in again.figures} == {"same"}
    assert {figure.evaluator for figure in again.figures} == {"recall", "five (k: 3)"}
    before = files(store.folder(result.fingerprint))
    dry = rescorer(toy, evaluators=["five"], write=False).rescore(result.fingerprint)
    assert {figure.fate for figure in dry.figures} == {"new"}
    assert files(store.folder(result.fingerprint)) == before

    with pytest.raises(InputError, match="has no evaluator 'fife'; did you mean 'five'"):
        rescorer(toy, evaluators=["fife"])
    with pytest.raises(ParameterError, match="takes no parameter 'key'"):
        rescorer(toy, evaluators=["five"], params={"key": 3})
    with pytest.raises(InputError, match="no evaluator that they are for"):
        rescorer(toy, params={"k": 3})


def test_a_failing_evaluator_harms_no_other_figure_and_no_checkpoint(
    trained: tuple[Any, Result, Store],
) -> None:
    toy, result, store = trained
    mark = store.work(result.fingerprint) / "forced"
    mark.parent.mkdir(parents=True)
    mark.touch()
    found = rescorer(toy, evaluators=["raising", "five"]).rescore(result.fingerprint)
    assert found.problems == (
        "evaluator 'raising': evaluator 'raising' failed: LookupError: boom in evaluate",
    )
    assert set(store.result(result.fingerprint).figures) == {"recall", "five"}
    assert mark.exists()


def test_a_gallery_that_is_another_one_now_is_refused(
    trained: tuple[Any, Result, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness_toy.data import Toys

    toy, result, store = trained
    old = replace(result, protocol={})
    store.update(old)
    assert rescorer(toy).rescore(result.fingerprint).problems == ()
    store.update(replace(old, spec={**old.spec, "protocol": "another"}))
    (problem,) = rescorer(toy).rescore(result.fingerprint).problems
    assert "has other test images or captions" in problem

    store.update(result)
    own = Toys.annotations
    monkeypatch.setattr(Toys, "annotations", lambda self, source: own(Toys(twist="!"), source))
    before = files(store.folder(result.fingerprint))
    (problem,) = rescorer(toy, evaluators=["five"]).rescore(result.fingerprint).problems
    assert "dataset 'toys' has other test images or captions" in problem
    assert re.search(r"\(([0-9a-f]{16}) then, (?!\1)[0-9a-f]{16} now; ", problem)
    assert "its test images and captions have the ids of then" in problem
    assert files(store.folder(result.fingerprint)) == before


@pytest.mark.parametrize("name", ["result.json", "ranks.parquet", "embeddings.safetensors", "manifest.json"])
def test_a_damaged_run_is_named_and_left_alone(trained: tuple[Any, Result, Store], name: str) -> None:
    toy, result, store = trained
    path = store.folder(result.fingerprint) / name
    path.write_bytes(path.read_bytes()[:-9])
    before = files(store.folder(result.fingerprint))
    found = rescorer(toy).rescore(result.fingerprint)
    assert found.result is None
    assert any(name in problem for problem in found.problems)
    assert files(store.folder(result.fingerprint)) == before


def test_rows_get_the_figures_that_their_runs_have_now(toy: Any, tmp_path: Path) -> None:
    plan = toy.plan(matrix="one")
    (outcome,) = toy.execute(plan)
    folder = tmp_path / "leaderboards"
    publish_rows([outcome], plan.runs, home=toy.home, folder=folder)
    (old,) = read_rows(folder / "results.jsonl")
    found = rescorer(toy, ("recall: {use: hits}", "recall: {use: hits, k: 2}")).rescore(old.fingerprint)
    five = rescorer(toy, evaluators=["five"]).rescore(old.fingerprint)
    assert found.result is not None
    assert five.result is not None
    republish([five.result], ["five"], Store(toy.home), folder)
    (new,) = read_rows(folder / "results.jsonl")
    assert new.evaluators == {"recall": "hits 1 (k: 2)", "five": "hits 1 (k: 5)"}
    assert "recall.i2t.recall@1" not in new.metrics
    for name, entry in five.result.figures.items():
        for figure, value in entry["values"].items():
            assert new.metrics[f"{name}.{figure}"] == value
    assert replace(new, metrics={}, evaluators={}) == replace(old, metrics={}, evaluators={})
    assert check(folder) == []


def planted(scenes: Any) -> tuple[Result, Any]:
    """Store embeddings as a run whose components nobody has; return its result and its ranking."""
    split, image = scenes.split, scenes.image.copy()
    image[1::2] = image[::2]  # so that scores tie
    ranked = rank(
        split,
        normalize(image, split.image_ids, "image"),
        normalize(scenes.text, split.caption_ids, "caption"),
    )
    entry = scenes.registry.datasets["scenes"]
    revision = scenes.workspace.catalog.find("dataset", "shapes").spec.revision
    part = {"name": "scenes", "use": "shapes", "revision": revision, "params": dict(entry.params)}
    parts = gallery(split, lambda record: record.image)
    result = Result(
        fingerprint="planted",
        spec={"dataset": {**part, "title": "Scenes", "files": {}}, "image": {"use": "gone"}},
        dataset="scenes",
        passport=passport(parts),
        protocol=parts,
        images=len(split.records),
        captions=len(split.captions),
        limit=None,
        figures={},
        val_rsum=0.0,
        epochs=1,
        best_epoch=1,
        cost={},
        provenance={},
    )

    def write(folder: Path) -> None:
        write_ranks(folder / "ranks.parquet", ranked)
        write_embeddings(folder / "embeddings.safetensors", ranked)

    scenes.store.publish(result, write)
    return result, ranked


def test_recall_folds_and_tie_policies_are_those_of_the_ranking_itself(scenes: Any) -> None:
    from harness_recall.recall import Recall
    from harness_shapes.twins import Twins

    _, ranked = planted(scenes)

    def rescore(*names: str, **params: Any) -> Rescored:
        scorer = Rescorer(scenes.registry, scenes.workspace, scenes.store, evaluators=names, params=params)
        found = scorer.rescore("planted")
        assert found.problems == ()
        return found

    (note,) = rescore().notes
    assert "no figures to compute anew" in note
    rescore("recall", "quarters", "twins")
    rescore("recall", policy="expected")
    figures = scenes.store.result("planted").figures
    known = {
        "recall": Recall(),
        "quarters": Recall(folds=4),
        'recall (policy: "expected")': Recall(policy="expected"),
        "twins": Twins(),
    }
    for name, evaluator in known.items():
        assert figures[name]["values"] == judge(name, evaluator, ranked)
    assert figures["recall"]["values"]["rsum"] < figures['recall (policy: "expected")']["values"]["rsum"]
    queries = read_queries(scenes.store.checked("planted", FILE))
    assert set(queries.ranks) == {"recall", "quarters"}
    assert np.array_equal(queries.ranks["recall"][1], ranked.t2i.rank())


def test_an_evaluator_that_knows_none_of_the_images_says_so(scenes: Any, tmp_path: Path) -> None:
    told = "evaluator 'cxc' has no figure on 'scenes': its labels know none of these images"
    file = scenes.write(tmp_path / "a.npz")
    assert told in scenes.examine(file, evaluators=["recall", "cxc"]).notes
    result = scenes.keep(file)
    found = Rescorer(scenes.registry, scenes.workspace, scenes.store, evaluators=["cxc"]).rescore(
        result.fingerprint
    )
    assert (found.figures, found.notes, found.problems) == ((), (told,), ())
    # Of evaluators that nobody asked for, it goes without saying.
    again = Rescorer(scenes.registry, scenes.workspace, scenes.store).rescore(result.fingerprint)
    assert again.notes == ()


def test_imports_are_rescored_too(scenes: Any, tmp_path: Path) -> None:
    result = scenes.keep(scenes.write(tmp_path / "a.npz"))
    only = tmp_path / "ranks.parquet"
    write_ranks(only, scenes.examine(tmp_path / "a.npz").ranking)
    ranks = scenes.keep(only, method="Ranks")
    folder = tmp_path / "leaderboards"
    for each in (result, ranks):
        publish_imported(each, scenes.store, folder)
    scorer = Rescorer(scenes.registry, scenes.workspace, scenes.store, evaluators=["ten", "quarters"])
    whole, partial = (scorer.rescore(each.fingerprint) for each in (result, ranks))
    assert whole.notes == whole.problems == partial.problems == ()
    assert any("'quarters' is left out" in note for note in partial.notes)
    again = Rescorer(scenes.registry, scenes.workspace, scenes.store)
    for each in (result, ranks):
        found = again.rescore(each.fingerprint)
        assert {figure.fate for figure in found.figures} == {"same"}
    fresh = [found.result for found in (whole, partial) if found.result is not None]
    republish(fresh, scorer.evaluators, scenes.store, folder)
    rows = {row.title: row for row in read_rows(folder / "results.jsonl")}
    for title in ("Theirs", "Ranks"):
        assert rows[title].metrics["ten.i2t.recall@10"] == rows[title].metrics["recall.i2t.recall@10"]
        assert rows[title].evaluators["ten"] == "recall 1 (k: [10])"
    assert check(folder) == []


def test_a_newer_result_is_left_alone(trained: tuple[Any, Result, Store]) -> None:
    toy, result, store = trained
    path = store.folder(result.fingerprint) / "result.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    store.update(replace(result, schema=99))
    with pytest.raises(StoreError, match="newer version"):
        store.result(result.fingerprint)
    (problem,) = rescorer(toy).rescore(result.fingerprint).problems
    assert "newer version" in problem
    assert json.loads(path.read_text(encoding="utf-8")) == {**raw, "schema": 99}
