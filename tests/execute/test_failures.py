"""A cell that fails: its cause on one line, its story in a file, the command that does it alone, and the others."""

from __future__ import annotations

import gc
import importlib
import json
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.accumulation import Parts
from harness.errors import DataError
from harness.execute.failure import LONGEST, record, told
from harness.execute.rows import publish_rows
from harness.leaderboard import check, read_attempts, read_rows
from harness.store import Store

Invoke = Callable[..., tuple[int, str, str]]
RUN = ("run", "--device", "cpu", "--threads", "1", "--matrix", "whole")
LOSS = (
    (
        "contrast: {use: contrast}",
        "contrast: {use: contrast}\n  broken: {use: mined, candidates: 1, take: 9}",
    ),
    ("two: {like: one", "bad: {like: one, losses: {broken: 1}}\n  two: {like: one"),
    ("direct: {experiment: direct}", "direct: {stage: bad}"),
)


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("escapes", "GeneratorExit: past every except Exception"),
        ("memory", "out of memory at a batch of 6, peak"),
        ("allocator", "out of memory at a batch of 6, peak"),
    ],
)
def test_whatever_a_component_raises_the_other_cells_are_done(toy: Any, fault: str, cause: str) -> None:
    plan = toy.plan(
        ("direct: {experiment: direct}", f"direct: {{experiment: direct, text.fault: {fault}}}"),
        only={"variant": ["direct", "closed"]},
    )
    failed, done = toy.execute(plan)
    assert (failed.status, done.status) == ("failed", "done")
    assert failed.error.startswith(cause)
    assert "\n" not in failed.error
    assert ("batch in stage 'one'" in failed.hint) == ("memory" in cause)
    story = failed.traceback.read_text()
    assert "in _broken" in story
    assert story.rstrip().endswith(failed.hint or failed.error)


