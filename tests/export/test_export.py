"""Exports: what other people's readers demand of them, and text that means harm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from harness.export import every_eval_ever, facts_of, model_card
from harness.export.every_eval_ever import slug
from harness.export.readings import evaluators, in_order, reading
from harness.queries import FILE, Queries, write_queries
from harness.specs import Scale
from harness.statistics import Sample, bootstrap
from harness.store import Result, Store

HARM = [
    "../../etc/passwd",
    "---\nlicense: mit\n---",
    "<script>alert(1)</script>",
    "a | b | [c](http://x)",
    "\x1b[31m\u202ered\x00",
    "&anchor *alias !!python/object/apply:os.system ['x']",
    '{"a": 1} # }',
    "...",
    "表 é",
]


def stored(tmp_path: Path, *, method: str = "Theirs", **fields: Any) -> Store:
    """Store an imported run with ranks of 20 images, 40 captions; recall@1 of its images is 0.25."""
    owner = np.repeat(np.arange(20), 2)
    i2t, t2i = np.repeat([1, 3, 7, 30], 5), np.tile([1, 2, 6, 20], 10)
    values = {
        **Sample(i2t=i2t, t2i=t2i, owner=owner).figures(),
        "i2t.median_rank": 5.0,
        "t2i.mean_rank": 7.25,
    }
    entry = {"use": "recall", "revision": 1, "params": {}, "ranked": True, "values": values}
    custom = {"use": "ours", "revision": 2, "params": {"x": [1]}, "ranked": False}
    result = Result(
        **{
            "fingerprint": "f00d",
            "spec": {
                "kind": "import",
                "method": method,
                "source": "https://example.org/paper",
                "split": "test",
                "dataset": {"name": "toys", "use": "toys", "title": "Toys"},
            },
            "dataset": "toys",
            "passport": "abcd",
            "protocol": {"gallery": "test: 20 images", "scores": "cosine"},
            "images": 20,
            "captions": 40,
            "limit": None,
            "figures": {
                "recall": entry,
                "ours": {**custom, "values": {"agreement": 0.5, "pairs": 12.0, "odd": 3.0}},
            },
            "val_rsum": None,
            "epochs": 0,
            "best_epoch": 0,
            "cost": {},
            "provenance": {
                "command": "harness import x.npz --home /secret",
                "versions": {"retrieval-harness": "0.1.0", "numpy": "2"},
                "finished": "2026-11-25T09:00:00+00:00",
                "hardware": "unknown",
                "revision": "",
            },
            **fields,
        }
    )
    store = Store(tmp_path / "home")
    queries = Queries(owner=owner, ranks={"recall": (i2t, t2i)})
    store.publish(result, lambda folder: write_queries(folder / FILE, queries))
    return store


SCALES = {
    "ours": {
        "agreement": Scale(better="higher", worst=-1.0, best=1.0),
        "pairs": Scale(better="neither"),
    }
}


def facts(tmp_path: Path, **fields: Any) -> Any:
    from harness.execute.attempts import public

    store = stored(tmp_path, **fields)
    return facts_of(store, "f00d", organization="Lab", scales=SCALES, public=public)


def test_a_record_has_what_the_schema_of_every_eval_ever_demands(tmp_path: Path) -> None:
    told = facts(tmp_path)
    path, text = every_eval_ever(told, now=1_700_000_000.9)
    assert (path, text) == every_eval_ever(told, now=1_700_000_000.9)
    folder, name = path.rsplit("/", 1)
    assert folder == "toys/Lab/Theirs"
    assert len(name) == len("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx.json")
    record = json.loads(text)
    assert set(record) == {
        "schema_version",
        "evaluation_id",
        "evaluation_timestamp",
        "retrieved_timestamp",
        "source_metadata",
        "eval_library",
        "model_info",
        "evaluation_results",
    }
    assert record["retrieved_timestamp"] == "1700000000"
    assert record["eval_library"] == {"name": "retrieval-harness", "version": "0.1.0"}
    source = record["source_metadata"]
    assert (source["source_type"], source["evaluator_relationship"]) == ("evaluation_run", "other")
    assert source["additional_details"]["passport"] == "abcd"
    assert source["additional_details"]["command"] == "harness import x.npz"
    model = record["model_info"]
    assert (model["name"], model["id"], model["developer"]) == ("Theirs", "Lab/Theirs", "Lab")
    assert model["additional_details"]["deployment_type"] in (
        "self_deployed",
        "externally_managed",
        "unknown",
    )
    assert model["additional_details"]["model_availability"] == "unknown"
    details = [source, model, *record["evaluation_results"]]
    details += [result["metric_config"] for result in record["evaluation_results"]]
    for each in details:
        for value in each.get("additional_details", {}).values():
            assert isinstance(value, str)
    assert len({result["evaluation_result_id"] for result in record["evaluation_results"]}) == 11
    for result in record["evaluation_results"]:
        config, score = result["metric_config"], result["score_details"]["score"]
        assert isinstance(config["lower_is_better"], bool)
        assert config["score_type"] == "continuous"
        low, high = (
            float(config[end].replace("Infinity", "inf")) if isinstance(config[end], str) else config[end]
            for end in ("min_score", "max_score")
        )
        assert low <= score <= high


def test_figures_carry_names_bounds_and_the_intervals_of_their_ranks(tmp_path: Path) -> None:
    told = facts(tmp_path)
    record = json.loads(every_eval_ever(told)[1])
    found = {result["evaluation_result_id"]: result for result in record["evaluation_results"]}
    recall = found["f00d.recall.i2t.recall@5"]
    assert recall["evaluation_name"] == "toys.recall"
    assert recall["metric_config"]["metric_name"] == "Image-to-text R@5"
    assert recall["metric_config"]["metric_kind"] == "recall_at_5"
    assert recall["metric_config"]["metric_parameters"] == {"side": "i2t", "k": 5}
    assert recall["score_details"]["score"] == 0.5
    ranks = (np.repeat([1, 3, 7, 30], 5), np.tile([1, 2, 6, 20], 10), np.repeat(np.arange(20), 2))
    interval = bootstrap([Sample(*ranks)])["i2t.recall@5"]
    shown = recall["score_details"]["uncertainty"]["confidence_interval"]
    assert (shown["lower"], shown["upper"], shown["confidence_level"]) == (interval.low, interval.high, 0.95)
    assert recall["score_details"]["uncertainty"]["num_samples"] == 20
    rsum = found["f00d.recall.rsum"]
    assert (rsum["metric_config"]["min_score"], rsum["metric_config"]["max_score"]) == (0.0, 600.0)
    assert "uncertainty" in rsum["score_details"]
    median = found["f00d.recall.i2t.median_rank"]
    assert median["metric_config"]["lower_is_better"] is True
    assert median["metric_config"]["max_score"] == 40.0
    assert found["f00d.recall.t2i.mean_rank"]["metric_config"]["max_score"] == 20.0
    assert "uncertainty" not in median["score_details"]
    agreement = found["f00d.ours.agreement"]["metric_config"]
    assert (agreement["min_score"], agreement["max_score"]) == (-1.0, 1.0)
    assert found["f00d.ours.odd"]["metric_config"]["max_score"] == "Infinity"
    # A count is no score.
    assert "f00d.ours.pairs" not in found


def test_an_interval_that_was_stored_with_a_figure_is_its_own(tmp_path: Path) -> None:
    ours = {
        "use": "ours",
        "revision": 2,
        "params": {},
        "ranked": False,
        "values": {"agreement": 0.5, "odd": 3.0},
    }
    told = facts(tmp_path, figures={"ours": {**ours, "intervals": {"agreement": [0.375, 0.625]}}})
    record = json.loads(every_eval_ever(told)[1])
    found = {
        result["evaluation_result_id"]: result["score_details"] for result in record["evaluation_results"]
    }
    shown = found["f00d.ours.agreement"]["uncertainty"]["confidence_interval"]
    assert (shown["lower"], shown["upper"]) == (0.375, 0.625)
    assert "uncertainty" not in found["f00d.ours.odd"]


def test_a_figure_that_is_not_that_of_the_ranks_gets_no_interval(tmp_path: Path) -> None:
    told = facts(tmp_path)
    values = dict(told.result.figures["recall"]["values"])
    values["i2t.recall@5"] += 0.01
    entry = {**told.result.figures["recall"], "values": values}
    again = facts(tmp_path / "other", figures={"recall": entry})
    shown = {score.figure: score.interval for score in again.scores}
    assert shown["i2t.recall@5"] is None
    assert shown["i2t.recall@10"] is not None


def test_a_card_is_read_by_the_hub_library_and_says_percent(tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    name, text = model_card(facts(tmp_path))
    assert name == "Theirs-f00d.md"
    card = hub.ModelCard(text)
    results = {result.metric_name: result for result in card.data.eval_results}
    assert card.data.model_name == "Theirs"
    found = results["Image-to-text R@5 (%)"]
    assert (found.task_type, found.dataset_type, found.dataset_split) == (
        "image-text-retrieval",
        "toys",
        "test",
    )
    assert (found.metric_type, found.metric_value, found.verified) == ("recall_at_5", 50.0, False)
    assert found.metric_args["interval_95"][0] < 50.0 < found.metric_args["interval_95"][1]
    assert found.dataset_args["passport"] == "abcd"
    assert found.source_url == "https://example.org/paper"
    assert "| recall      | Image-to-text R&#64;5" in text
    assert "--home" not in text


def test_a_card_lists_a_type_once_and_shows_the_other_policy_in_its_table(tmp_path: Path) -> None:
    told = facts(tmp_path)
    entry = told.result.figures["recall"]
    more = {"expected.rsum": 321.0, "expected.i2t.recall@1": 0.26}
    told = facts(tmp_path / "more", figures={"recall": {**entry, "values": {**entry["values"], **more}}})
    front, body = model_card(told)[1].removeprefix("---\n").split("\n---\n", 1)
    (found,) = yaml.safe_load(front)["model-index"][0]["results"]
    listed = [(m["type"], m["args"].get("side")) for m in found["metrics"]]
    assert len(set(listed)) == len(listed)
    assert listed.count(("rsum", None)) == 1
    assert "rSum, expected over ties" in body


@pytest.mark.parametrize("text", HARM)
def test_text_that_means_harm_stays_text(tmp_path: Path, text: str) -> None:
    told = facts(
        tmp_path,
        method=text,
        spec={
            "kind": "import",
            "method": text,
            "source": text,
            "split": "test",
            "dataset": {"name": "toys", "use": "toys", "title": text},
        },
    )
    path, record = every_eval_ever(told)
    assert json.loads(record)["model_info"]["name"] == text
    name, card = model_card(told)
    for place in (path, name):
        assert place.isascii()
        assert ".." not in place.split("/")
        assert not any(part.startswith(".") for part in place.split("/"))
    front, body = card.removeprefix("---\n").split("\n---\n", 1)
    metadata = yaml.safe_load(front)
    assert set(metadata) == {"tags", "model-index"}
    (model,) = metadata["model-index"]
    assert "\n" not in model["name"]
    assert "<script" not in body
    assert "[c](" not in body
    assert "\n---" not in body
    assert not set("\x1b\x00\u202e") & set(card)
    for line in body.split("\n"):
        if line.startswith("| "):
            assert line.count(" | ") == 3


def test_slugs_stay_inside_their_folder() -> None:
    assert [slug(text) for text in ("", "..", "a/../b", "é", "x" * 200)] == [
        "unknown",
        "unknown",
        "a-..-b",
        "unknown",
        "x" * 80,
    ]


def test_a_figure_outside_the_bounds_of_its_name_is_another_one() -> None:
    read = reading("i2t.recall@1", 42.0, images=5, captions=5, recalls=6, scales={})
    assert read is not None
    assert (read.unit, read.high) == ("points", float("inf"))
    assert reading("i2t.queries", 3.0, images=5, captions=5, recalls=0, scales={}) is None


def test_figures_are_ordered_as_tables_have_them() -> None:
    names = [
        *("i2t.mean_rank", "t2i.recall@10", "rsum", "expected.i2t.recall@1", "t2i.recall@5", "i2t.recall@10"),
        *(
            "i2t.recall@1",
            "t2i.median_rank",
            "i2t.median_rank",
            "t2i.recall@1",
            "i2t.recall@5",
            "expected.rsum",
        ),
        *("t2i.mean_rank", "queries@10", "queries@9", "i2t.map@r"),
    ]
    ordered = in_order(names)
    assert ordered[:7] == [*(f"{side}.recall@{k}" for side in ("i2t", "t2i") for k in (1, 5, 10)), "rsum"]
    assert ordered[7:11] == [f"{side}.{kind}_rank" for kind in ("median", "mean") for side in ("i2t", "t2i")]
    assert ordered[11:] == ["i2t.map@r", "queries@9", "queries@10", "expected.i2t.recall@1", "expected.rsum"]
    uses = {"cxc": {"use": "cxc"}, "recall-1k": {"use": "recall"}, "recall": {"use": "recall"}}
    assert evaluators(uses) == ["recall", "recall-1k", "cxc"]


@pytest.mark.parametrize(
    ("parts", "told"), [({}, None), ({"accumulate": 1}, None), ({"accumulate": 4}, "embedded in 4 parts")]
)
def test_a_batch_in_parts_is_told(tmp_path: Path, parts: dict[str, int], told: str | None) -> None:
    provenance = {"command": "harness run --accumulate auto", "hardware": "unknown", **parts}
    assert facts(tmp_path, provenance=provenance).details().get("batch") == told


def test_a_trained_run_is_called_by_its_parts(tmp_path: Path) -> None:
    spec = {
        "dataset": {"name": "toys", "use": "toys", "title": "Toys"},
        "image": {"name": "image", "title": "ResNet-50"},
        "text": {"name": "words", "title": ""},
        "losses": [{"name": "instance"}, {"name": "ranking"}],
        "seed": 3,
    }
    told = facts(tmp_path, spec=spec, limit=8)
    assert told.name == "ResNet-50 and words, instance + ranking"
    assert told.details()["limit"] == "first 8 images"
    record = json.loads(every_eval_ever(told)[1])
    assert record["source_metadata"]["evaluator_relationship"] == "first_party"
