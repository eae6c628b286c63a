"""Committed ranks: figures must follow from them; intervals, letters and effects do."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.errors import StoreError
from harness.leaderboard import Ranks, Row, check, merge_rows, render, write
from harness.leaderboard.groups import grouped
from harness.leaderboard.standing import standings
from harness.leaderboard.uncertainty import Uncertainty
from harness.queries import Queries, read_queries, write_queries
from harness.statistics import RSUM, Sample, bootstrap, holm, probability

Make = Callable[..., Row]

IMAGES, CAPTIONS = 60, 3
OWNER = np.repeat(np.arange(IMAGES), CAPTIONS)


@pytest.fixture
def measured(folder: Path, make_row: Make) -> Callable[..., Row]:
    """Return a maker of rows with committed ranks; `level` is the mean rank, about."""

    def make(level: float, *, luck: int = 0, **fields: object) -> Row:
        random = np.random.default_rng([luck, int(10 * level)])
        i2t, t2i = (1 + random.poisson(level, size).astype(np.int64) for size in (IMAGES, IMAGES * CAPTIONS))
        row = make_row(**fields)
        write_queries(
            folder / "ranks" / f"{row.fingerprint}.npz", Queries(owner=OWNER, ranks={"recall": (i2t, t2i)})
        )
        figures = Sample(i2t, t2i, OWNER).figures()
        metrics = {f"recall.{name}": value for name, value in figures.items() if name != RSUM}
        metrics |= {
            f"recall.{side}.median_rank": float(np.median(ranks))
            for side, ranks in (("i2t", i2t), ("t2i", t2i))
        }
        return dataclasses.replace(row, metrics=metrics, images=IMAGES, captions=IMAGES * CAPTIONS)

    return make


def test_what_is_written_is_read(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    ranks = {
        name: (random.integers(1, top, IMAGES), random.integers(1, top, IMAGES * CAPTIONS))
        for name, top in (("recall", 200), ("recall-1k", 70_000))
    }
    path = tmp_path / "queries.npz"
    write_queries(path, Queries(owner=OWNER, ranks=ranks))
    before = path.read_bytes()
    found = read_queries(path)
    assert found.ranks.keys() == ranks.keys()
    for name, sides in ranks.items():
        assert all(np.array_equal(a, b) for a, b in zip(found.ranks[name], sides, strict=True))
    write_queries(path, found)
    assert path.read_bytes() == before


@pytest.mark.parametrize("broken", ["cut", "text", "gone", "pickle", "short", "zero", "float"])
def test_a_damaged_file_is_named(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "queries.npz"
    good = np.ones(IMAGES, dtype=np.int64)
    write_queries(path, Queries(owner=OWNER, ranks={"recall": (good, np.ones(len(OWNER), dtype=np.int64))}))
    arrays = {"owner": OWNER, "recall/i2t": good, "recall/t2i": np.ones(len(OWNER), dtype=np.int64)}
    if broken == "cut":
        path.write_bytes(path.read_bytes()[:100])
    elif broken == "text":
        path.write_text("ranks")
    elif broken == "gone":
        path.unlink()
    else:
        key, value = {
            "pickle": ("recall/i2t", np.array([print], dtype=object)),
            "short": ("recall/t2i", arrays["recall/t2i"][:-1]),
            "zero": ("recall/i2t", good * 0),
            "float": ("recall/i2t", good * 1.5),
        }[broken]
        np.savez(path, **(arrays | {key: value}))
    with pytest.raises(StoreError, match=r"queries\.npz"):
        read_queries(path)


def test_a_digit_changed_by_hand_is_found(folder: Path, measured: Make) -> None:
    merge_rows(folder / "results.jsonl", [measured(1.0)])
    write(folder)
    assert check(folder) == []
    path = folder / "results.jsonl"
    value = measured(1.0).metrics["recall.i2t.recall@1"]
    path.write_text(path.read_text().replace(f'"recall.i2t.recall@1": {value}', '"recall.i2t.recall@1": 0.9'))
    with pytest.raises(StoreError, match=r"disagree on run .*recall@1 is 0\.9000"):
        check(folder)


def test_an_rsum_changed_by_hand_is_found(folder: Path, measured: Make) -> None:
    row = measured(1.0)
    total = 100.0 * sum(
        row.metrics[f"recall.{side}.recall@{k}"] for side in ("i2t", "t2i") for k in (1, 5, 10)
    )
    for value, wrong in ((total, False), (total + 0.1, True)):
        merge_rows(folder / "results.jsonl", [replace(row, metrics={**row.metrics, "recall.rsum": value})])
        if wrong:
            with pytest.raises(StoreError, match=r"disagree on run .*recall\.rsum is"):
                render(folder)
        else:
            render(folder)


def test_a_median_changed_by_hand_is_found(folder: Path, measured: Make) -> None:
    row = measured(8.0)
    merge_rows(folder / "results.jsonl", [row])
    path = folder / "results.jsonl"
    value = row.metrics["recall.t2i.median_rank"]
    path.write_text(
        path.read_text().replace(f'"recall.t2i.median_rank": {value}', '"recall.t2i.median_rank": 1.0')
    )
    with pytest.raises(StoreError, match=r"median_rank is 1\.0000"):
        render(folder)


def test_ranks_without_a_row_are_left_over(folder: Path, measured: Make) -> None:
    merge_rows(folder / "results.jsonl", [measured(1.0)])
    measured(1.0, variant="gone")
    write(folder)
    (line,) = check(folder)
    assert "flickr8kgone00.0.npz belongs to no row" in line


def test_intervals_and_letters_stand_in_the_table(folder: Path, measured: Make) -> None:
    rows = [
        measured(0.5, variant="good", title="Good"),
        measured(0.5, luck=1, variant="like", title="Like"),
        measured(30.0, variant="bad", title="Bad"),
    ]
    merge_rows(folder / "results.jsonl", rows)
    page = render(folder)["flickr8k.md"]
    cells = {name: _cells(page, f"**{name}**") for name in ("Good", "Like", "Bad")}
    assert cells["Good"][13] == cells["Like"][13] == "a"
    assert cells["Bad"][13] == "b"
    sample = Ranks(folder).sample(rows[0], "recall")
    assert sample is not None
    interval = bootstrap([sample])[RSUM]
    assert cells["Good"][12] == f"{interval.low:.1f} to {interval.high:.1f}"
    assert "corrected for 3 pairs (Holm)" in page
    assert render(folder) == render(folder)


def test_rows_of_other_questions_are_not_compared(folder: Path, measured: Make) -> None:
    protocol = {"gallery": "g", "pixels": "p", "scores": "s", "text view": "single view"}
    rows = [
        measured(0.5, variant="one", protocol=protocol, passport="a" * 16),
        measured(9.0, variant="two", protocol=protocol | {"text view": "all shifts"}, passport="b" * 16),
        measured(9.0, variant="three", protocol=protocol | {"gallery": "h"}, passport="c" * 16),
    ]
    merge_rows(folder / "results.jsonl", rows)
    groups = grouped(rows)
    certain = Uncertainty(groups, "recall", Ranks(folder))
    assert certain.pairs == (1,)
    assert [certain.of(group).letters for group in groups] == ["a", "b", ""]
    page = render(folder)["flickr8k.md"]
    told = next(line for line in page.split("\n") if "They differ in" in line)
    assert "They differ in gallery (" in told
    assert ", text view (" in told
    assert "\\[C\\] " in told


GALLERY = {"gallery": "g", "pixels": "p", "scores": "s", "text view": "single view"}


def test_rows_of_two_galleries_share_no_letter(folder: Path, measured: Make) -> None:
    """Alphabets of their own would give the best of both galleries an a: neither was tested against the other."""
    levels = {
        "good-g": (0.5, 0),
        "like-g": (0.5, 1),
        "bad-g": (30.0, 0),
        "good-h": (1.5, 0),
        "like-h": (1.5, 1),
        "bad-h": (8.0, 0),
        "worse-h": (60.0, 0),
    }
    rows = [
        measured(level, luck=luck, variant=name, title=name, protocol=GALLERY | {"gallery": name[-1]})
        for name, (level, luck) in levels.items()
    ]
    merge_rows(folder / "results.jsonl", rows)
    told = {}
    for listed in (rows, rows[::-1]):
        groups = grouped(listed)
        certain = Uncertainty(groups, "recall", Ranks(folder))
        assert certain.pairs == (3, 6)
        told = {group.first.title: certain.of(group).letters for group in groups}
        assert told == {
            "good-g": "a",
            "like-g": "a",
            "bad-g": "b",
            "good-h": "c",
            "like-h": "c",
            "bad-h": "d",
            "worse-h": "e",
        }
        by = {group.first.title: group for group in groups}
        assert certain.between(by["good-g"], by["good-h"]) is None
        tests = [certain.between(by["good-g"], by["bad-g"]), certain.between(by["good-h"], by["bad-h"])]
        assert [test.pairs for test in tests if test] == [3, 6]
    page = render(folder)["flickr8k.md"]
    assert {name: _cells(page, f"**{name}**")[13] for name in told} == told
    assert "corrected for 3 and 6 pairs (Holm), each set for itself: rows of different galleries" in page
    (found,) = standings(rows, folder, [rows[3].fingerprint], [rows[5].fingerprint])
    assert (found.letters, found.pairs, found.distinct) == (("c", "d"), 6, True)
    assert standings(rows, folder, [rows[0].fingerprint], [rows[3].fingerprint]) == []


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        (
            [{"text view": "all shifts"}],
            "answer one question under different protocols: **what differs in views",
        ),
        (
            [{"gallery": "h"}],
            "**Rows with different letters in brackets answer different questions and must not",
        ),
        ([{"pixels": "h"}], "answer different questions and must not be compared**: "),
        ([{"scores": "h"}], "answer different questions and must not be compared**: "),
        (
            [{"gallery": "h"}, {"text view": "all shifts"}],
            "must not be compared, but for {0}, {2} with each other**",
        ),
    ],
)
def test_what_differs_says_whether_rows_may_be_compared(
    folder: Path, make_row: Make, others: list[dict[str, str]], expected: str
) -> None:
    rows = [
        make_row(variant=f"v{place}", title=f"v{place}", protocol=GALLERY | other)
        for place, other in enumerate(({}, *others))
    ]
    merge_rows(folder / "results.jsonl", rows)
    pages = render(folder)
    marks = []
    for row in rows:
        (name,) = (word for word in pages["flickr8k.md"].split("|") if f"**{row.title}**" in word)
        marks.append(name.split()[-1])
    told = expected.format(*marks)
    if "{0}" in expected and marks[0] > marks[2]:
        told = expected.format(marks[2], marks[1], marks[0])
    for page in ("flickr8k.md", "ablations.md"):
        assert pages[page].count(told.removesuffix(": ")) == 1
    assert pages["flickr8k.md"].count(told) == 1
    assert pages["ablations.md"].count("other protocol") == sum(
        not other.get("text view") for other in others
    )


def test_other_tie_policies_must_not_be_compared(folder: Path, make_row: Make) -> None:
    rows = [
        make_row(
            variant=policy, title=policy, protocol=GALLERY, evaluators={"recall": f"recall 1 ({policy})"}
        )
        for policy in ("pessimistic", "expected")
    ]
    merge_rows(folder / "results.jsonl", rows)
    assert "answer different questions and must not be compared**: " in render(folder)["flickr8k.md"]


def test_one_seed_without_ranks_takes_the_interval_away(folder: Path, measured: Make, make_row: Make) -> None:
    rows = [measured(0.5, recipe="r"), make_row(seed=1, recipe="r")]
    (group,) = grouped(rows)
    known = Uncertainty([group], "recall", Ranks(folder)).of(group)
    assert known.interval is None
    assert known.letters == ""


def test_a_matrix_of_two_choices_shows_its_effects(folder: Path, measured: Make) -> None:
    levels = {
        ("from-one", "few"): 2.0,
        ("from-one", "many"): 1.0,
        ("alone", "few"): 20.0,
        ("alone", "many"): 12.0,
    }
    rows = [
        measured(
            level,
            luck=seed,
            matrix="grown",
            title=start,
            seed=seed,
            recipe=f"{start} {classes}",
            labels={"dataset": "flickr8k", "start": start, "classes": classes, "seed": str(seed)},
            fingerprint=f"{start}{classes}{seed}",
        )
        for (start, classes), level in levels.items()
        for seed in (0, 1)
    ]
    merge_rows(folder / "results.jsonl", rows)
    page = render(folder)["ablations.md"]
    assert "## Matrix `grown`" in page
    line = next(line for line in page.split("\n") if "from-one in place of alone" in line)
    effect = float(_split(line)[2])
    means = {
        start: np.mean(
            [sum(r.metrics[n] for n in r.metrics if "recall@" in n) for r in rows if r.title == start]
        )
        for start in ("from-one", "alone")
    }
    assert effect == pytest.approx(100 * (means["from-one"] - means["alone"]), abs=0.051)
    low, high = (float(part) for part in _split(line)[3].split(" to "))
    assert 0 < low < effect < high
    assert _split(line)[4] == "< 0.0001"
    assert "p corrected for 2 effects" in page


def test_a_verdict_and_the_letters_come_from_one_test(folder: Path, measured: Make) -> None:
    levels = {"ranking": 9.0, "instance": 2.0, "both": 2.2}
    rows = [
        measured(level, luck=seed, variant=variant, title=variant, seed=seed)
        for variant, level in levels.items()
        for seed in (0, 1)
    ]
    merge_rows(folder / "results.jsonl", rows)
    pages = render(folder)
    groups = {group.variant: group for group in grouped(rows)}
    certain = Uncertainty(list(groups.values()), "recall", Ranks(folder))
    verdicts = {"ranking": "holds", "both": "cannot be told"}
    # Two claims can be answered, and so can no main effect.
    alone = {less: certain.between(groups["instance"], groups[less]) for less in verdicts}
    adjusted = holm([found.p_value for found in alone.values() if found])
    for (less, verdict), p in zip(verdicts.items(), adjusted, strict=True):
        line = next(
            line for line in pages["ablations.md"].split("\n") if f"Stage I: instance above {less}:" in line
        )
        assert f"**{verdict}**" in line
        assert f"; {probability(p)})" in line
    letters = {name: set(certain.of(group).letters) for name, group in groups.items()}
    assert letters["instance"] & letters["both"]
    assert not letters["instance"] & letters["ranking"]
    assert "corrected for the 2 differences of this section" in pages["ablations.md"]


def _cells(page: str, method: str) -> list[str]:
    return _split(next(line for line in page.split("\n") if line.startswith(f"| {method}")))


def _split(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]
