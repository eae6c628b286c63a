"""A matrix becomes cells in order, and each training that they need once, after its parent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError, InputError
from harness.plan import Part, Plan, Summary, make_plan
from harness.registry import Registry
from harness.specs import DatasetSpec, EncoderSpec, EvaluatorSpec, Kind, LossSpec, Spec

EXAMPLE = """\
version: 1
default_profile: laptop
profiles:
  tiny: {stages: {one: {epochs: 2}}}
  laptop: {experiments: {dual-path: {dim: 512}}, encoders: {image: {backbone: small}}}
datasets:
  shapes: {use: shapes, profile: tiny, title: Shapes, images: 2000}
  photos: {use: folder, profile: laptop}
encoders:
  image: {use: pixels, title: ResNet-50, backbone: resnet50}
  words: {use: words, title: Text CNN, layers: 50}
  bag: {use: words, title: Bag}
losses:
  instance: {use: instance, dropout: 0.75}
  ranking: {use: ranking}
evaluators:
  recall: {use: recall}
  twins: {use: twins}
stages:
  one: {losses: {instance: 1.0}, freeze: ["image.backbone.*"], epochs: 240}
  two: {like: one, after: one, losses: {ranking: 2.0, instance: 1.0}, freeze: [], epochs: 60}
  three: {like: two, after: two, epochs: 5}
  solved: {losses: {ranking: 1.0}, epochs: 0}
experiments:
  dual-path:
    {title: Dual-path, dataset: shapes, image: image, text: words, dim: 2048, stage: one, evaluators: [recall]}
  nowhere: {image: image, text: words, dim: 8, stage: solved, evaluators: [recall, twins]}
matrices:
  ablations:
    experiment: dual-path
    axes:
      dataset: [shapes, photos]
      variant:
        full: {}
        shift: {text.shift: false}
        random: {text.vectors: null}
        two: {stage: two, stage.lr: 1e-3}
        three: {stage: three}
        dropout: {loss.instance.dropout: 0.5, title: Less dropout}
        bag: {text: bag, dim: 256, evaluators: [recall, twins]}
      seed: [0, 1]
    exclude: [{variant: [shift, dropout], seed: 1}, {variant: three, dataset: photos}]
  plain: {experiment: dual-path, leaderboard: false}
  homeless: {experiment: nowhere}
"""

SPECS: Mapping[Kind, type[Spec]] = {
    "dataset": DatasetSpec,
    "encoder": EncoderSpec,
    "loss": LossSpec,
    "evaluator": EvaluatorSpec,
}


@dataclass(frozen=True)
class Found:
    spec: Spec


class Components:
    """Every component there is but `gone`, at a revision."""

    def __init__(self, **revisions: int) -> None:
        self.revisions = revisions

    def find(self, kind: Kind, name: str) -> Found:
        if name == "gone":
            raise InputError(f"no plugin declares {kind} 'gone'", hint="harness list")
        more: dict[str, Any] = {
            "dataset": {"embedded": name == "shapes"},
            "encoder": {"modality": "image" if name == "pixels" else "text"},
            "evaluator": {"metrics": ()},
        }.get(kind, {})
        revision = self.revisions.get(name, 1)
        return Found(SPECS[kind](name=name, target="a:b", summary="", revision=revision, **more))


Make = Callable[..., Plan]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Plan a matrix of the example; `photos` is there where `photos` is given."""

    def make(
        matrix: str = "ablations",
        *changes: tuple[str, str],
        photos: str | None = None,
        revisions: Any = None,
        **asked: Any,
    ) -> Plan:
        text = EXAMPLE
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        (tmp_path / "registry.yaml").write_text(text)

        def protocol_of(part: Part, spec: DatasetSpec) -> str:
            if spec.embedded:
                return "drawn"
            if part.name == "photos" and photos is None:
                raise DataError("it is torn", hint="harness data prepare photos --from DIR")
            return photos or "own"

        registry = Registry.load(tmp_path / "registry.yaml")
        components = Components(**(revisions or {}))
        return make_plan(registry, components, matrix=matrix, protocol_of=protocol_of, **asked)

    return make


def labels(plan: Plan) -> list[tuple[str, ...]]:
    return [tuple(label for _, label in cell.labels) for cell in plan.cells]


def cell(plan: Plan, *wanted: str) -> Any:
    return plan.cells[labels(plan).index(wanted)]


