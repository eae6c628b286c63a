"""Real processes, really killed, at random moments and at every named point: nothing is lost and no figure moves."""

from __future__ import annotations

import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.durable import hold
from harness.leaderboard import check, read_rows
from harness.store import Store
from tests.faults.conftest import Faults
from tests.faults.phases import PHASES, Watched
from tests.faults.processes import OFTEN, Place, Victim, Victims

LEAST = 15
"""Kills that each phase must have suffered in the long form."""
SEED = "HARNESS_FAULTS_SEED"
"""Environment variable: what named points the short form kills at; a failed test prints the one that it had."""


@dataclass(frozen=True)
class Calm:
    """What an undisturbed matrix gives.

    Args:
        figures: see `Place.figures`.
        runs: the cell's labels, as the progress tells them -> fingerprint.
        seconds: that it takes.
        passages: phase -> seconds of each time that it is entered.
        points: the named points in the order in which they are passed.
    """

    figures: dict[str, Any]
    runs: dict[str, str]
    seconds: float
    passages: dict[str, list[float]]
    points: list[str]

    def wrong(self, place: Place) -> int:
        """Return how many figures of a matrix that came to its end are others."""
        found = place.figures()
        return sum(found.get(name) != value for name, value in self.figures.items())

    def reported(self, victim: Victim) -> set[str]:
        """Return the runs that a victim told to be done."""
        return {self.runs[told] for told in re.findall(r"\[\d/4\] (variant=\w+)  rSum", victim.said)}


@pytest.fixture(scope="module")
def calm(victims: Victims, place_in: Callable[..., Place], tmp_path_factory: pytest.TempPathFactory) -> Calm:
    place = place_in(tmp_path_factory.mktemp("calm"))
    points, watched = place.folder / "points.txt", Watched(place.folder / "phase.txt")
    watched.clear()
    begun = time.monotonic()
    victim = victims.run(place, OFTEN + watched.before() + f"phases.record({str(points)!r})")
    assert victim.wait() == 0, victim.said
    seconds = time.monotonic() - begun
    rows = read_rows(place.folder / "leaderboards" / "results.jsonl")
    found = Calm(
        figures=place.figures(),
        runs={f"variant={row.labels['variant']}": row.fingerprint for row in rows},
        seconds=seconds,
        passages=watched.seconds(),
        points=points.read_text().splitlines(),
    )
    assert len(found.figures) == 8
    assert found.reported(victim) == {name for name in found.figures if not name.startswith("row")}
    assert place.left() == []
    assert check(place.folder / "leaderboards") == []
    assert all(found.passages.values())
    return found


def moments(calm: Calm, chance: random.Random) -> Iterator[tuple[str, float]]:
    """Yield moments of death: within a phase, entered for some time, each in turn, and at any time at all."""
    while True:
        for phase in (*PHASES, "any"):
            lasts = calm.passages.get(phase, [calm.seconds])
            yield phase, chance.uniform(0, sum(lasts) / len(lasts))


def kill(victim: Victim, watched: Watched, phase: str, passage: int, seconds: float) -> None:
    """Kill a victim some seconds after it entered a phase for the given time, or after it began; it may end before."""
    while phase in PHASES and not victim.over and watched.now()[1][phase] < passage:
        victim.server.listen(0.001)
    victim.kill_after(seconds)


