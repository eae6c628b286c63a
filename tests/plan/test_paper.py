"""registry.yaml holds the paper: its schedules, rates, losses and tables, and profiles that fit them to a laptop."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from harness.build import check_all
from harness.catalog import Catalog
from harness.plan import Plan, make_plan
from harness.registry import Registry, Stage

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def plan_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Plan a matrix of the project on one dataset, as if it were prepared."""
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("a 1 2\n")
    monkeypatch.setenv("HARNESS_WORD_VECTORS", str(vectors))
    registry, catalog = Registry.load(ROOT / "registry.yaml"), Catalog.load()

    def plan(matrix: str, dataset: str, **options: Any) -> Plan:
        made = make_plan(
            registry,
            catalog,
            matrix=matrix,
            protocol_of=lambda part, spec: "0123",
            datasets=[dataset],
            **options,
        )
        check_all(made, catalog)
        return made

    return plan


def stages(plan: Plan) -> dict[str, list[Stage]]:
    """Return the chain of stages of each variant."""
    runs = {run.fingerprint: run for run in plan.runs}
    chains: dict[str, list[Stage]] = {}
    for cell in plan.cells:
        step, chain = cell.run, [cell.run.stage]
        while step.parent is not None:
            step = runs[step.parent]
            chain.insert(0, step.stage)
        chains[dict(cell.labels)["variant"]] = chain
    return chains


def rate(stage: Stage, parameter: str) -> float:
    """Return the learning rate of a parameter, 0 if it is frozen."""
    if any(fnmatchcase(parameter, glob) for glob in stage.freeze):
        return 0.0
    group = next((group for glob, group in stage.groups.items() if fnmatchcase(parameter, glob)), None)
    return stage.lr * (group.lr if group else 1.0)


# design: the group table of the authors' code; Stage I, Stage II.
RATES = {
    "text.blocks.3.path.0.weight": (0.01, 0.01),
    "image.projection.hidden.weight": (0.01, 0.01),
    "loss.instance.weight": (0.001, 0.001),
    "loss.instance.bias": (0.002, 0.002),
    "text.embedding.weight": (1e-4, 1e-4),
    "text.embedding_bias": (1e-4, 1e-4),
    "text.embedding_norm.norm.weight": (0.02, 0.02),
    "text.embedding_norm.norm.bias": (0.01, 0.01),
    "image.projection.hidden_norm.weight": (0.02, 0.02),
    "image.backbone.layer1.0.conv1.weight": (0.0, 2e-3),
    "image.backbone.conv1.weight": (0.0, 1e-5),
}


@pytest.mark.parametrize("parameter", RATES)
def test_rates_are_the_papers(plan_of: Any, parameter: str) -> None:
    one, two = stages(plan_of("tables-flickr30k", "flickr30k"))["resnet50-two"]
    assert (rate(one, parameter), rate(two, parameter)) == pytest.approx(RATES[parameter])


def test_the_first_filter_of_other_backbones_keeps_its_small_rate(plan_of: Any) -> None:
    vgg = stages(plan_of("tables-flickr30k", "flickr30k"))["vgg19-two"][-1]
    assert rate(vgg, "image.backbone.features.0.weight") == pytest.approx(1e-5)
    assert rate(vgg, "image.backbone.features.2.weight") == pytest.approx(2e-3)
    vit = stages(plan_of("ablations", "flickr30k", only={"variant": ["vit-two"]}))["vit-two"][-1]
    assert rate(vit, "image.backbone.patch_embed.proj.weight") == pytest.approx(1e-5)


def test_schedules_are_the_papers(plan_of: Any) -> None:
    flickr, coco = (stages(plan_of(f"tables-{name}", name)) for name in ("flickr30k", "mscoco"))
    assert [stage.epochs for stage in flickr["resnet50-two"]] == [240, 60]
    assert flickr["resnet50-two"][-1].decay_at == (40,)
    assert [stage.epochs for stage in coco["resnet50-one"]] == [90]
    assert [stage.epochs for stage in coco["resnet50-two"]] == [75, 21]
    assert coco["resnet50-two"][-1].decay_at == (15, 20)
    for stage in (*flickr["resnet50-two"], *coco["resnet50-two"]):
        assert (stage.optimizer, stage.momentum, stage.nesterov) == ("sgd", 0.9, True)
        assert (stage.batch, stage.weight_decay, stage.decay_by) == (32, 1e-4, 0.1)
        assert stage.schedule == ("step" if stage.decay_at else "constant")


