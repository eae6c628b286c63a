"""`harness compare`, `power` and `show` of rows whose runs are not stored: what a clone without a store can check."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.cli.verdict import made_of

Invoke = Callable[..., tuple[int, str, str]]
Plant = Callable[..., str]
Commit = Callable[..., None]


def told(invoke: Invoke, *arguments: str) -> Any:
    code, out, err = invoke(*arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def test_rows_are_compared_as_their_runs_are(planted: Plant, committed: Commit, invoke: Invoke) -> None:
    planted("aaa1", 0.9)
    planted("bbb1", 1.3, loss="ridge")
    stored = told(invoke, "compare", "aaa", "bbb")
    committed("aaa1", title="Fine")
    mixed = told(invoke, "compare", "aaa", "bbb")
    committed("bbb1", title="Coarse")
    rows = told(invoke, "compare", "aaa", "bbb")
    for found in (mixed, rows):
        for key in ("test", "bootstrap"):
            assert found[key] == stored[key]
        for side in "ab":
            for key in ("figures", "intervals", "wins"):
                assert found[side][key] == stored[side][key]
    assert (rows["a"]["methods"], rows["b"]["methods"]) == (["Fine"], ["Coarse"])
    assert rows["differences"] == [["text path", "fine", "coarse"]]
    # The registry's toys are fewer than these: nobody knows the ids but a stored run.
    assert [q["image"] for q in mixed["a"]["queries"]] == [q["image"] for q in stored["a"]["queries"]]
    assert {q["image"] for q in rows["a"]["queries"]} == {None}
    assert [q["position"] for q in rows["a"]["queries"]] == [q["position"] for q in stored["a"]["queries"]]
    code, out, err = invoke("compare", "aaa", "bbb")
    assert code == 0
    assert "captions are shown by their numbers" in err
    assert "aaa1 seed 0 (row)" in out
    assert "number " in out


def test_captions_of_rows_come_from_a_dataset_that_is_at_hand(
    planted: Plant, committed: Commit, invoke: Invoke
) -> None:
    planted("aaa1", 0.1, images=32)
    planted("bbb1", 3.0, images=32)
    stored = told(invoke, "compare", "aaa", "bbb")["a"]["queries"]
    committed("aaa1", title="A")
    committed("bbb1", title="B")
    assert told(invoke, "compare", "aaa", "bbb")["a"]["queries"] == stored
    assert any(query["caption"] for query in stored)


def test_seeds_are_found_in_the_store_and_among_rows(
    planted: Plant, committed: Commit, invoke: Invoke
) -> None:
    for seed in range(3):
        planted(f"aaa{seed}", 0.9, seed=seed)
        planted(f"bbb{seed}", 1.1, seed=seed, loss="ridge")
    stored = told(invoke, "compare", "aaa0", "bbb0", "--seeds")
    # One seed is a row and stored, one is a row alone, one is stored alone.
    committed("aaa0", title="A", keep=True)
    committed("aaa1", title="A")
    committed("bbb0", "bbb1", "bbb2", title="B")
    for run in ("aaa0", "aaa1", "aaa2"):
        found = told(invoke, "compare", run, "bbb1", "--seeds")
        assert found["a"]["runs"] == ["aaa0", "aaa1", "aaa2"]
        assert found["test"] == stored["test"]
        assert found["a"]["methods"] == ["A"]


def test_the_letters_of_the_table_are_told_with_their_reason(
    planted: Plant, committed: Commit, invoke: Invoke
) -> None:
    # One method of wildly different seeds: what looks certain of one run is not certain of the method.
    for seed, noise in enumerate((0.6, 1.0, 1.6)):
        planted(f"ccc{seed}", noise, seed=seed, loss="wild")
    planted("aaa1", 0.9)
    planted("bbb1", 1.3, loss="ridge")
    assert told(invoke, "compare", "aaa", "bbb")["tables"] == []
    committed("ccc0", "ccc1", "ccc2", title="C")
    committed("aaa1", title="A")
    committed("bbb1", title="B")
    found = told(invoke, "compare", "aaa", "bbb")
    assert found["test"]["distinct"]
    (table,) = found["tables"]
    assert table["page"] == "dataset-toys.md"
    assert (table["seeds"], table["pairs"], table["over_seeds"]) == ([1, 1], 3, True)
    assert set(table["letters"][0]) & set(table["letters"][1])
    assert table["adjusted"] >= table["p_value"] > 0.05 > found["test"]["p_value"]
    page = invoke("leaderboard")[0] == 0 and (invoke("leaderboard", "--check")[0] == 0)
    assert page
    code, out, _ = invoke("compare", "aaa", "bbb")
    assert code == 0
    assert "The test tells them apart at 5 %" in out
    assert "In the table dataset-toys.md A is in group" in out
    assert "they share a letter: it does not tell them apart" in out
    assert "one variance between seeds for all rows" in out
    # The letters are of rSum over the whole gallery.
    assert told(invoke, "compare", "aaa", "bbb", "--figure", "i2t.recall@1")["tables"] == []


def test_power_takes_rows_and_the_variance_between_seeds_of_all_methods(
    planted: Plant, committed: Commit, invoke: Invoke
) -> None:
    for seed in range(3):
        planted(f"ccc{seed}", 1.0 + 0.1 * seed, seed=seed, loss="wild")
    planted("aaa1", 0.9)
    planted("bbb1", 1.3, loss="ridge")
    stored = told(invoke, "power", "aaa", "bbb")["galleries"]
    committed("ccc0", "ccc1", "ccc2", title="C")
    committed("aaa1", title="A")
    committed("bbb1", title="B")
    assert told(invoke, "power", "aaa", "bbb")["galleries"] == stored
    ((two, every),) = zip(stored, told(invoke, "power")["galleries"], strict=True)
    assert (two["pairs"], every["pairs"]) == (1, 3)
    assert two["sd_seeds"] == every["sd_seeds"] > 0
    assert two["seeds_needed"] == every["seeds_needed"]
    _, out, _ = invoke("power", "aaa", "bbb")
    assert "as for the letters of the tables" in " ".join(out.split())


def test_runs_of_the_same_ranks_are_called_so(planted: Plant, invoke: Invoke) -> None:
    planted("aaa1", 0.9)
    planted("bbb1", 0.9, view="whole")
    code, out, _ = invoke("compare", "aaa", "bbb")
    assert code == 0
    assert "A and B have the same rank for every query: no figure tells them apart." in out
    assert "Four times in five" not in out
    assert "wins" not in out
    code, out, err = invoke("power", "aaa", "bbb")
    assert (code, out) == (2, "")
    assert "runs aaa1 and bbb1 hit the same queries in i2t R@1" in err
    planted("ccc1", 1.2, loss="ridge")
    code, out, err = invoke("power", "--json")
    assert code == 0
    assert "left out: 1 pair of methods on toys whose ranks are the same" in err
    assert json.loads(out)["galleries"][0]["pairs"] == 2


def test_a_row_is_shown_and_folds_of_it_are_refused(
    planted: Plant, committed: Commit, invoke: Invoke
) -> None:
    planted("aaa1", 0.9)
    planted("bbb1", 1.3)
    passport = told(invoke, "compare", "aaa", "bbb")["a"]["passports"]
    committed("aaa1", title="Fine [method]")
    code, out, err = invoke("show", "aaa")
    assert (code, err) == (0, "")
    for word in ("Figures of Fine [method]", "recall.i2t.recall@1", "its run is not stored here", "aaa1.npz"):
        assert word in out
    assert "ablations, dataset=toys" in out
    assert told(invoke, "show", "aaa")["row"]["fingerprint"] == "aaa1"
    code, _, err = invoke("compare", "aaa", "bbb", "--folds", "5")
    assert code == 2
    assert "of row aaa1 only ranks are committed" in err
    code, _, err = invoke("compare", "aaa", "bbb", "--evaluator", "doubel")
    assert code == 2
    assert "row aaa1 of the leaderboards keeps no ranks of evaluator 'doubel'" in err
    assert told(invoke, "compare", "aaa", "bbb", "--evaluator", "double")["a"]["passports"] != passport


def test_methods_are_named_as_tables_call_them(planted: Plant, committed: Commit, invoke: Invoke) -> None:
    for seed in range(2):
        planted(f"aaa{seed}", 0.9, seed=seed)
    planted("bbb1", 1.3, loss="ridge")
    planted("ccc1", 1.0, loss="mined")
    committed("aaa0", "aaa1", title="Fine, in seeds")
    committed("bbb1", title="Coarse")
    by_name = told(invoke, "compare", "Fine, in seeds", "toys:Coarse")
    assert by_name == told(invoke, "compare", "aaa0,aaa1", "bbb1")
    assert told(invoke, "power", "Fine, in seeds", "Coarse") == told(invoke, "power", "aaa0,aaa1", "bbb1")
    # The same title with another recipe, as of another dataset.
    committed("ccc1", title="Coarse ", recipe="other")
    code, _, err = invoke("compare", "Coarse", "toys:Coarse")
    assert code == 2
    assert "stands on both sides" in err
    rows = Path.cwd() / "leaderboards" / "results.jsonl"
    rows.write_text(
        rows.read_text(encoding="utf-8").replace('"title": "Coarse "', '"title": "Coarse"'), "utf-8"
    )
    code, _, err = invoke("compare", "Fine, in seeds", "Coarse")
    assert code == 2
    assert "2 methods are called 'Coarse': toys:Coarse (bbb1); toys:Coarse (ccc1)" in err


def test_damaged_leaderboards_leave_the_store(
    planted: Plant, committed: Commit, invoke: Invoke, command: Any
) -> None:
    planted("aaa1", 0.9)
    planted("bbb1", 1.3)
    committed("aaa1", title="A", keep=True)
    results = command.folder / "leaderboards" / "results.jsonl"
    text = results.read_text(encoding="utf-8")
    results.write_text(text[:-20], encoding="utf-8")
    code, out, err = invoke("compare", "aaa", "bbb")
    assert code == 0
    assert "rows of the leaderboards are left out" in err
    results.write_text(text, encoding="utf-8")
    ranks = command.folder / "leaderboards" / "ranks" / "aaa1.npz"
    planted("ccc1", 1.1)
    committed("ccc1", title="C")
    ranks.with_name("ccc1.npz").write_bytes(ranks.read_bytes())
    code, out, err = invoke("compare", "bbb", "ccc")
    assert (code, out) == (1, "")
    assert "disagree on run ccc1" in err


def test_a_prefix_of_two_runs_lists_them(planted: Plant, committed: Commit, invoke: Invoke) -> None:
    planted("aaa1", 0.9)
    planted("aab1", 1.0, loss="ridge")
    committed("aab1", title="B")
    code, _, err = invoke("compare", "aa", "aab1")
    assert code == 2
    assert "2 runs 'aa'" in err
    assert "aaa1, aab1" in err


@pytest.mark.parametrize("width", [80, 120])
def test_no_table_is_wider_than_the_terminal(
    planted: Plant, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    from harness.cli import console

    monkeypatch.setattr(console.out, "width", width)
    planted("aaa1", 0.9)
    planted("bbb1", 1.3)
    for arguments in (
        ("compare", "aaa", "bbb"),
        ("power", "aaa", "bbb"),
        ("power", "--recall", "70", "--figure", "t2i.recall@1"),
    ):
        code, out, err = invoke(*arguments)
        assert code == 0, err
        lines = [line for line in out.splitlines() if line[:1] in "┏┃┡│└"]
        assert lines
        assert max(map(len, lines)) <= width
        # A column of names that is crushed has words of a letter or two.
        assert "┏┳" not in out
        if arguments[0] == "compare":
            assert "│ i2t R@10 │" in out


def test_made_of_an_import_are_its_paths(planted: Plant, committed: Commit, command: Any) -> None:
    from harness.execute.runs import Runs
    from harness.store import Store

    planted("aaa1", 0.9)
    planted("bbb1", 1.3, loss="ridge")
    committed("aaa1", title="A", keep=True)
    runs = Runs(Store(Path(command.environment["HARNESS_HOME"])), command.folder / "leaderboards")
    a, b = runs.read("aaa1"), runs.read("bbb1")
    assert (a.title, b.title) == ("A", "frozen and words, ridge")
    assert made_of(a, b) == [["loss contrast", "weight 1.0", "–"], ["loss ridge", "–", "weight 1.0"]]
