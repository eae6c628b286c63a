"""What a loss may ask of the harness: captions beyond the batch, train features, parameters of a stage; numerics."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.numpy import load_file
from torch import nn

from harness.errors import InputError, Interrupted
from harness.execute.assemble import placed
from harness.execute.estimate import estimate
from harness.inputs import FeatureInputs
from harness.model import Model
from harness.protocols import Record, Split
from harness.ranking import collapsed, normalize
from harness.step import Numerics, Step

MINED = ("contrast: {use: contrast}", "contrast: {use: mined, candidates: 5}")
ASKING = ("contrast: {use: contrast}", "contrast: {use: asking}")


def weights(toy: Any, fingerprint: str) -> dict[str, Any]:
    return load_file(toy.home / "runs" / fingerprint / "weights.safetensors")


def test_candidates_are_drawn_anew_in_each_step_and_from_all_captions(toy: Any, toy_log: Any) -> None:
    (outcome,) = toy.execute(toy.plan(MINED, matrix="one"))
    assert outcome.status == "done", outcome.error
    drawn = toy_log.events("candidates")
    assert len(drawn) == len(set(drawn)) == 4 * 3
    groups = {int(number) for line in drawn for number in re.findall(r"\d+", line)}
    assert groups == set(range(16))


def test_a_run_that_mines_goes_on_to_the_same_bits(toy: Any, toy_log: Any, tmp_path: Path) -> None:
    plan = toy.plan(MINED, matrix="one")
    fingerprint = plan.runs[0].fingerprint

    def stopping() -> int:
        return 15 if len(toy_log.events("candidates")) == 7 else 0

    with pytest.raises(Interrupted):
        toy.execute(plan, stopping=stopping)
    toy.execute(plan)
    resumed, drawn = weights(toy, fingerprint), toy_log.events("candidates")
    assert len(drawn) == 12
    toy.home = tmp_path / "calm"
    toy_log.clear()
    toy.execute(plan)
    assert toy_log.events("candidates") == drawn
    calm = weights(toy, fingerprint)
    assert {k: v.tobytes() for k, v in resumed.items()} == {k: v.tobytes() for k, v in calm.items()}


def test_no_candidates_is_a_loss_like_any_other(toy: Any, toy_log: Any) -> None:
    none = ("contrast: {use: contrast}", "contrast: {use: mined, candidates: 0}")
    (mining,) = toy.execute(toy.plan(none, matrix="one"))
    (plain,) = toy.execute(toy.plan(matrix="one"))
    assert toy_log.events("candidates") == []
    assert mining.result.fingerprint != plain.result.fingerprint
    assert mining.result.val_rsum == plain.result.val_rsum


def test_more_candidates_than_captions_are_all_captions(toy: Any, toy_log: Any) -> None:
    many = ("contrast: {use: contrast}", "contrast: {use: mined, candidates: 1000}")
    (outcome,) = toy.execute(toy.plan(many, matrix="one"))
    assert outcome.status == "done", outcome.error
    assert all(line.count(",") == 31 for line in toy_log.events("candidates"))


def test_rows_that_are_no_candidates_are_named(toy: Any) -> None:
    wrong = ("contrast: {use: contrast}", "contrast: {use: mined, fault: rows}")
    (outcome,) = toy.execute(toy.plan(wrong, matrix="one"))
    assert outcome.status == "failed"
    assert "loss 'contrast' mined what is no row" in outcome.error
    assert "(k,) int64 rows of its 5 candidates" in outcome.error


def test_a_loss_gets_the_features_of_the_train_images(toy: Any, toy_log: Any) -> None:
    (outcome,) = toy.execute(toy.plan(ASKING, matrix="one"))
    assert outcome.status == "done", outcome.error
    stored = weights(toy, outcome.result.fingerprint)["loss.contrast.mean"]
    assert stored.shape == (12,)
    assert stored.any()
    # From the cache that training reads, too: train, val and test once each.
    assert sum(int(event.split()[1]) for event in toy_log.events("compute")) == 16 + 8 + 8


REMEMBERING = ("contrast: {use: contrast}", "contrast: {use: asking, key: mean}")


def test_what_a_loss_remembers_is_computed_once_for_all_runs(toy: Any, toy_log: Any) -> None:
    plan = toy.plan(REMEMBERING, matrix="seeds")
    # An estimate makes features up, and keeps nothing that follows from them.
    estimate(plan, toy.workspace(), lambda *_: None)
    assert not toy.home.exists()
    toy_log.clear()
    one, other = toy.execute(plan)
    assert (one.status, other.status) == ("done", "done")
    assert toy_log.events("mean") == ["mean mean"]
    kept, again = (weights(toy, o.result.fingerprint)["loss.contrast.mean"] for o in (one, other))
    assert kept.tobytes() == again.tobytes()
    assert ("progress", "derive", 0, 1) in toy.listener.told
    # Another key, or other features: other images, or another backbone's.
    toy.execute(toy.plan(("use: contrast", "use: asking, key: other"), matrix="one"))
    toy.execute(toy.plan(REMEMBERING, matrix="one", limit=12))
    toy.execute(toy.plan(REMEMBERING, ("{use: frozen}", "{use: frozen, drift: x}"), matrix="one"))
    assert toy_log.events("mean") == ["mean mean", "mean other", "mean mean", "mean mean"]
    assert len(list(toy.home.glob("derived/*"))) == 4


def test_a_run_goes_on_without_computing_again_what_was_remembered(toy: Any, toy_log: Any) -> None:
    plan = toy.plan(REMEMBERING, matrix="one")
    with pytest.raises(Interrupted):
        toy.execute(plan, stopping=lambda: 15 if toy_log.events("step") else 0)
    (outcome,) = toy.execute(plan)
    assert outcome.status == "done", outcome.error
    assert toy_log.events("mean") == ["mean mean"]
    # What is damaged is computed again, to the same.
    (path,) = toy.home.glob("derived/*")
    path.write_bytes(path.read_bytes()[:-1])
    (again,) = toy.execute(plan, force=True)
    assert toy_log.events("mean") == ["mean mean"] * 2
    assert again.result.val_rsum == outcome.result.val_rsum


def test_a_loss_that_asks_for_features_where_there_are_none_is_told(toy: Any) -> None:
    without = ("image: frozen", "image: pixels")
    (outcome,) = toy.execute(toy.plan(ASKING, without, matrix="one"))
    assert outcome.status == "failed"
    assert "image encoder 'pixels' has no frozen part" in outcome.error
    (outcome,) = toy.execute(toy.plan(REMEMBERING, without, matrix="one"))
    assert "image encoder 'pixels' has no frozen part" in outcome.error


def test_a_stage_sets_parameters_of_a_loss_whose_weights_it_inherits(toy: Any) -> None:
    two = (
        "two: {like: one, after: one, epochs: 2}",
        "two: {like: one, after: one, epochs: 2, losses: {contrast: {weight: 2, weigh: 0.5}}}",
    )
    plan = toy.plan(MINED, two)
    one, after = (next(run for run in plan.runs if run.stage.name == name) for name in ("one", "two"))
    assert dict(one.losses[0][0].params) == {"candidates": 5}
    assert (dict(after.losses[0][0].params), after.losses[0][1]) == ({"candidates": 5, "weigh": 0.5}, 2.0)
    other = toy.plan(MINED, (two[0], two[1].replace("0.5", "0.25")))
    assert [run.fingerprint for run in other.runs][:-1] == [run.fingerprint for run in plan.runs][:-1]
    assert other.runs[-1].fingerprint != plan.runs[-1].fingerprint
    outcome = toy.execute(plan)[-1]
    assert outcome.status == "done", outcome.error
    assert "loss.contrast.scale" in weights(toy, outcome.result.fingerprint)


def test_an_axis_beats_a_stage_and_a_stage_the_entry(toy: Any) -> None:
    stage = (
        "one: {losses: {contrast: 1}, ",
        "one: {losses: {contrast: {candidates: 3, take: 1}}, ",
    )
    axis = ("axes: {seed: [0]}", "axes: {variant: {few: {loss.contrast.take: 3}}}")
    (run,) = toy.plan(MINED, stage, axis, matrix="one").runs
    part, weight = run.losses[0]
    assert (dict(part.params), weight) == ({"candidates": 3, "take": 3}, 1.0)


def test_collapse_is_named_while_it_trains_and_fails_the_cell(toy: Any) -> None:
    constant = ("words: {use: words}", "words: {use: constant}")
    (outcome,) = toy.execute(toy.plan(constant, matrix="one"))
    assert outcome.status == "failed"
    assert (
        "collapse: every val caption has the same embedding, in epoch 2 as at the look before"
        in outcome.error
    )
    notes = [told[1] for told in toy.listener.told if told[0] == "note"]
    assert notes.count("collapse: every val caption has the same embedding by now") == 1


def test_collapse_that_no_second_look_saw_fails_the_cell_at_its_end(toy: Any) -> None:
    constant = ("words: {use: words}", "words: {use: constant}")
    plan = toy.plan(constant, ("epochs: 4", "epochs: 1"), matrix="one")
    (outcome,) = toy.execute(plan)
    assert outcome.status == "failed"
    assert "collapse: after training every test caption has the same embedding" in outcome.error


def test_what_counts_as_collapsed() -> None:
    random = torch.randn(50, 8, generator=torch.Generator().manual_seed(0)).numpy()
    spread = normalize(random, [""] * 50, "image")
    near = normalize(1.0 + 0.01 * random, [""] * 50, "image")
    same = normalize(1.0 + 0.0 * random, [""] * 50, "image")
    assert collapsed(spread, near) == ""
    assert collapsed(same, spread) == "image"
    assert collapsed(spread, same) == "caption"
    assert collapsed(same, same) == "image and caption"


def test_bfloat16_is_another_run_and_near_the_same_figures(toy: Any) -> None:
    plain, mixed = toy.plan(matrix="one"), toy.plan(matrix="one", precision="bf16-mixed")
    assert plain.runs[0].fingerprint != mixed.runs[0].fingerprint
    (a,), (b,) = toy.execute(plain), toy.execute(mixed)
    assert b.status == "done", b.error
    assert (a.result.provenance["precision"], b.result.provenance["precision"]) == ("32-true", "bf16-mixed")
    one, other = (weights(toy, o.result.fingerprint)["image.top.weight"] for o in (a, b))
    assert one.dtype == other.dtype == "float32"
    assert 0 < abs(one - other).max() < 0.1


# Dynamo warns of the Python in the toy encoders, around which it breaks the graph.
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_compiled_step_gives_the_same_weights(toy: Any, tmp_path: Path) -> None:
    plan = toy.plan(MINED, matrix="one")
    toy.execute(plan)
    fingerprint = plan.runs[0].fingerprint
    plain = weights(toy, fingerprint)
    toy.home = tmp_path / "compiled"
    (outcome,) = toy.execute(plan, compile="aot_eager")
    assert outcome.status == "done", outcome.error
    assert outcome.result.provenance["compile"] == "aot_eager"
    compiled = weights(toy, fingerprint)
    assert all(abs(plain[name] - compiled[name]).max() < 1e-4 for name in plain)


def test_the_runs_of_a_matrix_are_compiled_however_many_came_before() -> None:
    """Dynamo leaves a function uncompiled that it has compiled for eight other models."""
    compiled = []

    def backend(graph: Any, inputs: Any) -> Any:
        compiled.append(graph)
        return graph.forward

    torch._dynamo.register_backend(backend, name="counting")
    split = Split("train", (Record(image="i", split="train", captions=("x",)),))
    for layers in range(1, 11):
        text = nn.Sequential(*(nn.Linear(2, 2) for _ in range(layers)))
        model = Model(nn.ModuleDict({"image": nn.Identity(), "text": text, "loss": nn.ModuleDict()}), {})
        images = FeatureInputs(torch.ones(1, 1, 2))
        step = Step(model, images, split, torch.ones(1, 2), seed=0, numerics=Numerics(compile="counting"))
        assert torch.allclose(step.embed_text(torch.ones(3, 2)), text(torch.ones(3, 2)))
        assert len(compiled) == layers


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(InputError, match="no precision 'bf16-mixd'; did you mean 'bf16-mixed'"):
        Numerics(precision="bf16-mixd")


def test_channels_last_keeps_the_function() -> None:
    root = nn.ModuleDict({"image": nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()})
    batch = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    before = root["image"](batch)
    after = placed(root, "cpu", channels_last=True)["image"](batch)
    assert root["image"][0].weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(before, after, atol=1e-5)