def test_cells_in_the_order_of_the_matrix(make: Make) -> None:
    plan = make()
    assert labels(plan) == [
        ("shapes", "full", "0"), ("shapes", "full", "1"), ("shapes", "shift", "0"), ("shapes", "random", "0"),
        ("shapes", "random", "1"), ("shapes", "two", "0"), ("shapes", "two", "1"), ("shapes", "three", "0"),
        ("shapes", "three", "1"), ("shapes", "dropout", "0"), ("shapes", "bag", "0"), ("shapes", "bag", "1"),
    ]  # fmt: skip
    assert [axis for axis, _ in plan.cells[0].labels] == ["dataset", "variant", "seed"]


def test_a_training_is_done_once_and_after_its_parent(make: Make) -> None:
    plan = make()
    prints = [run.fingerprint for run in plan.runs]
    assert len(set(prints)) == len(prints)
    for place, run in enumerate(plan.runs):
        assert run.parent is None or run.parent in prints[:place]
    full, two, three = (cell(plan, "shapes", name, "0").run for name in ("full", "two", "three"))
    assert two.parent == full.fingerprint
    # `two` has another rate than the `two` that `three` comes after: what an axis changes is the last stage.
    assert three.parent not in (two.fingerprint, full.fingerprint)
    (between,) = (run for run in plan.runs if run.fingerprint == three.parent)
    assert (between.parent, between.stage.name, between.stage.lr) == (full.fingerprint, "two", 0.01)
    # By hand: full 2, shift 1, random 2, two 2, three 2 and its own two 2, dropout 1, bag 2.
    assert plan.summary == Summary(cells=12, naive=2 + 1 + 2 + 2 * 2 + 2 * 3 + 1 + 2, distinct=14)


def test_the_fields_of_a_cell(make: Make) -> None:
    plan = make()
    full = cell(plan, "shapes", "full", "0")
    assert (full.title, full.visual, full.textual) == ("Dual-path", "fixed resnet50", "Text CNN")
    assert (full.matrix, full.experiment, full.leaderboard) == ("ablations", "dual-path", True)
    assert (full.run.dim, full.run.seed, full.run.limit, full.run.protocol) == (2048, 0, None, "drawn")
    assert (full.run.dataset.name, full.run.dataset.title) == ("shapes", "Shapes")
    assert full.run.stage.epochs == 2
    assert [evaluator.name for evaluator in full.evaluators] == ["recall"]
    assert cell(plan, "shapes", "shift", "0").run.text.params == {"layers": 50, "shift": False}
    assert cell(plan, "shapes", "random", "1").run.text.params == {"layers": 50, "vectors": None}
    two = cell(plan, "shapes", "two", "1")
    assert (two.visual, two.run.stage.lr, two.run.stage.epochs) == ("ft resnet50", 0.001, 60)
    assert [(part.name, weight) for part, weight in two.run.losses] == [("instance", 1.0), ("ranking", 2.0)]
    dropout = cell(plan, "shapes", "dropout", "0")
    assert (dropout.title, dropout.run.losses[0][0].params) == ("Less dropout", {"dropout": 0.5})
    bag = cell(plan, "shapes", "bag", "0")
    assert (bag.textual, bag.run.dim, len(bag.evaluators)) == ("Bag", 256, 2)


def test_a_parameter_of_a_loss_holds_in_all_stages_of_the_chain(make: Make) -> None:
    plan = make("ablations", ("shift: {text.shift: false}", "shift: {stage: two, loss.instance.dropout: 0}"))
    run = cell(plan, "shapes", "shift", "0").run
    (parent,) = (other for other in plan.runs if other.fingerprint == run.parent)
    assert [one.losses[0][0].params["dropout"] for one in (run, parent)] == [0, 0]
    assert parent.fingerprint != cell(plan, "shapes", "full", "0").run.fingerprint


def test_what_is_not_prepared_is_named_with_its_command(make: Make) -> None:
    plan = make()
    (missing,) = plan.missing
    assert (missing.dataset, missing.cells, missing.reason) == ("photos", 10, "it is torn")
    assert missing.command == "harness data prepare photos --from DIR"
    with pytest.raises(DataError, match="photos: 10 cells: it is torn") as caught:
        make(require_all=True)
    assert "harness data prepare photos --from DIR" in caught.value.hint


