"""What a registry says: like, profiles, axes; where it is found, and what the environment completes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

import harness
from harness.errors import RegistryError
from harness.registry import Registry, Stage, expand, file_path, find_registry

Load = Callable[..., Registry]


def test_datasets_and_their_parameters(load: Load) -> None:
    registry = load()
    assert list(registry.datasets) == ["shapes", "flickr8k"]
    shapes = registry.datasets["shapes"]
    assert (shapes.use, shapes.profile, shapes.title) == ("shapes", "tiny", "Shapes")
    assert shapes.params == {"images": 2000}
    assert registry.default_profile == "laptop"


def test_like_inherits_and_own_keys_win(load: Load) -> None:
    registry = load()
    narrow = registry.component("encoders", "narrow", None)
    assert (narrow.name, narrow.use, narrow.title) == ("narrow", "text-cnn", "CNN")
    assert narrow.params == {"layers": 50, "width": 0.5}
    assert registry.experiment("other", None).text == "bag"
    assert registry.experiment("other", None).dim == 2048


def test_another_component_takes_no_parameters_over(load: Load) -> None:
    bag = load().component("encoders", "bag", "laptop")
    assert (bag.use, bag.params, bag.title) == ("bow", {}, "")


def test_a_profile_patches_by_name(load: Load) -> None:
    registry = load()
    assert registry.component("encoders", "image", None).params == {"backbone": "resnet50"}
    assert registry.component("encoders", "image", "laptop").params == {"backbone": "small"}
    assert registry.component("encoders", "words", "laptop").params == {"layers": 50, "width": 0.25}
    assert registry.component("encoders", "words", "laptop").title == "Quarter"
    assert registry.experiment("dual-path", "laptop").dim == 512
    assert registry.experiment("dual-path", "tiny").dim == 2048
    assert (registry.stage("one", "laptop").epochs, registry.stage("one", "tiny").epochs) == (80, 2)


def test_a_patch_reaches_what_is_like_it_but_not_over_its_own_keys(load: Load) -> None:
    registry = load()
    assert registry.component("encoders", "narrow", "laptop").params == {"layers": 50, "width": 0.5}
    assert registry.experiment("other", "laptop").dim == 512
    two = registry.stage("two", "laptop")
    assert (two.epochs, two.batch) == (60, 128)


def test_stages(load: Load) -> None:
    registry = load()
    one, two = registry.stage("one", None), registry.stage("two", None)
    assert (one.schedule, two.schedule, two.decay_at) == ("constant", "step", (40,))
    assert (one.freeze, two.freeze) == (("image.backbone.*",), ())
    assert (one.after, two.after) == (None, "one")
    assert two.groups["loss.instance.*"].lr == 0.1
    assert two.groups["loss.instance.*"].weight_decay == 1.0
    assert two.losses == {"ranking": 2.0, "instance": 1.0}


def test_an_axis_changes_a_stage_and_is_named_where_it_does_not_fit(load: Load, example: str) -> None:
    registry = load()
    at = ("matrices", "ablations", "axes", "variant", "two")
    assert registry.stage("two", None, {"lr": (0.5, (*at, "stage.lr"))}).lr == 0.5
    line = example[: example.index("two: {stage")].count("\n") + 1
    with pytest.raises(
        RegistryError, match=rf"registry\.yaml:{line}: matrices.*two\.stage\.schedule: must be"
    ):
        registry.stage("two", None, {"schedule": ("bent", (*at, "stage.schedule"))})


def test_axes_are_labels_with_fields(load: Load) -> None:
    matrix = load().matrices["ablations"]
    assert matrix.axes["seed"] == {"0": {"seed": 0}, "1": {"seed": 1}, "2": {"seed": 2}}
    assert matrix.axes["variant"]["two"] == {"stage": "two", "stage.lr": 0.001}
    assert matrix.exclude[0] == {"variant": ("left-aligned", "dropout"), "seed": ("1", "2")}
    assert matrix.exclude[1] == {"dataset": ("shapes",), "variant": ("two",)}
    assert matrix.leaderboard


def test_labels_of_values(load: Load) -> None:
    axes = ["stage.clip: [null, 0.5, 1e-3, 2]", "stage.nesterov: [true, false]", "evaluators: [[recall]]"]
    added = "".join(f"      {axis}\n" for axis in axes)
    matrix = load(("seed: [0, 1, 2]\n", f"seed: [0, 1, 2]\n{added}")).matrices["ablations"]
    assert list(matrix.axes["stage.clip"]) == ["null", "0.5", "0.001", "2"]
    assert list(matrix.axes["stage.nesterov"]) == ["true", "false"]
    assert matrix.axes["evaluators"] == {"recall": {"evaluators": ("recall",)}}


def test_records_are_frozen(load: Load) -> None:
    registry = load()
    with pytest.raises(ValidationError, match="frozen"):
        registry.stage("one", None).lr = 1.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        registry.datasets["x"] = registry.datasets["shapes"]  # type: ignore[index]


def test_a_stage_in_closed_form_needs_nothing_else() -> None:
    assert Stage(name="cca", losses={"cca": 1.0}, epochs=0).after is None


def test_the_nearest_registry_above_is_found(tmp_path: Path) -> None:
    (tmp_path / "registry.yaml").write_text("version: 1\n")
    below = tmp_path / "a" / "ä b"
    below.mkdir(parents=True)
    assert find_registry(below) == tmp_path / "registry.yaml"
    (below / "registry.yaml").write_text("version: 1\n")
    assert find_registry(below) == below / "registry.yaml"


def test_without_one_above_it_is_the_one_of_the_package(tmp_path: Path) -> None:
    package = Path(harness.__file__).parent
    assert find_registry(tmp_path) in (package / "registry.yaml", package.parent / "registry.yaml")


def test_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDS", "/w x")
    assert expand("${WORDS}/glove ${WORDS}") == "/w x/glove /w x"
    assert expand("no $WORDS {here}") == "no $WORDS {here}"
    monkeypatch.delenv("WORDS")
    with pytest.raises(RegistryError, match="'WORDS', which is not set") as caught:
        expand("${WORDS}/glove")
    assert "export WORDS" in caught.value.hint


def test_a_missing_variable_is_no_fault_until_it_is_used(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOWHERE", raising=False)
    registry = load(("layers: 50", "layers: 50, vectors: 'file:${NOWHERE}/v.txt'"))
    assert registry.component("encoders", "words", None).params["vectors"] == "file:${NOWHERE}/v.txt"


def test_file_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "v.txt").write_text("x")
    monkeypatch.setenv("HERE", str(tmp_path))
    assert file_path("file:v.txt", tmp_path) == tmp_path / "v.txt"
    assert file_path("file:${HERE}/v.txt", Path("/elsewhere")) == tmp_path / "v.txt"
    with pytest.raises(RegistryError, match=r"'file:w\.txt' names .*w\.txt, which is not a file"):
        file_path("file:w.txt", tmp_path)


def test_reading_a_registry_loads_nothing_heavy() -> None:
    code = (
        "import sys, harness.registry, harness.plan\n"
        "print(sorted({'torch', 'pandas', 'numpy', 'pyarrow', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_registry_of_the_project_is_sound() -> None:
    registry = Registry.load(Path(harness.__file__).parents[1] / "registry.yaml")
    assert registry.matrices
