"""A plan becomes results: each run once, failures stay where they are, children start where parents ended."""

from __future__ import annotations

import importlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from harness.errors import Interrupted, StoreError
from harness.store import Store

STEPS = 4 * 3  # epochs of stage one, batches of 6 of the 16 training images


def broken(fault: str) -> tuple[str, str]:
    """Make the cell `direct` use words that break; the others stay as they are."""
    return "direct: {experiment: direct}", f"direct: {{experiment: direct, text.fault: {fault}}}"


def test_a_plan_is_done_and_then_read_from_the_store(toy: Any, toy_log: Any) -> None:
    plan = toy.plan()
    outcomes = toy.execute(plan)
    assert [(o.status, o.error) for o in outcomes] == [("done", "")] * 4
    assert [o.cell for o in outcomes] == list(plan.cells)
    assert len(toy_log.events("training")) == len(plan.runs) == 4
    for outcome in outcomes:
        result = outcome.result
        assert result.fingerprint == outcome.cell.run.fingerprint
        assert (result.images, result.captions, result.limit) == (8, 16, None)
        figures = result.figures["recall"]["values"]
        assert set(figures) == {"i2t.recall@1", "t2i.recall@1", "rsum"}
        assert result.provenance["versions"]["acme-toy"] == "1.0"
        assert result.cost["peak_memory_bytes"] > 10**6
        assert Store(toy.home).damage(result.fingerprint) == []
    assert [o.result.epochs for o in outcomes] == [4, 4, 1, 2]
    toy_log.clear()
    again = toy.execute(plan)
    assert [o.status for o in again] == ["cached"] * 4
    assert toy_log.events() == []
    assert [o.result.figures for o in again] == [o.result.figures for o in outcomes]


def test_features_are_computed_once_for_all_cells(toy: Any, toy_log: Any) -> None:
    # Three cells on the same frozen backbone: train, val and test once each.
    toy.execute(toy.plan())
    images = [int(event.split()[1]) for event in toy_log.events("compute")]
    assert sum(images) == 16 + 8 + 8


def test_force_trains_again_and_the_old_result_stays_until_then(toy: Any, toy_log: Any) -> None:
    plan = toy.plan(matrix="one")
    (first,) = toy.execute(plan)
    store, seen = Store(toy.home), []
    toy.listener.at = lambda *_: seen.append(store.result(first.result.fingerprint).provenance["finished"])
    toy_log.clear()
    (second,) = toy.execute(plan, force=True)
    assert second.status == "done"
    assert len(toy_log.events("training")) == 1
    assert len(toy_log.events("step")) == STEPS
    assert set(seen) == {first.result.provenance["finished"]}
    assert second.result.figures == first.result.figures


def test_force_that_fails_keeps_the_old_result(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = toy.plan(matrix="one")
    (first,) = toy.execute(plan)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("harness.execute.run.write_ranks", full)
        (second,) = toy.execute(plan, force=True)
    assert second.status == "failed"
    assert "No space left on device" in second.error
    assert Store(toy.home).result(first.result.fingerprint) == replace(first.result, notes=[])
    assert Store(toy.home).damage(first.result.fingerprint) == []


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("raises", "ZeroDivisionError: boom in forward"),
        ("exits", "SystemExit"),
        ("nan", "loss contrast is nan in epoch 1, step 1"),
        ("nan on test", "8 of 8|16 of 16 caption embeddings are NaN or infinite: val0#0"),
        ("shape", "8x8|size|shape"),
        ("rows", "split 'val' has 8 images and 16 captions"),
        ("lengths", "Words.prepare returned tensors of different shapes"),
    ],
)
def test_a_cell_that_fails_costs_only_itself(toy: Any, fault: str, cause: str) -> None:
    plan = toy.plan(broken(fault))
    outcomes = toy.execute(plan)
    assert [o.status for o in outcomes] == ["done", "failed", "done", "done"]
    failed = outcomes[1]
    assert re.search(cause, failed.error)
    assert failed.result is None
    story = failed.traceback.read_text()
    assert "Traceback" in story
    assert failed.error.splitlines()[0] in story
    assert not Store(toy.home).finished(failed.cell.run.fingerprint)
    assert toy.listener.told[-1] == ("finished", "done")
    # What was stored is not done again, and the failure is not believed to be a result.
    assert [o.status for o in toy.execute(plan)] == ["cached", "failed", "cached", "cached"]