def test_what_is_prepared_runs_under_its_profile(make: Make) -> None:
    plan = make(photos="passport", require_all=True)
    assert (plan.missing, len(plan.cells)) == ((), 22)
    run = cell(plan, "photos", "full", "0").run
    assert (run.protocol, run.dim, run.stage.epochs) == ("passport", 512, 240)
    assert run.image.params == {"backbone": "small"}
    assert cell(plan, "photos", "full", "0").visual == "fixed small"


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        (None, {"datasets": ["photos"]}),
        (None, {"datasets": ["shapes", "photos"]}),
        (None, {"only": {"dataset": ["shapes", "photos"]}}),
        (("dataset: [shapes, photos]", "dataset: [photos]"), {}),  # no cell is left, whoever asked
    ],
)
def test_a_dataset_that_was_asked_for_must_be_there(
    change: tuple[str, str] | None, asked: dict[str, Any], make: Make
) -> None:
    with pytest.raises(DataError, match="photos: 10 cells: it is torn") as caught:
        make("ablations", *([change] if change else []), **asked)
    assert caught.value.hint == "harness data prepare photos --from DIR"
    assert make("ablations", *([change] if change else []), photos="passport", **asked).missing == ()


# ---------------------------------------------------------------------------------------------- what was asked for
def test_only(make: Make) -> None:
    plan = make(only={"variant": ["two", "full"], "seed": ["1"]})
    assert labels(plan) == [("shapes", "full", "1"), ("shapes", "two", "1")]


def test_seeds_replace_the_axis_or_are_one(make: Make) -> None:
    assert labels(make(seeds=[7, 7], only={"variant": ["shift"]})) == [("shapes", "shift", "7")]
    plan = make("plain", seeds=[3, 4])
    assert [(cell.labels, cell.run.seed) for cell in plan.cells] == [
        ((("seed", "3"),), 3),
        ((("seed", "4"),), 4),
    ]


def test_a_seed_that_is_asked_for_overrides_the_rules_on_seeds(make: Make) -> None:
    """Rules: no seed 1 of shift and dropout; no `three` on photos."""
    on_shapes = ("exclude: [", "exclude: [{dataset: shapes, seed: 1}, ")
    assert labels(make("ablations", on_shapes, only={"variant": ["full"]})) == [("shapes", "full", "0")]
    plan = make("ablations", on_shapes, datasets=["shapes"], seeds=[1], only={"variant": ["full", "shift"]})
    assert labels(plan) == [("shapes", "full", "1"), ("shapes", "shift", "1")]
    plan = make("ablations", datasets=["photos"], photos="p", seeds=[1], only={"variant": ["full", "three"]})
    assert labels(plan) == [("photos", "full", "1")]


def test_a_dataset_that_is_asked_for_keeps_the_rules_on_its_other_axes(make: Make) -> None:
    whole = ("exclude: [", "exclude: [{dataset: shapes}, {dataset: shapes, seed: 1}, ")
    assert labels(make("ablations", whole, datasets=["shapes"], only={"variant": ["full"]})) == [
        ("shapes", "full", "0")
    ]
    own = Part(name="mine", use="folder", revision=3, title="mine")
    plan = make("ablations", whole, datasets=["mine"], prepared={"mine": own}, only={"variant": ["shift"]})
    assert labels(plan) == [("mine", "shift", "0")]


def test_datasets_replace_the_axis_or_are_one(make: Make) -> None:
    plan = make(datasets=["photos", "shapes"], photos="p", only={"variant": ["full"], "seed": ["0"]})
    assert labels(plan) == [("photos", "full", "0"), ("shapes", "full", "0")]
    plan = make("homeless", datasets=["shapes"])
    assert plan.cells[0].labels == (("dataset", "shapes"),)
    assert make("homeless", datasets=["shapes"], seeds=[1]).cells[0].labels == (
        ("dataset", "shapes"),
        ("seed", "1"),
    )


def test_a_label_of_a_dataset_keeps_what_else_it_sets(make: Make) -> None:
    change = (
        "dataset: [shapes, photos]",
        "dataset: {shapes: {dataset: shapes, text.layers: 9}, photos: {dataset: photos}}",
    )
    plan = make("ablations", change, datasets=["shapes"], only={"variant": ["full"]})
    assert {cell.run.text.params["layers"] for cell in plan.cells} == {9}


def test_a_folder_of_ones_own(make: Make) -> None:
    own = Part(name="mine", use="folder", revision=3, params={"val": 5}, title="mine")
    plan = make(datasets=["mine"], prepared={"mine": own}, only={"variant": ["full"]})
    run = plan.cells[0].run
    assert (run.dataset, run.protocol) == (own, "own")
    assert (run.dim, run.image.params) == (512, {"backbone": "small"})  # default_profile: laptop