@pytest.mark.fault(1)
def test_kills_at_random_moments_cost_nothing(
    victims: Victims, place: Callable[..., Place], calm: Calm, faults: Faults, long: bool, tmp_path: Path
) -> None:
    chance, watched, died = random.Random(2026), Watched(tmp_path / "phase.txt"), Counter[str]()
    ahead, kills, rounds = moments(calm, chance), 220 if long else 4, 0

    def enough() -> bool:
        fewest = min(died[phase] for phase in PHASES)
        return faults.injected >= kills and (not long or fewest >= LEAST or faults.injected >= 3 * kills)

    while not enough():
        here, seen, killed = place(f"round-{rounds}"), set[str](), 0
        while True:
            watched.clear()
            victim = victims.run(here, OFTEN + watched.before())
            if not enough():
                phase, seconds = next(ahead)
                # What was killed before has less left to do.
                passage = 1 if killed else chance.randint(1, len(calm.passages.get(phase, [0])))
                kill(victim, watched, phase, passage, seconds * (0.5 if killed else 1.0))
            code = victim.wait()
            if code == 0:
                break
            assert code == -9, victim.said
            killed += 1
            with faults.inject():
                there = set(here.kept())
                seen |= calm.reported(victim)
                faults.lost += len(seen - there)
            died[watched.now()[0]] += 1
            seen |= there
        rounds += 1
        faults.wrong += calm.wrong(here)
        assert here.left() == []
        assert check(here.folder / "leaderboards") == []
    told = ", ".join(f"{phase} {died[phase]}" for phase in (*PHASES, "else"))
    faults.notes.append(f"{died.total()} kills over {rounds} matrices: {told}")
    assert (faults.lost, faults.wrong) == (0, 0)
    assert not long or min(died[phase] for phase in PHASES) >= LEAST, told


@pytest.mark.fault(23)
def test_a_kill_at_a_named_point_costs_nothing(
    victims: Victims, place: Callable[..., Place], calm: Calm, faults: Faults, long: bool
) -> None:
    """At whichever passage: a point that one run passes well may be another's end."""
    often = Counter(calm.points)
    assert {
        "before checkpoint.pt",
        "second checkpoint.pt",
        "sealed run",
        "aside run",
        "renamed run",
        "after results.jsonl",
    } <= set(often)
    passages = [(name, passage) for name in often for passage in range(1, often[name] + 1)]
    later = [each for each in passages if each[1] > 1]
    seed = int(os.environ.get(SEED) or random.SystemRandom().randrange(10**6))
    print(f"{SEED}={seed} chooses these again")
    chance = random.Random(seed)
    chosen = passages if long else [chance.choice(passages), chance.choice(later)]
    for number, (name, passage) in enumerate(chosen):
        here = place(f"at-{number}")
        victim = victims.run(
            here, OFTEN + f"from tests.faults import phases\nphases.die_at({name!r}, {passage})"
        )
        assert victim.wait() == -9, victim.said
        with faults.inject():
            seen = set(here.kept()) | calm.reported(victim)
            victim = victims.run(here)
            assert victim.wait() == 0, (name, passage, victim.said)
            faults.lost += len(seen - set(here.kept()))
            faults.wrong += calm.wrong(here)
            assert here.left() == [], (name, passage)
    faults.notes.append(f"{len(often)} points, passed {len(passages)} times")
    assert (faults.lost, faults.wrong) == (0, 0)


@pytest.mark.fault(4)
def test_many_processes_on_one_matrix_train_each_run_once(
    victims: Victims, place: Callable[..., Place], calm: Calm, faults: Faults, long: bool
) -> None:
    for count in (2, 3, 4, 5, 6, 7, 8) if long else (4,):
        here = place(f"{count}-at-once")
        log = here.folder / "toy.log"
        with faults.inject(count - 1):
            all_of_them = [victims.run(here, TOY_LOG=str(log)) for _ in range(count)]
            for victim in all_of_them:
                assert victim.wait() == 0, victim.said
            events = log.read_text().splitlines()
            assert events.count("training") == 4
            assert sum(int(event.split()[1]) for event in events if event.startswith("compute")) == 16 + 8 + 8
            faults.wrong += calm.wrong(here)
            assert here.left() == []
    assert faults.wrong == 0


@pytest.mark.fault(24)
def test_what_killed_processes_left_is_cleared_by_whoever_lists_the_runs(
    victims: Victims, place: Callable[..., Place]
) -> None:
    """Also of a run that nobody asks for again; what a living process writes is left alone."""
    here = place()
    victim = victims.run(
        here,
        OFTEN + "import harness.store, os\nharness.store.seal = lambda *_: os.kill(os.getpid(), 9)",
    )
    assert victim.wait() == -9
    store = Store(here.home)
    (left,) = store.left()
    with hold(here.home, left.name.split(".")[1]):
        assert store.fingerprints() == []
        assert store.left() == [left]
    assert store.fingerprints() == []
    assert store.left() == []
