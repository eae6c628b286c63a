"""`harness compare`: figures, a test, the queries that each wins, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Invoke = Callable[..., tuple[int, str, str]]
Plant = Callable[..., str]


@pytest.fixture
def told(invoke: Invoke) -> Callable[..., Any]:
    """Run `compare --json` and read what it says."""

    def run(*arguments: str) -> Any:
        code, out, err = invoke("compare", *arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    return run


def test_a_better_run_is_told_apart(planted: Plant, told: Callable[..., Any], invoke: Invoke) -> None:
    planted("aaa1", 0.9)
    planted("bbb1", 1.3, loss="ridge")
    found = told("aaa", "bbb")
    assert found["test"]["distinct"]
    assert found["test"]["difference"] > 0
    assert found["test"]["p_value"] < 0.001
    assert found["test"]["difference"] == pytest.approx(
        found["a"]["figures"]["rsum"] - found["b"]["figures"]["rsum"]
    )
    for side in "ab":
        for name, value in found[side]["figures"].items():
            assert found[side]["intervals"][name]["low"] <= value <= found[side]["intervals"][name]["high"]
    assert found["bootstrap"]["rsum"]["low"] > 0
    assert found["differences"] == [["loss contrast", "weight 1.0", "–"], ["loss ridge", "–", "weight 1.0"]]
    turned = told("bbb", "aaa")
    assert turned["test"]["difference"] == -found["test"]["difference"]
    assert (turned["a"]["wins"], turned["b"]["wins"]) == (found["b"]["wins"], found["a"]["wins"])

    code, out, err = invoke("compare", "aaa", "bbb")
    assert (code, err) == (0, "")
    assert "toys, 100 test images, 200 captions" in out
    assert f"A - B = {found['test']['difference']:+.1f}" in out
    assert "The test tells them apart at 5 %: A is better." in out
    assert "It speaks of these runs" in out
    assert f"A wins and B loses {found['a']['wins']:,} of 300 queries" in out
    assert "loss ridge" in out
    shown = [query for query in found["a"]["queries"] + found["b"]["queries"] if query["caption"]]
    assert len(shown) > 2
    for query in shown:
        assert query["caption"] in out


def test_equal_runs_are_not_told_apart(planted: Plant, invoke: Invoke, told: Callable[..., Any]) -> None:
    planted("aaa1", 1.0)
    planted("bbb1", 1.0, seed=1)
    assert not told("aaa", "bbb")["test"]["distinct"]
    code, out, _ = invoke("compare", "aaa", "bbb", "--figure", "t2i.recall@5")
    assert code == 0
    assert "The test cannot tell them apart at 5 %." in out
    assert "t2i R@5: A - B = " in out
    assert "Four times in five it finds a difference of " in out


def test_what_is_said_is_what_the_statistics_say(
    planted: Plant, told: Callable[..., Any], command: Any
) -> None:
    """By hand, from the stored table of ranks."""
    import pandas as pd
    import scipy.stats

    names = [planted("aaa1", 0.9), planted("bbb1", 1.1, seed=3)]
    hits = []
    for name in names:
        frame = pd.read_parquet(Path(command.environment["HARNESS_HOME"]) / "runs" / name / "ranks.parquet")
        images = frame[frame["side"] == "i2t"]
        hits.append((images["above"] + images["tied"] < 1).to_numpy(dtype=float))
    found = told("aaa", "bbb", "--figure", "i2t.recall@1", "--queries", "1000")
    known = scipy.stats.ttest_rel(*hits)
    assert found["test"]["p_value"] == pytest.approx(known.pvalue)
    assert found["a"]["figures"]["i2t.recall@1"] == pytest.approx(hits[0].mean())
    won = {query["image"] for query in found["a"]["queries"]}
    assert found["a"]["wins"] == len(won) == int((hits[0] > hits[1]).sum())
    assert found["b"]["wins"] == int((hits[1] > hits[0]).sum())
    assert found["queries"] == 100
    for query in found["a"]["queries"]:
        assert query["side"] == "i2t"
        assert query["rank"] <= 1 < query["other"]


def test_captions_that_are_won_come_with_their_text(planted: Plant, told: Callable[..., Any]) -> None:
    planted("aaa1", 0.9)
    planted("bbb1", 1.3)
    found = told("aaa", "bbb", "--figure", "t2i.recall@10", "--queries", "3")
    queries = found["a"]["queries"]
    assert len(queries) == 3
    ratios = [query["other"] / query["rank"] for query in queries]
    assert ratios == sorted(ratios, reverse=True)
    for query in queries:
        assert query["caption_id"].startswith(f"{query['image']}#")
        assert query["caption"].count(query["image"].removeprefix("test")) >= 1
        assert query["rank"] <= 10 < query["other"]
    assert all(q["caption"] is None for q in told("aaa", "bbb", "--queries", "0")["a"]["queries"])


def test_a_dataset_that_is_gone_leaves_ids(
    planted: Plant, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted("aaa1", 0.9)
    planted("bbb1", 1.3)
    monkeypatch.setenv("HARNESS_PLUGINS", "recall")
    code, out, err = invoke("compare", "aaa", "bbb", "--figure", "t2i.recall@1")
    assert code == 0
    assert "captions are shown by their ids" in err
    assert "#0" in out


def test_seeds_of_both_sides_make_it_speak_of_methods(
    planted: Plant, invoke: Invoke, told: Callable[..., Any]
) -> None:
    for seed in range(3):
        planted(f"aaa{seed}", 0.9, seed=seed)
        planted(f"bbb{seed}", 1.1, seed=seed, loss="ridge")
    listed = told("aaa0,aaa1,aaa2", "bbb0, bbb1,bbb2")
    assert told("aaa0", "bbb1", "--seeds") == listed
    assert listed["a"]["runs"] == ["aaa0", "aaa1", "aaa2"]
    assert listed["test"]["seeds"] == [3, 3]
    assert listed["test"]["over_seeds"]
    lone = told("aaa0", "bbb0")
    assert not lone["test"]["over_seeds"]
    values = [told(f"aaa{seed}", "bbb0")["a"]["figures"]["rsum"] for seed in range(3)]
    assert listed["a"]["figures"]["rsum"] == pytest.approx(np.mean(values))
    _, out, err = invoke("compare", "aaa0", "bbb0", "--seeds")
    assert err == ""
    assert "3 and 3 seeds" in out
    assert "It speaks of the methods" in out


def test_a_seed_of_another_parent_method_is_not_taken(planted: Plant, told: Callable[..., Any]) -> None:
    """Stage II runs are one method if their Stage I runs are, each with its own seed."""
    for seed in range(2):
        planted(f"one{seed}", 1.0, seed=seed)
        planted(f"two{seed}", 0.9, seed=seed, parent=f"one{seed}")
    planted("other", 1.0, loss="ridge")
    planted("two9", 0.9, seed=9, parent="other")
    assert told("two0", "other", "--seeds")["a"]["runs"] == ["two0", "two1"]


def test_a_mixture_is_named(planted: Plant, invoke: Invoke) -> None:
    planted("aaa1", 0.9)
    planted("bbb1", 1.1, loss="ridge")
    planted("ccc1", 1.1, seed=4)
    code, _, err = invoke("compare", "aaa1,bbb1", "ccc1")
    assert code == 0
    assert "the runs of A differ in more than the seed" in err


def test_folds_rank_each_query_in_its_own(planted: Plant, told: Callable[..., Any], invoke: Invoke) -> None:
    planted("aaa1", 0.9)
    planted("bbb1", 1.3)
    whole, folded = told("aaa", "bbb"), told("aaa", "bbb", "--folds", "5")
    for name, value in whole["a"]["figures"].items():
        assert folded["a"]["figures"][name] >= value
    assert folded["a"]["figures"]["rsum"] > whole["a"]["figures"]["rsum"]
    assert folded["a"]["figures"]["i2t.recall@1"] == pytest.approx(_fold_recall(0.9))
    code, out, _ = invoke("compare", "aaa", "bbb", "--folds", "5")
    assert code == 0
    assert "100 images in 5 folds" in out
    code, _, err = invoke("compare", "aaa", "bbb", "--folds", "3")
    assert code == 2
    assert "do not divide into 3 folds" in err


def _fold_recall(noise: float) -> float:
    """i2t R@1 over five folds of the planted run, by plain loops over its vectors."""
    image = np.random.default_rng(5).normal(size=(100, 12))
    text = np.repeat(image, 2, axis=0) + noise * np.random.default_rng([0, 8]).normal(size=(200, 12))
    image /= np.linalg.norm(image, axis=1, keepdims=True)
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    hits = 0
    for query in range(100):
        start = 20 * (query // 20)
        scores = [float(image[query] @ text[place]) for place in range(2 * start, 2 * start + 40)]
        hits += 2 * start + int(np.argmax(scores)) in (2 * query, 2 * query + 1)
    return hits / 100


def test_ranks_of_an_evaluator_are_compared(planted: Plant, told: Callable[..., Any], invoke: Invoke) -> None:
    planted("aaa1", 0.9)
    planted("bbb1", 1.3)
    found = told("aaa", "bbb", "--evaluator", "double")
    assert found["a"]["figures"]["i2t.recall@1"] == 0.0
    assert found["a"]["figures"]["i2t.recall@10"] == told("aaa", "bbb")["a"]["figures"]["i2t.recall@5"]
    assert "as double counts" in invoke("compare", "aaa", "bbb", "--evaluator", "double")[1]
    code, _, err = invoke("compare", "aaa", "bbb", "--evaluator", "doubel")
    assert code == 2
    assert "it keeps those of: double" in err
    assert invoke("compare", "aaa", "bbb", "--evaluator", "double", "--folds", "5")[0] == 2
    planted("ccc1", 1.3, factor=3)
    code, _, err = invoke("compare", "aaa", "ccc", "--evaluator", "double")
    assert code == 2
    assert "double 1 (factor: 2) for run aaa1" in err
    assert "double 1 (factor: 3) for run ccc1" in err


def test_other_galleries_are_refused(planted: Plant, invoke: Invoke) -> None:
    planted("aaa1", 0.9)
    planted("bbb1", 0.9, images=240)
    code, out, err = invoke("compare", "aaa", "bbb")
    assert (code, out) == (2, "")
    for word in ("aaa1", "bbb1", "passport", "gallery (test: 100 images", "test: 60 images", "harness show"):
        assert word in err


def test_another_view_is_compared_and_said(planted: Plant, invoke: Invoke) -> None:
    planted("aaa1", 0.9)
    planted("bbb1", 1.3, view="whole")
    code, out, err = invoke("compare", "aaa", "bbb")
    assert code == 0
    assert "differ in their image view" in err
    assert "The test tells them apart" in out


def test_a_hash_alone_must_be_the_same(planted: Plant, invoke: Invoke) -> None:
    planted("aaa1", 0.9, old=True)
    planted("bbb1", 1.3, old=True)
    assert invoke("compare", "aaa", "bbb")[0] == 0
    planted("ccc1", 1.3, view="whole", old=True)
    code, _, err = invoke("compare", "aaa", "ccc")
    assert code == 2
    assert "aaa1 and ccc1 kept the hash of the passport alone" in err
    planted("ddd1", 1.3, images=240, old=True)
    code, _, err = invoke("compare", "aaa", "ddd")
    assert code == 2
    assert "other test images or captions" in err


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("aaa1", "aaa1"), "both sides"),
        (("aaa1,aaa1", "bbb1"), "a run twice"),
        (("aaa1", ","), "names no run"),
        (("aaa1", "zzz"), "no run 'zzz'"),
        (("aaa1", "bbb1", "--figure", "i2t.recal@1"), "i2t.recall@1"),
    ],
)
def test_slips_are_named(planted: Plant, invoke: Invoke, arguments: tuple[str, ...], word: str) -> None:
    planted("aaa1", 0.9)
    planted("bbb1", 1.3)
    code, out, err = invoke("compare", *arguments)
    assert (code, out) == (2, "")
    assert word in err


@pytest.mark.parametrize("file", ["ranks.parquet", "result.json"])
def test_a_damaged_file_is_named(planted: Plant, invoke: Invoke, command: Any, file: str) -> None:
    planted("aaa1", 0.9)
    planted("bbb1", 1.3)
    path = Path(command.environment["HARNESS_HOME"]) / "runs" / "bbb1" / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    code, out, err = invoke("compare", "aaa", "bbb")
    assert (code, out) == (1, "")
    assert f"{path} is missing or damaged" in err


def test_runs_that_were_trained_are_compared(invoke: Invoke) -> None:
    code, out, err = invoke("run", "--threads", "1", "--device", "cpu", "--matrix", "seeds", "--json")
    assert code == 0, err
    runs = [cell["fingerprint"] for cell in json.loads(out)["cells"]]
    code, out, err = invoke("compare", *runs, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["differences"] == []
    assert found["test"]["images"] == 8
    for run, side in zip(runs, "ab", strict=True):
        shown = json.loads(invoke("show", run, "--json")[1])["result"]["figures"]["recall"]["values"]
        assert found[side]["figures"]["i2t.recall@1"] == shown["i2t.recall@1"]
        assert found[side]["figures"]["t2i.recall@1"] == shown["t2i.recall@1"]