def test_losses_are_the_papers(plan_of: Any) -> None:
    plan = plan_of("tables-flickr30k", "flickr30k", only={"variant": ["resnet50-two"]})
    one, two = plan.runs
    assert {p.name: (dict(p.params), weight) for p, weight in one.losses} == {
        "instance": ({"dropout": 0.75}, 1.0)
    }
    assert {p.name: (dict(p.params), weight) for p, weight in two.losses} == {
        "instance": ({"dropout": 0.75, "text_weight": 0.1}, 1.0),
        "ranking": ({"margin": 1, "negatives": "mined", "candidates": 256}, 2.0),
    }
    (coco,) = plan_of("tables-mscoco", "mscoco", only={"variant": ["k-3000"]}).runs
    assert dict(coco.losses[0][0].params) == {"dropout": 0.5, "k": 3000, "share": None}


@pytest.mark.parametrize(
    ("matrix", "dataset"), [("tables-flickr30k", "flickr30k"), ("tables-mscoco", "mscoco")]
)
def test_tables_use_the_papers_test_features_and_batch_statistics(
    plan_of: Any, matrix: str, dataset: str
) -> None:
    for cell in plan_of(matrix, dataset).cells:
        image, text = cell.run.image.params, cell.run.text.params
        pseudo = dict(cell.labels)["variant"] in ("k-3000", "k-10000", "instance-stored")
        assert image["backbone_norm"] == ("stored" if pseudo else "batch")
        assert (image["test_views"], text["test_position"]) == ("whole", "all")
        assert cell.run.dim == 2048


def test_stage_two_shares_stage_one(plan_of: Any) -> None:
    plan = plan_of("tables-flickr30k", "flickr30k")
    assert (plan.summary.cells, plan.summary.naive, plan.summary.distinct) == (6, 9, 6)


@pytest.mark.parametrize("dataset", ["shapes", "flickr8k", "flickr30k", "mscoco"])
def test_the_ablations_hold_table_4_with_its_stages(plan_of: Any, dataset: str) -> None:
    chains = stages(plan_of("ablations", dataset))
    losses = {name: set(chains[name][-1].losses) for name in chains}
    assert losses["instance"] == losses["instance-two"] == {"instance"}
    assert losses["ranking"] == losses["ranking-two"] == {"ranking"}
    assert losses["both"] == losses["full"] == {"instance", "ranking"}
    for name in ("instance", "ranking", "both"):
        assert len(chains[name]) == 1
        assert "image.backbone.*" in chains[name][0].freeze
    for name in ("instance-two", "full"):
        assert set(chains[name][0].losses) == {"instance"}  # starts from Stage I
    assert len(chains["ranking-two"]) == 1  # there is no Stage I of instance loss to start from
    for name in ("instance-two", "ranking-two", "full"):
        assert "image.backbone.*" not in chains[name][-1].freeze
        assert rate(chains[name][-1], "image.backbone.conv_head.weight") > 0


def test_backbones_whose_weights_no_package_carries_stay_off_the_laptop(plan_of: Any) -> None:
    for dataset, there in (("shapes", False), ("flickr8k", False), ("flickr30k", True), ("mscoco", True)):
        variants = {dict(cell.labels)["variant"] for cell in plan_of("ablations", dataset).cells}
        assert ({"vgg19", "vgg19-two", "resnet152", "resnet152-two", "vit", "vit-two"} <= variants) == there


def test_the_curriculum_crosses_start_and_number_of_classes(plan_of: Any) -> None:
    plan = plan_of("curriculum", "flickr8k", only={}, seeds=[0])
    seen = {}
    for cell in plan.cells:
        labels = dict(cell.labels)
        loss = next(part for part, _ in cell.run.losses if part.name == "classes")
        seen[labels["start"], labels["classes"]] = (cell.run.parent is not None, loss.params["share"])
    assert seen == {
        (start, label): (start == "curriculum", share)
        for start in ("curriculum", "scratch", "scratch-long")
        for label, share in (("10", 0.1), ("30", 0.3), ("100", 1))
    }
    assert (len(plan.cells), len(plan.runs)) == (9, 12)
    # The long start has the epochs of both stages.
    epochs = {dict(cell.labels)["start"]: cell.run.stage.epochs for cell in plan.cells}
    (one,) = {run.stage.epochs for run in plan.runs if run not in [cell.run for cell in plan.cells]}
    assert epochs["scratch-long"] == one + epochs["curriculum"]