def test_a_plugin_that_turns_global_switches_does_not_change_other_cells(toy: Any) -> None:
    import torch

    calm = toy.execute(toy.plan())
    changed = toy.plan(("plain: {}", "plain: {text.fault: default dtype}"))
    outcomes = toy.execute(changed, force=True)
    assert torch.get_default_dtype() == torch.float32
    assert [o.result.figures for o in outcomes[1:]] == [o.result.figures for o in calm[1:]]


def test_a_failing_parent_fails_its_child_with_the_cause(toy: Any, toy_log: Any) -> None:
    plan = toy.plan(
        ("plain: {}", "plain: {text.fault: raises}"), ("after: {", "after: {text.fault: raises, ")
    )
    outcomes = toy.execute(plan)
    assert [o.status for o in outcomes] == ["failed", "done", "done", "failed"]
    parent = outcomes[0].cell.run.fingerprint
    assert outcomes[3].error == f"its parent run {parent} failed: ZeroDivisionError: boom in forward"
    assert outcomes[3].traceback.exists()
    assert len(toy_log.events("training")) == 3


def test_a_child_starts_from_the_weights_that_its_parent_kept(toy: Any, toy_log: Any) -> None:
    digest = importlib.import_module("harness_toy.log").digest
    plan = toy.plan(matrix="whole", only={"variant": ["after"]})
    assert len(plan.runs) == 2
    toy.execute(plan)
    kept = Store(toy.home).weights(plan.runs[0].fingerprint)
    for role, layer in (("text", "table"), ("image", "top")):
        prefix = f"{role}.{layer}."
        state = {k.removeprefix(prefix): v for k, v in kept.items() if k.startswith(prefix)}
        _, child = toy_log.events(f"{role} starts from ")
        assert child == f"{role} starts from {digest(state)}"


def test_a_figure_that_is_missing_is_computed_without_a_model(toy: Any, toy_log: Any) -> None:
    toy.execute(toy.plan(matrix="one"))
    toy_log.clear()
    more = toy.plan(("evaluators: [recall]", "evaluators: [recall, five]"), matrix="one")
    (outcome,) = toy.execute(more)
    assert outcome.status == "cached"
    assert toy_log.events() == ["evaluate 5", "held 0"]
    assert set(outcome.result.figures) == {"recall", "five"}
    stored = Store(toy.home).result(outcome.result.fingerprint)
    assert stored.figures == outcome.result.figures
    assert Store(toy.home).damage(stored.fingerprint) == []


def test_an_evaluator_with_other_parameters_replaces_its_figures(toy: Any, toy_log: Any) -> None:
    toy.execute(toy.plan(matrix="one"))
    toy_log.clear()
    (outcome,) = toy.execute(toy.plan(("recall: {use: hits}", "recall: {use: hits, k: 3}"), matrix="one"))
    assert toy_log.events() == ["evaluate 3", "held 0"]
    assert "t2i.recall@3" in outcome.result.figures["recall"]["values"]
    assert "t2i.recall@1" not in outcome.result.figures["recall"]["values"]


JUDGED = ("plain: {}", "plain: {}, judged: {evaluators: [recall, raising]}")


def test_an_evaluator_that_fails_costs_only_the_cells_that_want_it(toy: Any, toy_log: Any) -> None:
    plan = toy.plan(JUDGED)
    assert (len(plan.cells), len(plan.runs)) == (5, 4)
    outcomes = toy.execute(plan)
    # The trained weights are there: neither the other cell of the run nor its child loses anything.
    assert [o.status for o in outcomes] == ["done", "failed", "done", "done", "done"]
    assert outcomes[1].error == "evaluator 'raising' failed: LookupError: boom in evaluate"
    assert "boom in evaluate" in outcomes[1].traceback.read_text()
    assert Store(toy.home).finished(outcomes[1].cell.run.fingerprint)
    assert len(toy_log.events("training")) == 4


