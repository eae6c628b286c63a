"""Real processes, really killed, at random moments and at every named point: nothing is lost and no figure moves."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from harness.durable import hold
from harness.leaderboard import check, read_rows
from harness.store import Store

RUN = ("run", "--matrix", "faulty", "--threads", "1", "--device", "cpu")
OFTEN = "import harness.train\nharness.train.CHECKPOINT_SECONDS = 0.0\n"
RECORD = """
import harness.durable
def record(name):
    with open({path!r}, "a") as file:
        file.write(name + "\\n")
harness.durable.failpoint = record
"""
DIE = """
import os, signal, harness.durable
left = [{at}]
def die(name):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
harness.durable.failpoint = die
"""


def run(victims: Any, place: Any, before: str = OFTEN, **environment: str) -> Any:
    """Start the matrix in a process of its own."""
    return victims.start(*RUN, "--home", str(place.home), folder=place.folder, before=before, **environment)


def figures(place: Any) -> dict[str, Any]:
    """Return all that must not depend on how often a run was killed, by run and by row."""
    store, found = Store(place.home), dict[str, Any]()
    for fingerprint in store.fingerprints():
        folder, result = store.folder(fingerprint), store.result(fingerprint)
        tensors = [load_file(folder / f"{name}.safetensors") for name in ("embeddings", "weights")]
        history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
        found[fingerprint] = (
            *({name: array.tobytes() for name, array in each.items()} for each in tensors),
            *((folder / name).read_bytes() for name in ("ranks.parquet", "queries.npz")),
            [{key: value for key, value in row.items() if key != "seconds"} for row in history],
            result.figures,
            (result.best_epoch, result.val_rsum, result.passport, result.spec),
        )
    for row in read_rows(place.folder / "leaderboards" / "results.jsonl"):
        found[f"row {row.labels}"] = (row.fingerprint, row.metrics, row.val_rsum, row.best_epoch)
    return found


def acknowledged(place: Any) -> set[str]:
    """Return what a reader would find now; each of it must be whole."""
    store, found = Store(place.home), set[str]()
    for fingerprint in store.fingerprints():
        assert store.damage(fingerprint) == []
        assert store.result(fingerprint).fingerprint == fingerprint
        found.add(fingerprint)
    rows = place.folder / "leaderboards" / "results.jsonl"
    return found | ({f"row {row.labels}" for row in read_rows(rows)} if rows.exists() else set())


def tidy(place: Any) -> list[Path]:
    """Return what is left of killed processes: nothing, once a run came to its end."""
    hidden = [path for path in place.folder.rglob(".*") if not path.name.endswith(".lock")]
    return hidden + list((place.home / "work").glob("*"))


@pytest.fixture(scope="module")
def calm(
    victims: Any, toy_text: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], float, list[str]]:
    """What an undisturbed matrix gives, how long it takes, and which points it passes."""
    folder = tmp_path_factory.mktemp("calm")
    matrix = toy_text + victims.matrix
    (folder / "registry.yaml").write_text(matrix, encoding="utf-8")
    place = victims.place(folder)
    begun = time.monotonic()
    victim = run(victims, place, OFTEN + RECORD.format(path=str(folder / "points.txt")))
    assert victim.wait() == 0, victim.said
    seconds = time.monotonic() - begun
    found = figures(place)
    assert len(found) == 8
    assert tidy(place) == []
    assert check(folder / "leaderboards") == []
    return found, seconds, (folder / "points.txt").read_text().splitlines()


@pytest.mark.fault(1)
def test_kills_at_random_moments_cost_nothing(
    victims: Any, place: Callable[..., Any], calm: Any, faults: Any, long: bool
) -> None:
    expected, seconds, _ = calm
    chance, rounds = random.Random(2026), 0
    kills = 220 if long else 4
    while faults.injected < kills or not rounds:
        here, seen, killed = place(f"round-{rounds}"), set[str](), 0
        while True:
            begun, victim = time.monotonic(), run(victims, here)
            if faults.injected < kills:
                # What was killed before has less left to do.
                victim.kill_after(chance.uniform(0, seconds * (0.5 if killed else 1.0)))
            code = victim.wait()
            if code == 0:
                break
            assert code == -9, victim.said
            killed += 1
            there = acknowledged(here)
            faults.one(lost=len(seen - there))
            seen |= there
        if not killed:  # the machine is faster by now, and the kill came too late
            seconds = min(seconds, time.monotonic() - begun)
        rounds += 1
        found = figures(here)
        faults.wrong += sum(found.get(name) != value for name, value in expected.items())
        assert tidy(here) == []
        assert check(here.folder / "leaderboards") == []
    assert (faults.lost, faults.wrong) == (0, 0)
    print(f"{faults.injected} kills in {rounds} matrices")


@pytest.mark.fault(23)
def test_a_kill_at_a_named_point_costs_nothing(
    victims: Any, place: Callable[..., Any], calm: Any, faults: Any, long: bool
) -> None:
    expected, _, points = calm
    first = {name: position for position, name in reversed(list(enumerate(points, 1)))}
    assert {
        "before checkpoint.pt",
        "second checkpoint.pt",
        "sealed run",
        "renamed run",
        "after results.jsonl",
    } <= set(first)
    chosen = sorted(first.values())
    # Points of every kind of write, and each from time to time.
    for position in chosen if long else random.SystemRandom().sample(chosen, 2):
        here = place(f"at-{position}")
        victim = run(victims, here, OFTEN + DIE.format(at=position))
        assert victim.wait() == -9, victim.said
        seen = acknowledged(here)
        victim = run(victims, here)
        assert victim.wait() == 0, victim.said
        assert seen <= acknowledged(here)
        found = figures(here)
        faults.one(wrong=sum(found.get(name) != value for name, value in expected.items()))
        assert tidy(here) == []
    assert (faults.lost, faults.wrong) == (0, 0)


@pytest.mark.fault(4)
def test_many_processes_on_one_matrix_train_each_run_once(
    victims: Any, place: Callable[..., Any], calm: Any, faults: Any, long: bool
) -> None:
    expected, _, _ = calm
    for count in (2, 4, 8) if long else (4,):
        here = place(f"{count}-at-once")
        log = here.folder / "toy.log"
        all_of_them = [run(victims, here, TOY_LOG=str(log)) for _ in range(count)]
        for victim in all_of_them:
            assert victim.wait() == 0, victim.said
        events = log.read_text().splitlines()
        assert events.count("training") == 4
        assert sum(int(event.split()[1]) for event in events if event.startswith("compute")) == 16 + 8 + 8
        found = figures(here)
        faults.injected += count - 1
        faults.survived += count - 1
        faults.wrong += sum(found.get(name) != value for name, value in expected.items())
        assert tidy(here) == []
    assert faults.wrong == 0


@pytest.mark.fault(24)
def test_what_killed_processes_left_is_cleared_by_whoever_lists_the_runs(
    victims: Any, place: Callable[..., Any]
) -> None:
    """Also of a run that nobody asks for again; what a living process writes is left alone."""
    here = place()
    victim = run(
        victims,
        here,
        OFTEN
        + "from harness.store import Store\nimport os\nStore._seal = lambda *_: os.kill(os.getpid(), 9)",
    )
    assert victim.wait() == -9
    store = Store(here.home)
    (left,) = store.left()
    with hold(here.home, left.name.split(".")[1]):
        assert store.fingerprints() == []
        assert store.left() == [left]
    assert store.fingerprints() == []
    assert store.left() == []