def test_what_the_registry_says_of_a_dataset_wins(make: Make) -> None:
    other = Part(name="shapes", use="folder", revision=1)
    plan = make(datasets=["shapes"], prepared={"shapes": other})
    assert plan.cells[0].run.dataset.use == "shapes"


def test_a_plain_matrix_is_one_cell(make: Make) -> None:
    plan = make("plain", limit=10)
    (cell,) = plan.cells
    assert (cell.labels, cell.leaderboard, cell.run.limit, cell.run.seed) == ((), False, 10, 0)


def test_a_solution_in_closed_form_leaves_the_backbone_as_it_is(make: Make) -> None:
    plan = make("homeless", datasets=["shapes"])
    assert plan.cells[0].visual == "fixed resnet50"
    assert plan.cells[0].title == "nowhere"


@pytest.mark.parametrize(
    ("globs", "label"),
    [
        ("[image.trunk.*]", "fixed"),
        ("[text.*, image.backbone.*]", "fixed"),
        ("[image.*]", "fixed"),
        ("['*']", "fixed"),
        ("[image.head.*]", "ft"),
        ("[image.backbone.layer1.*]", "ft"),  # the layers above it are trained
        ("[image.trunk.weight]", "ft"),
        ("[text.*]", "ft"),
    ],
)
def test_a_frozen_part_of_any_name_is_fixed(globs: str, label: str, make: Make) -> None:
    plan = make("plain", ('freeze: ["image.backbone.*"]', f"freeze: {globs}"))
    assert plan.cells[0].visual == f"{label} resnet50"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"matrix": "ablation"}, "has no matrix 'ablation'; did you mean 'ablations'?"),
        ({"only": {"varient": ["full"]}}, "has no axis 'varient'; did you mean 'variant'?"),
        ({"only": {"variant": ["ful"]}}, "axis 'variant' has no label 'ful'; did you mean 'full'?"),
        ({"only": {"seed": ["7"]}}, "axis 'seed' has no label '7'; valid: 0, 1"),
        ({"datasets": ["shape"]}, "there is no dataset 'shape'; did you mean 'shapes'?"),
        ({"datasets": ["shapes"], "only": {"dataset": ["photos"]}}, "has no label 'photos'"),
        ({"limit": 0}, "a limit of 0 images"),
        ({"only": {"variant": ["shift"], "seed": ["1"]}}, "has no cell left"),
        ({"matrix": "homeless"}, "matrices.homeless: neither it nor its experiment names a dataset"),
    ],
)
def test_what_cannot_be_asked_for(asked: dict[str, Any], said: str, make: Make) -> None:
    asked = dict(asked)
    with pytest.raises(InputError) as caught:
        make(asked.pop("matrix", "ablations"), **asked)
    assert said in caught.value.message


def test_an_unknown_dataset_may_become_one(make: Make) -> None:
    with pytest.raises(InputError) as caught:
        make(datasets=["mine"])
    assert "harness data prepare folder --from DIR --as mine" in caught.value.hint


def test_a_component_that_is_gone_matters_to_the_matrices_that_use_it(make: Make) -> None:
    change = ("twins: {use: twins}", "twins: {use: gone}")
    assert make("plain", change).cells
    with pytest.raises(InputError) as caught:
        make("ablations", change)
    assert caught.value.message.count("\n") == 0
    assert "registry.yaml:18: evaluators.twins: no plugin declares evaluator 'gone'" in caught.value.message
    assert caught.value.hint == "harness list"


def test_an_encoder_of_the_other_modality(make: Make) -> None:
    with pytest.raises(InputError, match="'words' encodes text; it cannot be the image encoder"):
        make("ablations", ("image: image", "image: bag"))


def test_a_field_that_does_not_fit_the_stage_of_its_cell(make: Make) -> None:
    change = (
        "two: {stage: two, stage.lr: 1e-3}",
        "two: {stage: two, stage.decay_at: [3], stage.schedule: cosine}",
    )
    with pytest.raises(InputError, match="decay_at needs schedule: step, not cosine"):
        make("ablations", change)


def test_a_parameter_of_a_loss_that_the_stage_has_not(make: Make) -> None:
    change = ("shift: {text.shift: false}", "shift: {loss.ranking.margin: 1}")
    with pytest.raises(InputError) as caught:
        make("ablations", change)
    assert "variant.shift.loss.ranking.margin: stage 'one' has no loss 'ranking'" in caught.value.message
    assert "registry.yaml:35" in caught.value.message