def test_limited_results_say_so(toy: Any) -> None:
    plan = toy.plan(matrix="one", limit=5)
    (outcome,) = toy.execute(plan)
    assert (outcome.result.limit, outcome.result.images, outcome.result.captions) == (5, 5, 10)
    assert plan.cells[0].run.fingerprint != toy.plan(matrix="one").cells[0].run.fingerprint


def test_a_passport_changes_with_the_test_captions(toy: Any) -> None:
    (plain,) = toy.execute(toy.plan(matrix="one"))
    (twisted,) = toy.execute(toy.plan(("dataset: toys", "dataset: twisted"), matrix="one"))
    (limited,) = toy.execute(toy.plan(matrix="one", limit=5))
    (seeded,) = toy.execute(toy.plan(("seed: [0]", "seed: [1]"), matrix="one"))
    assert len({o.result.passport for o in (plain, twisted, limited)}) == 3
    assert seeded.result.passport == plain.result.passport


def test_one_flipped_bit_redoes_what_needs_the_file(toy: Any, toy_log: Any) -> None:
    (first,) = toy.execute(toy.plan(matrix="one"))
    path = Store(toy.home).folder(first.result.fingerprint) / "embeddings.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    more = toy.plan(("evaluators: [recall]", "evaluators: [recall, five]"), matrix="one")
    (outcome,) = toy.execute(more)
    assert outcome.status == "done", outcome.error
    assert ("note", f"{path} is missing or damaged; its run is done again") in toy.listener.told
    assert outcome.result.figures["recall"] == first.result.figures["recall"]


def contents(folder: Path) -> list[Any]:
    """Ranks, embeddings and weights; the ids in a safetensors header come in no order."""
    tensors = [load_file(folder / f"{name}.safetensors") for name in ("embeddings", "weights")]
    return [
        (folder / "ranks.parquet").read_bytes(),
        *({k: v.tobytes() for k, v in t.items()} for t in tensors),
    ]


@pytest.mark.parametrize("image", ["frozen", "pixels"])
def test_an_interruption_is_not_a_failure_and_goes_on(toy: Any, toy_log: Any, image: str) -> None:
    plan = toy.plan(("image: frozen", f"image: {image}"), matrix="one")
    (calm,) = toy.execute(plan)
    expected = contents(Store(toy.home).folder(calm.result.fingerprint))
    toy_log.clear()
    asked = [0]

    def stopping() -> int:
        asked[0] += 1
        return 15 if asked[0] == 8 else 0

    with pytest.raises(Interrupted):
        toy.execute(plan, force=True, stopping=stopping)
    assert Store(toy.home).result(calm.result.fingerprint) == replace(calm.result, notes=[])
    toy.execute(plan, force=True)
    assert len(toy_log.events("step")) == STEPS
    assert contents(Store(toy.home).folder(calm.result.fingerprint)) == expected


def test_the_end_is_asked_for_between_runs_too(toy: Any, toy_log: Any) -> None:
    plan = toy.plan()
    toy.execute(plan)
    with pytest.raises(Interrupted):
        toy.execute(plan, stopping=lambda: 2)


def test_a_home_that_cannot_be_written_is_named(toy: Any, tmp_path: Path) -> None:
    toy.home = tmp_path / "file"
    toy.home.write_text("")
    with pytest.raises(StoreError, match="file"):
        toy.execute(toy.plan(matrix="one"))


def test_what_a_component_prints_is_no_output_of_the_harness(
    toy: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    toy.execute(toy.plan(("words: {use: words}", "words: {use: words, fault: prints}"), matrix="one"))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "a plugin talks" in printed.err
