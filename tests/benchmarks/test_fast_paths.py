"""Every fast path equals a plain one: nothing gets faster by computing something else."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from harness import ranking
from harness.bench import rivals
from harness.bench.contest import Contender, Rounds, alike, contest
from harness.bench.galleries import embeddings, gallery
from harness.bench.report import Ratio
from harness.bench.resampling import check_resamples, draws, plain_figures
from harness.catalog import Catalog
from harness.errors import RunError
from harness.execute import Workspace
from harness.protocols import Record, Split
from harness.ranking import rank
from harness.statistics.sample import Sample


def rounds(tmp_path: object) -> Rounds:
    workspace = Workspace(
        home=tmp_path / "home",  # type: ignore[operator]
        data=tmp_path / "data",  # type: ignore[operator]
        catalog=Catalog.load(entry_points=[]),
        device="cpu",
        threads=1,
    )
    return Rounds(workspace=workspace, rounds=2, seconds=0.0)


def plain_counts(
    image: np.ndarray, text: np.ndarray, owner: np.ndarray, block: int
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Count on the whole matrix of the same tiles, one comparison after the other, in booleans."""
    n, m = len(image), len(text)
    scores = np.empty((n, m), np.float32)
    edges = [*range(0, n, block), n]
    for a, b in itertools.pairwise(edges):
        for e, f in itertools.pairwise(edges):
            columns = np.flatnonzero((owner >= e) & (owner < f))
            c, d = columns[0], columns[-1] + 1
            scores[a:b, c:d] = (torch.from_numpy(image[a:b]) @ torch.from_numpy(text[c:d]).T).numpy()
    own = owner[None, :] == np.arange(n)[:, None]
    wrong = np.where(own, -np.inf, scores)
    best = np.where(own, scores, -np.inf).max(1)
    truth = scores[owner, np.arange(m)]
    i2t = (
        (wrong > best[:, None]).sum(1),
        (wrong == best[:, None]).sum(1),
        (own & (scores == best[:, None])).sum(1),
    )
    t2i = (wrong > truth).sum(0), (wrong == truth).sum(0), np.ones(m, np.int64)
    return i2t, t2i


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize(("block", "rows"), [(64, 64), (50, 7), (200, 64), (33, 1)])
def test_counting_in_buffers_equals_counting_on_the_whole(
    coarse: bool, block: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "BLOCK", block)
    monkeypatch.setattr(ranking, "ROWS", rows)
    random = np.random.default_rng(block)
    counts = random.integers(1, 8, 150)
    split = Split(
        "test",
        tuple(
            Record(image=f"i{k}", split="test", captions=tuple(map(str, range(count))))
            for k, count in enumerate(counts)
        ),
    )
    shape = (len(counts), 6), (int(counts.sum()), 6)
    # Small whole numbers: many scores tie, to the bit.
    draw = (lambda s: random.integers(-2, 3, s)) if coarse else random.standard_normal
    image, text = (np.asarray(draw(s), np.float32) for s in shape)
    ranked = rank(split, image, text)
    expected = plain_counts(image, text, split.caption_image, block)
    for side, wanted in zip((ranked.i2t, ranked.t2i), expected, strict=True):
        for found, plain in zip((side.above, side.tied, side.matched), wanted, strict=True):
            assert found.dtype == np.int64
            assert np.array_equal(found, plain)
    if coarse:
        assert ranked.i2t.tied.sum() > 0


def test_other_evaluators_find_the_same_recalls() -> None:
    split = gallery(60)
    image, text = embeddings(split, 32)
    ranked = rank(split, image, text)
    ours = rivals.figures(ranked.i2t.rank(), ranked.t2i.rank())
    part = rivals.figures(ranked.i2t.rank()[:6], ranked.t2i.rank()[:30], rivals.first(6))
    assert 0.1 < ours["t2i.recall@1"] < 1.0
    assert rivals.whole_matrix(split, image, text) == ours
    assert rivals.argsort_loop(split, image.astype(np.float64), text.astype(np.float64), 6) == part
    pytest.importorskip("torchmetrics")
    hits = rivals.hit_rates(split, image, text, 6)
    assert hits == pytest.approx({key: part[key] for key in hits})
    assert len(hits) == 6


def test_clip_benchmark_finds_the_same_recalls() -> None:
    pytest.importorskip("clip_benchmark", reason="it is of the group `bench`")
    split = gallery(70)
    image, text = embeddings(split, 32)
    ranked = rank(split, image, text)
    ours = rivals.figures(ranked.i2t.rank(), ranked.t2i.rank())
    for size in (1, 16, 256):
        batches = rivals.clip_batches(split, image, size)
        assert sum(len(images) for images, _ in batches) == 70
        found = rivals.clip_benchmark(batches, text)
        assert found == pytest.approx({key: ours[key] for key in found})
        assert len(found) == 6