def test_files_of_parameters(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change = ("layers: 50", "layers: 50, vectors: 'file:${WORDS}.txt'")
    monkeypatch.delenv("WORDS", raising=False)
    with pytest.raises(InputError, match=r"encoders.words: .* needs the environment variable 'WORDS'"):
        make("plain", change)
    monkeypatch.setenv("WORDS", "one")
    with pytest.raises(InputError, match=r"encoders.words: .*one.txt, which is not a file"):
        make("plain", change)
    (tmp_path / "one.txt").write_text("a")
    (tmp_path / "two.txt").write_text("a")
    (tmp_path / "other.txt").write_text("b")
    prints = {}
    for name in ("one", "two", "other"):
        monkeypatch.setenv("WORDS", name)
        run = make("plain", change).cells[0].run
        prints[name] = run.fingerprint
        assert run.text.files["file:${WORDS}.txt"].path == tmp_path / f"{name}.txt"
        assert str(tmp_path) not in json.dumps(run.as_dict())
    assert prints["one"] == prints["two"] != prints["other"]
    (tmp_path / "two.txt").write_text("changed")
    monkeypatch.setenv("WORDS", "two")
    assert make("plain", change).cells[0].run.fingerprint != prints["one"]


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("models/a.pth", "weights"),
        ("glove.txt", "weights"),
        ("near.bin", "weights"),  # in the current folder
        ("${WORDS}", "weights"),
        ("[x, {y: glove.txt}]", "weights[1].y"),
    ],
)
def test_a_file_without_its_mark_would_escape_the_fingerprint(
    value: str, key: str, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    monkeypatch.setenv("WORDS", str(tmp_path / "plain"))
    change = ("layers: 50", f"layers: 50, weights: {value if value[0] == '[' else repr(value)}")
    here.mkdir()
    monkeypatch.chdir(here)
    assert make("plain", change).cells  # a name with a dot is only a name where there is no such file
    (tmp_path / "models").mkdir()
    for path in (tmp_path / "models/a.pth", tmp_path / "glove.txt", tmp_path / "plain", here / "near.bin"):
        path.write_text("a")
    with pytest.raises(InputError) as caught:
        make("plain", change)
    assert f"encoders.words: parameter {key!r} is " in caught.value.message
    written = str(here / "near.bin") if value == "near.bin" else value if value[0] != "[" else "glove.txt"
    assert caught.value.hint == f'Write "file:{written}"'


def test_a_file_of_a_dataset_and_words_that_are_no_paths(make: Make, tmp_path: Path) -> None:
    (tmp_path / "package").write_text("a")
    (tmp_path / "list.txt").write_text("a")
    assert make("plain", ("layers: 50", "layers: 50, weights: package")).cells
    with pytest.raises(InputError, match=r"datasets\.shapes: parameter 'words' is 'list.txt'"):
        make("plain", ("images: 2000", "words: list.txt"))


def test_a_variable_outside_of_files_enters_no_fingerprint(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = ("layers: 50", "layers: 50, root: '${ROOT}'")
    prints = set()
    for value in ("/a", "/b"):
        monkeypatch.setenv("ROOT", value)
        prints.add(make("plain", change).cells[0].run.fingerprint)
    assert len(prints) == 1


def test_a_revision_makes_another_run(make: Make) -> None:
    before = make("plain").cells[0].run
    for name in ("shapes", "pixels", "words", "instance"):
        assert make("plain", revisions={name: 2}).cells[0].run.fingerprint != before.fingerprint
    assert make("plain", revisions={"recall": 2, "ranking": 2}).cells[0].run.fingerprint == before.fingerprint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("title: Dual-path,", "title: Other,"),
        ("title: Text CNN, layers: 50", "layers: 50.0"),
        ("{use: instance, dropout: 0.75}", "{dropout: 75e-2, use: instance, title: x}"),
        ("epochs: 240", "epochs: 999"),  # the profile of the dataset patches it
        ("{losses: {instance: 1.0}, freeze", "{losses: {instance: 1}, freeze"),
        ("title: Shapes", "title: Scenes"),
        ("evaluators: [recall]}", "evaluators: [twins]}"),
    ],
)
def test_what_changes_no_number_changes_no_fingerprint(old: str, new: str, make: Make) -> None:
    assert make("plain", (old, new)).cells[0].run.fingerprint == make("plain").cells[0].run.fingerprint