def test_memory_that_runs_out_in_one_of_several_processes_is_told_with_its_own_peak(
    toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.execute.failure.peak_bytes", lambda device: 0)  # this process used no GPU
    plan = toy.plan(
        ("direct: {experiment: direct}", "direct: {experiment: direct, text.fault: memory}"),
        only={"variant": ["direct"]},
    )
    (failed,) = toy.execute(plan, devices=2)
    peak = re.match(r"out of memory at a batch of 6, peak (\d+\.\d) GB: ", failed.error)
    assert peak is not None, failed.error
    assert float(peak[1]) > 0
    assert failed.hint.startswith("Use --accumulate auto without --devices, a smaller batch in stage 'one'")
    assert "in _broken" in failed.traceback.read_text()


@pytest.mark.parametrize(
    ("fields", "first"),
    [
        ({}, "Use --accumulate auto, a smaller batch"),
        ({"parts": Parts(count=3)}, "Use --accumulate auto, a smaller batch"),
        ({"parts": Parts(halve=True)}, "Use a smaller batch"),
        ({"devices": 2}, "Use --accumulate auto without --devices, a smaller batch"),
        ({"compile": "inductor"}, "Use --accumulate auto without --compile, a smaller batch"),
    ],
)
def test_what_to_do_about_memory_is_what_was_not_tried_and_goes(
    toy: Any, fields: dict[str, Any], first: str
) -> None:
    (run,) = toy.plan(matrix="one").runs
    failure = record(MemoryError(), run, toy.workspace(**fields), Store(toy.home), name="it")
    assert failure.hint == f"{first} in stage 'one', or a device with more memory."


def test_a_loss_that_raises_fails_its_cell_alone(toy: Any) -> None:
    failed, done = toy.execute(toy.plan(*LOSS, only={"variant": ["direct", "closed"]}))
    assert (failed.status, done.status) == ("failed", "done")
    assert "in mine" in failed.traceback.read_text()


def test_each_evaluator_that_fails_has_a_story_of_its_own(toy: Any) -> None:
    raising = "raising: {use: hits, fault: raises}"
    plan = toy.plan(
        (raising, f"{raising}\n  exiting: {{use: hits, fault: exits}}"),
        ("plain: {}", "plain: {evaluators: [raising]}, judged: {evaluators: [recall, exiting]}, fine: {}"),
        only={"variant": ["plain", "judged", "fine"]},
    )
    assert len(plan.runs) == 1
    first, second, fine = toy.execute(plan)
    assert [o.status for o in (first, second, fine)] == ["failed", "failed", "done"]
    assert "boom in evaluate" in first.traceback.read_text()
    assert "SystemExit: 3" in second.traceback.read_text()


def test_an_evaluator_that_fails_holds_no_embeddings_while_others_work(toy: Any, toy_log: Any) -> None:
    plan = toy.plan(
        ("plain: {}", "plain: {evaluators: [raising]}, fine: {evaluators: [recall, five]}"),
        only={"variant": ["plain", "fine"]},
    )
    importlib.import_module("harness_toy.judges").SEEN.clear()
    gc.collect()
    gc.disable()  # which would come by some time
    try:
        outcomes = toy.execute(plan)
    finally:
        gc.enable()
    assert [o.status for o in outcomes] == ["failed", "done"]
    assert toy_log.events("held") == ["held 0", "held 0", "held 1"]


def test_fail_fast_begins_nothing_more_and_children_fail_with_their_parent(toy: Any, toy_log: Any) -> None:
    plan = toy.plan(
        ("plain: {}", "plain: {text.fault: raises}"), ("after: {", "after: {text.fault: raises, ")
    )
    outcomes = toy.execute(plan, fail_fast=True)
    assert [o.status for o in outcomes] == ["failed", "skipped", "skipped", "failed"]
    assert outcomes[3].traceback == outcomes[0].traceback
    assert len(toy_log.events("training")) == 1
    # What is stored is not begun either, and stays.
    assert [o.status for o in toy.execute(plan)] == ["failed", "done", "done", "failed"]


def test_a_stored_child_outlives_a_parent_that_fails(toy: Any) -> None:
    plan = toy.plan(only={"variant": ["after"]})
    (first,) = toy.execute(plan)
    store = Store(toy.home)
    (store.folder(plan.runs[0].fingerprint) / "result.json").unlink()
    toy.listener.at = lambda phase, *_: 1 / 0
    (again,) = toy.execute(plan)
    assert again.status == "cached"
    assert again.result.figures == first.result.figures


def test_a_parent_that_is_no_cell_is_told_of(toy: Any) -> None:
    plan = toy.plan(("after: {", "after: {text.fault: raises, "), only={"variant": ["after"]})
    (outcome,) = toy.execute(plan)
    parent = plan.runs[0].fingerprint
    assert outcome.error == f"its parent run {parent} failed: ZeroDivisionError: boom in forward"
    (note,) = [event[1] for event in toy.listener.told if event[0] == "note"]
    assert note.startswith(f"run {parent} failed: ZeroDivisionError")
    assert "boom in forward" in outcome.traceback.read_text()


def test_a_cause_is_one_line_however_long_the_error() -> None:
    error = DataError("broken", problems=[f"file {k} is missing" for k in range(100)], hint="Get\nthem.")
    cause, hint = told(error)
    assert len(cause) == LONGEST
    assert cause.startswith("broken - file 0 is missing - file 1")
    assert hint == "Get them."
    assert told(SystemExit()) == ("SystemExit", "")


def test_the_printed_command_does_the_failed_cell_and_no_other(
    invoke: Invoke, toy_registry: Callable[..., Path], toy_log: Any, tmp_path: Path
) -> None:
    toy_registry(("direct: {experiment: direct}", "direct: {text.fault: raises}"))
    home = tmp_path / "a home"
    asked = (*RUN, "--limit", "8", "--home", str(home), "--seed", "7", "--dataset", "twisted", "--fail-fast")
    code, out, err = invoke(*asked, "--only", "variant=plain", "--only", "variant=direct")
    assert code == 1
    summary = err[err.index("1 of 2 cells failed") :]
    alone = shlex.split(summary.split("alone: ")[1].splitlines()[0])
    story = Path(summary.split("traceback: ")[1].splitlines()[0])
    assert "boom in forward" in story.read_text()
    assert out.index("direct") < out.index("plain")
    assert alone[0] == "harness"

    toy_log.clear()
    code, out, _ = invoke(*alone[1:], "--json")
    (cell,) = json.loads(out)["cells"]
    assert (code, cell["status"], cell["error"]) == (1, "failed", "ZeroDivisionError: boom in forward")
    assert cell["labels"] == {"dataset": "twisted", "variant": "direct", "seed": "7"}
    assert Path(cell["traceback"]) == story
    assert shlex.split(cell["alone"]) == alone
    assert len(toy_log.events("training")) == 1


def test_a_failed_cell_stands_in_the_results_until_it_gives_figures(
    invoke: Invoke, toy_registry: Callable[..., Path], tmp_path: Path
) -> None:
    home = tmp_path / "a home"
    asked = (*RUN, "--home", str(home), "--only", "variant=plain", "--only", "variant=direct")
    shown = ("    leaderboard: false\n    axes:\n      variant", "    axes:\n      variant")
    direct = ("direct: {experiment: direct}", "direct: {text.fault: raises}")
    toy_registry(shown, direct)
    for _ in range(2):
        code, out, _ = invoke(*asked)
        assert code == 1
        assert "leaderboards: " in out
    results = tmp_path / "registry" / "leaderboards" / "results.jsonl"
    (row,) = read_rows(results)
    (attempts,) = read_attempts(results)
    assert row.labels["variant"] == "plain"
    assert attempts.labels["variant"] == "direct"
    assert (attempts.failed, attempts.measured) == (2, False)
    last = attempts.last
    assert last.cause == "ZeroDivisionError: boom in forward"
    assert last.command.startswith("harness run --device cpu")
    assert "a home" not in results.read_text()
    assert check(results.parent) == []
    page = (results.parent / "dataset-toys.md").read_text()
    assert page.count("boom in forward") == 1

    toy_registry(shown)
    code, _, _ = invoke(*asked)
    assert code == 0
    assert {row.labels["variant"] for row in read_rows(results)} == {"plain", "direct"}
    (attempts,) = read_attempts(results)
    assert (attempts.failed, attempts.measured) == (2, True)
    assert "boom" not in (results.parent / "dataset-toys.md").read_text()


def test_tables_that_cannot_be_written_hide_no_failure(
    invoke: Invoke, toy_registry: Callable[..., Path], tmp_path: Path
) -> None:
    toy_registry(
        ("    leaderboard: false\n    axes:\n      variant", "    axes:\n      variant"),
        ("direct: {experiment: direct}", "direct: {text.fault: raises}"),
    )
    results = tmp_path / "registry" / "leaderboards" / "results.jsonl"
    results.parent.mkdir()
    results.write_text("<<<<<<< HEAD\n")
    code, _, err = invoke(*RUN, "--home", str(tmp_path / "home"), "--only", "variant=direct")
    assert code == 1
    assert "cause: ZeroDivisionError: boom in forward" in err
    assert "results.jsonl, line 1 is damaged" in err
    assert results.read_text() == "<<<<<<< HEAD\n"


def test_a_cause_keeps_neither_the_place_of_the_store_nor_half_a_character(toy: Any, tmp_path: Path) -> None:
    plan = toy.plan(
        ("direct: {experiment: direct}", "direct: {text.fault: raises}"), only={"variant": ["direct"]}
    )
    (outcome,) = toy.execute(plan)
    error = f"cannot write {toy.home}/work: {Path.home()}/x \udcff is full"
    publish_rows([replace(outcome, error=error)], plan.runs, home=toy.home, folder=tmp_path / "tables")
    (attempts,) = read_attempts(tmp_path / "tables" / "results.jsonl")
    assert attempts.last.cause == "cannot write .harness/work: ~/x \\udcff is full"
    assert attempts.last.date == outcome.provenance["finished"]


def test_a_limit_that_is_none_is_refused_and_one_that_is_stands_in_the_command_of_a_cell(
    invoke: Invoke, toy_registry: Callable[..., Path]
) -> None:
    for minutes in ("0", "-1", "inf", "nan"):
        code, _, err = invoke(*RUN, f"--stalled-after={minutes}")
        assert code == 2
        assert f"--stalled-after {minutes}: it takes minutes, more than 0" in err
        assert "Use --stalled-after 60, or leave it out" in err
    toy_registry(("plain: {}", "plain: {text.fault: raises}"))
    code, out, _ = invoke(*RUN, "--stalled-after", "90", "--only", "variant=plain", "--json")
    assert code == 1
    assert "--stalled-after=90.0" in json.loads(out)["cells"][0]["alone"]