def test_resampled_figures_equal_a_plain_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    owner = np.repeat(np.arange(30), random.integers(1, 6, 30))
    sample = Sample(random.integers(1, 20, 30), random.integers(1, 20, len(owner)), owner)
    check_resamples(sample, 40)
    identity = np.arange(30)
    assert plain_figures(sample, identity) == sample.figures()
    assert draws(30, 4).shape == (4, 30)
    monkeypatch.setattr(
        "harness.bench.resampling.plain_figures", lambda *_: dict.fromkeys(sample.figures(), 0.5)
    )
    with pytest.raises(RunError, match="by a plain loop"):
        check_resamples(sample, 40)


def test_what_does_not_find_the_same_is_not_compared(tmp_path: object) -> None:
    def check(found: object) -> None:
        alike("here", found, within={"b": 0.1})  # type: ignore[arg-type]

    def run(value: dict[str, float], **fields: object) -> object:
        return contest(
            "two",
            [
                Contender(name="first", call=lambda: {"a": 1.0, "b": 2.0}),
                Contender(name="other", call=lambda: value, **fields),  # type: ignore[arg-type]
            ],
            rounds(tmp_path),
            ratios=[Ratio(over="other", under="first")],
            check=check,
        )

    assert run({"a": 1.0, "b": 2.09, "c": 5.0})
    for wrong in ({"a": 1.01}, {"b": 2.2}, {"a": float("nan")}):
        for slow in (False, True):
            with pytest.raises(RunError, match="'other' finds"):
                run(wrong, slow=slow)


def test_a_contender_that_fails_is_named(tmp_path: object) -> None:
    def fail() -> None:
        raise ZeroDivisionError("boom")

    with pytest.raises(RunError, match=r"'bad' failed: ZeroDivisionError: boom"):
        contest("one", [Contender(name="bad", call=fail)], rounds(tmp_path))


def test_the_time_of_a_part_stands_for_the_whole(tmp_path: object) -> None:
    calls: list[str] = []
    group = contest(
        "parts",
        [
            Contender(name="part", call=lambda: calls.append("part"), part=0.25),
            Contender(name="slow", call=lambda: calls.append("slow"), slow=True),
        ],
        rounds(tmp_path),
        unit="images",
        amount=8,
    )
    # Once to warm up, once for memory, once for how many calls fill the time, then two rounds.
    assert (calls.count("part"), calls.count("slow")) == (5, 2)
    part, slow = group.timed
    assert (part.part, slow.part) == (0.25, 1.0)
    assert len(part.seconds) == len(slow.seconds) == 2
    if slow.memory is not None:
        assert slow.memory >= 0


def test_what_is_asked_once_a_round_is_imported_before(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    pytest.importorskip("clip_benchmark")
    for name in [name for name in sys.modules if name.partition(".")[0] == "clip_benchmark"]:
        monkeypatch.delitem(sys.modules, name)
    split = gallery(12)
    (clip,) = [c for c in rivals.others(split, *embeddings(split, 3), slow=True) if c.name == rivals.CLIP]
    assert "clip_benchmark" not in sys.modules
    clip.ready()
    before = set(sys.modules)
    clip.call()
    assert not [name for name in set(sys.modules) - before if name.startswith("clip_benchmark")]


@pytest.mark.parametrize("slow", [False, True])
def test_memory_is_cleared_and_read_outside_what_is_timed(
    slow: bool, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.bench import contest as module
    from harness.bench import rounds as clock

    told: list[str] = []

    class Extra:
        def __init__(self, device: str) -> None:
            told.append("cleared")

        def bytes(self) -> int:
            told.append("read")
            return 7

    def timed(call: Any, calls: int, wait: Any) -> float:
        told.append("start")
        for _ in range(calls):
            call()
        told.append("stop")
        return 1.0

    monkeypatch.setattr(module, "ExtraMemory", Extra)
    monkeypatch.setattr(clock, "timed", timed)
    group = contest(
        "memory",
        [
            Contender(
                name="work", ready=lambda: told.append("ready"), call=lambda: told.append("call"), slow=slow
            )
        ],
        rounds(tmp_path),
    )
    assert group.timed[0].memory == 7
    alone = ["start", "call", "stop"]
    if slow:
        assert told == ["ready", "cleared", *alone, "read"] * 2
    else:
        first = ["ready", "call", "ready", "cleared", "call", "read"]
        assert told == first + ["ready", *alone] * 3


def test_memory_of_a_call_is_what_it_takes_beyond_what_was_held() -> None:
    import sys

    from harness.bench.memory import ExtraMemory

    held = torch.ones(2**22)  # 16 MB
    extra = ExtraMemory("cpu")
    assert (torch.ones(2**24) + held.sum()).sum() > 0  # 64 MB, twice
    took = extra.bytes()
    if sys.platform == "linux":
        assert took is not None
        assert 60e6 < took < 220e6
    else:
        assert took is None
