"""Figures by labels follow the labels: other ones are judged by anew, and where they are gone nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.execute import score
from harness.store import Store

PLANNED = ("  five: {use: hits, k: 5}", "  five: {use: hits, k: 5}\n  marked: {use: marked}")
ASKED = ("stage: one, evaluators: [recall]", "stage: one, evaluators: [recall, marked]")


def test_other_labels_are_judged_by_anew(
    toy: Any, toy_log: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "labels.txt"
    monkeypatch.setenv("TOY_LABELS", str(file))

    def run(labels: str | None) -> tuple[Any, list[str]]:
        file.unlink(missing_ok=True)
        if labels is not None:
            file.write_text(labels)
        toy_log.clear()
        (outcome,) = toy.execute(toy.plan(PLANNED, ASKED, matrix="one"))
        assert outcome.error == ""
        assert Store(toy.home).result(outcome.result.fingerprint).figures == outcome.result.figures
        return outcome.result, toy_log.events("evaluate")

    empty, events = run("")
    assert events == ["evaluate 1", "evaluate marked"]
    assert empty.figures["marked"]["values"] == {}
    found, events = run("test0 test1")
    assert events == ["evaluate marked"], "labels that came later"
    assert set(found.figures["marked"]["values"]) == {"t2i.recall@1"}
    assert run("test0\ntest1") == (found, []), "the same labels in another form"
    other, events = run("test0 test1 test2 test3 test4 test5 test6 test7")
    assert events == ["evaluate marked"]
    assert other.figures["marked"]["labels"] != found.figures["marked"]["labels"]
    assert other.figures["marked"]["values"] == {
        "t2i.recall@1": pytest.approx(other.figures["recall"]["values"]["t2i.recall@1"])
    }
    assert other.figures["recall"] == found.figures["recall"]
    for gone in ("", None):
        assert run(gone) == (other, []), "no labels take nothing away"


def test_no_file_is_read_to_see_that_labels_are_the_same(
    toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "labels.txt"
    monkeypatch.setenv("TOY_LABELS", str(file))
    file.write_text("test0 test1")

    def run() -> Any:
        (outcome,) = toy.execute(toy.plan(PLANNED, ASKED, matrix="one"))
        assert outcome.error == ""
        return outcome.result

    def read(*_: Any) -> Any:
        raise AssertionError("the ranking was read")

    first = run()
    with monkeypatch.context() as patch:
        patch.setattr(score, "read_stored", read)
        assert run() == first
        file.write_text("test0 test2")
        (outcome,) = toy.execute(toy.plan(PLANNED, ASKED, matrix="one"))
        assert "the ranking was read" in outcome.error
