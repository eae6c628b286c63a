"""`harness power`: from two runs, from the store, from a recall, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from harness.statistics import images_needed

Invoke = Callable[..., tuple[int, str, str]]
Plant = Callable[..., str]


@pytest.fixture
def told(invoke: Invoke) -> Callable[..., Any]:
    """Run `power --json` and read what it says."""

    def run(*arguments: str) -> Any:
        code, out, err = invoke("power", *arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    return run


def test_two_runs_say_how_many_images(planted: Plant, told: Callable[..., Any], invoke: Invoke) -> None:
    planted("aaa1", 1.0)
    planted("bbb1", 1.1, loss="ridge")
    (found,) = told("aaa", "bbb", "--delta", "2")["galleries"]
    assert (found["images"], found["pairs"], found["seeds_needed"]) == (100, 1, None)
    assert found["images_needed"]["median"] == images_needed(2.0, found["sd_images"]["median"])
    compared = json.loads(invoke("compare", "aaa", "bbb", "--figure", "i2t.recall@1", "--json")[1])
    assert found["sd_images"]["median"] == pytest.approx(100 * compared["test"]["se"] * 100**0.5)
    half = told("aaa", "bbb", "--delta", "1")["galleries"][0]["images_needed"]["median"]
    assert half == pytest.approx(4 * found["images_needed"]["median"], rel=0.01)
    code, out, err = invoke("power", "aaa", "bbb", "--delta", "2")
    assert (code, err) == (0, "")
    assert "To tell a difference of 2 in i2t R@1 (5 % level, power 80 %)" in out
    assert f"{found['images_needed']['median']:,}" in out
    assert "how many seeds it takes is not known" in out


def test_the_store_gives_all_pairs_of_methods(
    planted: Plant, told: Callable[..., Any], invoke: Invoke
) -> None:
    for seed in range(3):
        planted(f"aaa{seed}", 1.0, seed=seed)
    planted("bbb1", 1.1, loss="ridge")
    planted("ccc1", 1.2, loss="mined", view="whole")
    planted("small1", 1.0, images=240)
    found = told("--figure", "rsum", "--delta", "5")
    assert found["delta"] == 5.0
    (gallery,) = found["galleries"]
    # Three methods make three pairs, seeds none; another gallery with a lone method makes no row.
    assert (gallery["methods"], gallery["pairs"], gallery["methods_with_seeds"]) == (3, 3, 1)
    lone = [told(*pair, "--figure", "rsum", "--delta", "5")["galleries"][0] for pair in (("aaa0", "bbb1"),)]
    sds = gallery["sd_images"]
    assert sds["low"] <= lone[0]["sd_images"]["median"] <= sds["high"]
    by_hand = told("aaa0,aaa1,aaa2", "bbb1", "--figure", "rsum", "--delta", "5")["galleries"][0]
    assert gallery["sd_seeds"] == pytest.approx(by_hand["sd_seeds"])
    assert gallery["seeds_needed"] == by_hand["seeds_needed"] >= 2
    assert told("aaa0", "bbb1", "--seeds", "--figure", "rsum", "--delta", "5")["galleries"] == [by_hand]
    _, out, err = invoke("power", "--figure", "rsum", "--delta", "5")
    assert err == ""
    assert "Seeds, with these test images" in out
    assert "1 of 3" in out


def test_a_damaged_run_is_left_out_and_named(planted: Plant, invoke: Invoke, command: Any) -> None:
    from pathlib import Path

    for name, loss in (("aaa1", "contrast"), ("bbb1", "ridge"), ("ccc1", "mined")):
        planted(name, 1.0, loss=loss)
    (Path(command.environment["HARNESS_HOME"]) / "runs" / "ccc1" / "ranks.parquet").write_bytes(b"")
    code, out, err = invoke("power", "--json")
    assert code == 0
    assert "left out: " in err
    assert "ccc1" in err
    assert json.loads(out)["galleries"][0]["pairs"] == 1


def test_a_recall_alone_goes_by_the_binomial(told: Callable[..., Any], invoke: Invoke) -> None:
    found = told("--recall", "70", "--delta", "1")
    needed = {(cell["correlation"], cell["icc"]): cell["images_needed"] for cell in found["cells"]}
    # (1.960 + 0.842)² x 2 x 0.7 x 0.3 / 0.01²
    assert needed[0.0, 0.0] == pytest.approx(7.849 * 0.42 / 1e-4, rel=1e-3)
    assert needed[0.5, 0.0] == pytest.approx(needed[0.0, 0.0] / 2, rel=1e-3)
    captions = told("--recall", "70", "--figure", "t2i.recall@1", "--captions", "5")
    clustered = {(cell["correlation"], cell["icc"]): cell["images_needed"] for cell in captions["cells"]}
    assert clustered[0.0, 0.0] == pytest.approx(needed[0.0, 0.0] / 5, rel=1e-2)
    assert clustered[0.0, 0.5] == pytest.approx(3 * clustered[0.0, 0.0], rel=1e-2)
    code, out, _ = invoke("power", "--recall", "70", "--figure", "t2i.recall@1")
    assert code == 0
    assert "Nothing was measured: hits are binomial." in out
    assert "no independent queries" in out
    assert f"{clustered[0.0, 0.5]:,}" in out


def test_levels_are_asked_for(told: Callable[..., Any]) -> None:
    usual, strict = (
        told("--recall", "70", *options)["cells"][0]["images_needed"]
        for options in ((), ("--alpha", "0.01", "--power", "0.9"))
    )
    assert strict / usual == pytest.approx((2.5758 + 1.2816) ** 2 / (1.9600 + 0.8416) ** 2, rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "harness power --recall 70"),
        (("aaa1",), "two runs or none"),
        (("aaa1", "bbb1", "ccc1"), "two runs or none"),
        (("aaa1", "bbb1"), "different galleries|cannot be compared"),
        (("aaa1", "aaa1"), "both sides"),
        (("--delta", "0"), "give one above 0"),
        (("--delta", "nan"), "give one above 0"),
        (("--alpha", "5"), "between 0 and 1"),
        (("--power", "80"), "between 0 and 1"),
        (("--figure", "mAP"), "no statistics of figure 'mAP'"),
        (("--recall", "0"), "outside 0..100"),
        (("--recall", "70", "--figure", "rsum"), "rSum needs runs"),
        (("aaa1", "bbb1", "--recall", "70"), "in place of runs"),
    ],
)
def test_slips_are_named(planted: Plant, invoke: Invoke, arguments: tuple[str, ...], words: str) -> None:
    planted("aaa1", 0.9)
    planted("bbb1", 1.3, images=240)
    code, out, err = invoke("power", *arguments)
    assert (code, out) == (2, "")
    assert any(word in err for word in words.split("|")), err
