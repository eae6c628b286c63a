"""Plugins that hang: their cells are ended, with the stacks of all threads, and the other cells are done."""

from __future__ import annotations

import multiprocessing
import signal
from typing import Any

import pytest

from harness.errors import Interrupted
from harness.execute import confined
from harness.store import Store

LIMIT = 3.0
DIRECT = "direct: {experiment: direct}"
JUDGED = (
    (
        "plain: {}",
        "plain: {evaluators: [recall]}, judged: {evaluators: [five, hanging]}, fine: {evaluators: [five]}",
    ),
    ("raising: {use: hits, fault: raises}", "hanging: {use: hits, fault: hangs}"),
)


def test_a_run_in_a_process_of_its_own_is_the_same(
    toy: Any, toy_log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = toy.plan()
    outcomes = toy.execute(plan, stalled_after=600.0)
    assert [(o.status, o.error) for o in outcomes] == [("done", "")] * 4
    assert len(toy_log.events("training")) == 4
    told = toy.listener.told
    assert ("progress", "train", 3, 12) in told
    assert [event[1] for event in told if event[0] == "started"] == [1, 2, 3, 4]
    fingerprints = [o.result.fingerprint for o in outcomes]
    there = [Store(toy.home).checked(f, "ranks.parquet").read_bytes() for f in fingerprints]
    home = toy.home
    toy.home = home.with_name("here")
    alone = toy.execute(plan)
    assert [o.result.figures for o in alone] == [o.result.figures for o in outcomes]
    assert [Store(toy.home).checked(f, "ranks.parquet").read_bytes() for f in fingerprints] == there
    toy.home = home
    with monkeypatch.context() as patch:  # what is stored takes no process
        patch.setattr(confined, "_Watch", None)
        assert [o.status for o in toy.execute(plan, stalled_after=600.0)] == ["cached"] * 4
    other = toy.plan(("evaluators: [recall]}", "evaluators: [five]}"), only={"variant": ["plain"]})
    (judged,) = toy.execute(other, stalled_after=600.0)
    assert (judged.status, "five" in judged.result.figures) == ("cached", True)
    assert multiprocessing.active_children() == []


def test_what_hangs_is_ended_wherever_it_hangs_and_the_others_are_done(toy: Any) -> None:
    plan = toy.plan(
        *JUDGED,
        (DIRECT, "direct: {experiment: direct, text.fault: hangs}"),
        only={"variant": ["plain", "judged", "fine", "direct", "closed"]},
    )
    plain, judged, fine, direct, closed = toy.execute(plan, stalled_after=LIMIT)
    assert [o.status for o in (plain, fine, closed)] == ["done", "cached", "done"]
    for outcome, where in ((judged, "judges.py"), (direct, "models.py")):
        assert outcome.status == "failed"
        assert outcome.error == "it stalled: nothing has moved for 3 seconds"
        assert "raise --stalled-after" in outcome.hint
        story = outcome.traceback.read_text()
        assert f"harness_toy/{where}" in story
        assert "Current thread" in story
    assert "in evaluate" in judged.traceback.read_text()
    assert "in _broken" in direct.traceback.read_text()
    assert multiprocessing.active_children() == []
    # The trained run is stored; what it was judged by before stands.
    assert set(Store(toy.home).result(plain.result.fingerprint).figures) == {"recall", "five"}


def test_what_moves_is_not_ended_however_long_it_takes(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_SLEEP", "1")
    limit = 2 * LIMIT  # more than a busy disk takes for one thing
    plan = toy.plan(matrix="one")
    (outcome,) = toy.execute(plan, stalled_after=limit)
    assert outcome.status == "done", outcome.error
    assert outcome.seconds > limit
    shared = toy.plan(matrix="seeds", seeds=[1])
    (outcome,) = toy.execute(shared, devices=2, stalled_after=limit)
    assert outcome.status == "done", outcome.traceback.read_text()


def test_one_of_several_devices_that_hangs_is_told_with_its_stack(toy: Any) -> None:
    plan = toy.plan((DIRECT, "direct: {experiment: direct, text.fault: hangs}"), only={"variant": ["direct"]})
    (outcome,) = toy.execute(plan, devices=2, stalled_after=LIMIT)
    assert outcome.error == "it stalled: nothing has moved for 3 seconds"
    story = outcome.traceback.read_text()
    assert story.count("in _broken") == 2
    assert "in _listen" in story


def test_a_process_that_ends_just_after_it_was_heard_is_heard_once_more(
    toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen = confined._Watch._listen

    def listen_and_wait(self: Any) -> None:
        listen(self)
        self.process.join(60)

    monkeypatch.setattr(confined._Watch, "_listen", listen_and_wait)
    (outcome,) = toy.execute(toy.plan(matrix="one"), stalled_after=600.0)
    assert (outcome.status, outcome.error) == ("done", "")


@pytest.mark.parametrize(
    ("fault", "code", "options"),
    [("prints", 0, ("--stalled-after", "10")), ("prints and raises", 1, ("--devices", "2"))],
)
def test_what_a_component_prints_is_heard(
    command: Any, fault: str, code: int, options: tuple[str, str]
) -> None:
    registry = command.folder / "registry.yaml"
    text = registry.read_text().replace("words: {use: words}", f"words: {{use: words, fault: {fault}}}")
    registry.write_text(text)
    ended, _, err = command("run", "--matrix", "one", "--threads", "1", "--device", "cpu", *options)
    assert ended == code, err
    assert "a plugin talks" in err


def test_a_killed_process_and_a_signal_are_told_as_they_are(toy: Any) -> None:
    plan = toy.plan(
        (DIRECT, "direct: {experiment: direct, text.fault: killed}"), only={"variant": ["direct"]}
    )
    (outcome,) = toy.execute(plan, stalled_after=600.0)
    assert outcome.error == "the process that did it was killed by SIGKILL"
    toy.listener.at = lambda phase, done, total: stop.append(signal.SIGTERM) if phase == "train" else None
    stop: list[int] = []
    with pytest.raises(Interrupted):
        toy.execute(plan, stalled_after=600.0, stopping=lambda: int(bool(stop)) * signal.SIGTERM)
    assert (Store(toy.home).work(plan.runs[0].fingerprint) / "checkpoint.pt").is_file()
    toy.listener.at = lambda *_: None
    (again,) = toy.execute(plan)
    assert again.status == "done"
    assert any(event[0] == "note" and "resumed in epoch" in event[1] for event in toy.listener.told)
