"""Every fault of a registry is named with file, line, key and the nearest valid name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import RegistryError
from harness.registry import Registry

Load = Callable[..., Registry]


def _line(example: str, text: str) -> int:
    return example[: example.index(text)].count("\n") + 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("version: 1", "version: 2", "version: must be 1"),
        ("version: 1", "version: true", "version: must be 1"),
        ("datasets:", "datasetz:", "datasetz: unknown key; did you mean 'datasets'?"),
        (
            "default_profile: laptop",
            "default_profile: lapto",
            "no 'lapto' in profiles; did you mean 'laptop'?",
        ),
        ("profile: tiny", "profile: tny", "datasets.shapes.profile: there is no 'tny' in profiles"),
        ("use: timm, ", "", "encoders.image: lacks the key 'use'"),
        ("use: timm", "use: 3", "encoders.image.use: must be a valid string, not 3"),
        ("like: words, width", "like: word, width", "encoders.narrow.like: there is no 'word' in encoders"),
        ("like: words, width", "like: narrow, width", "goes in a circle: narrow like narrow"),
        ("epochs: 240", "epoch: 240", "stages.one.epoch: unknown key; did you mean 'epochs'?"),
        ("epochs: 240", "epochs: -1", "stages.one.epochs: must be greater than or equal to 0, not -1"),
        ("epochs: 240", "epochs: 2.5", "stages.one.epochs: must be a valid integer, not 2.5"),
        ("epochs: 240", "epochs: '240'", "stages.one.epochs: must be a valid integer, not '240'"),
        ("epochs: 240", "name: x", "stages.one.name: unknown key"),
        ('freeze: ["image', "optimizer: sgdd #", "must be 'sgd' or 'adamw', not 'sgdd'; did you mean 'sgd'?"),
        ('freeze: ["image', "batch: 0 #", "stages.one.batch: must be greater than or equal to 1"),
        ('freeze: ["image', "lr: 0 #", "stages.one.lr: must be greater than 0"),
        ('freeze: ["image', "nesterov: yes #", "stages.one.nesterov: must be a valid boolean, not 'yes'"),
        ('freeze: ["image', "freeze: image #", "stages.one.freeze: must be a valid list, not 'image'"),
        ('freeze: ["image', "decay_by: 1.5 #", "stages.one.decay_by: must be less than or equal to 1"),
        ('freeze: ["image', "momentum: 1.0 #", "stages.one.momentum: must be less than 1"),
        ('freeze: ["image', "warmup: -0.1 #", "stages.one.warmup: must be greater than or equal to 0"),
        ('freeze: ["image', "decay_at: [3, 2] #", "stages.one.decay_at: epochs must rise"),
        ("{lr: 0.1}", "{lrr: 0.1}", "groups.loss.instance.*.lrr: unknown key; did you mean 'lr'?"),
        ("{lr: 0.1}", "0.1", "groups.loss.instance.*: must be a mapping, not 0.1"),
        ("losses: {instance: 1.0}", "losses: {}", "stages.one.losses: must not be empty"),
        ("losses: {instance: 1.0}", "losses: {instance: -1}", "stages.one.losses.instance: must be greater"),
        (
            "losses: {instance: 1.0}",
            "losses: {instance: {weight: '2'}}",
            "stages.one.losses.instance: must be a valid number, not '2'",
        ),
        ('freeze: ["image', "settings: 5 #", "stages.one.settings: must be a valid mapping, not 5"),
        (
            'freeze: ["image',
            "settings: {instanse: {dropout: 0.5}} #",
            "settings name 'instanse', which is none of its losses",
        ),
        (
            "losses: {instance: 1.0}",
            "losses: {instanse: 1}",
            "there is no 'instanse' in losses; did you mean 'ins",
        ),
        ("after: one", "after: on", "stages.two.after: there is no 'on' in stages; did you mean 'one'?"),
        ("after: one", "after: two", "stages.two.after: goes in a circle: two after two"),
        ("decay_at: [40]", "decay_at: [40], schedule: cosine", "stages.two: decay_at needs schedule: step"),
        (
            "text: words",
            "text: word",
            "experiments.dual-path.text: there is no 'word' in encoders; did you mean",
        ),
        (
            "stage: one",
            "stage: oen",
            "experiments.dual-path.stage: there is no 'oen' in stages; did you mean 'one'",
        ),
        ("dim: 2048", "dims: 2048", "experiments.dual-path.dims: unknown key; did you mean 'dim'?"),
        ("[recall]", "[recal]", "experiments.dual-path.evaluators[0]: there is no 'recal' in evaluators"),
        ("[recall]", "recall", "experiments.dual-path.evaluators: must be a valid list, not 'recall'"),
        (
            "summary: one line",
            "sumary: one line",
            "matrices.ablations.sumary: unknown key; did you mean 'summary'?",
        ),
        (
            "experiment: dual-path\n",
            "experiment: dualpath\n",
            "no 'dualpath' in experiments; did you mean 'dual-path'",
        ),
        ("experiment: dual-path\n", "leaderboard: true\n", "names no experiment, and no axis does"),
        (
            "[shapes, flickr8k]",
            "[shapes, flickr9k]",
            "axes.dataset[1]: there is no 'flickr9k' in datasets; did you",
        ),
        ("[shapes, flickr8k]", "[shapes, shapes]", "axes.dataset[1]: the label 'shapes' stands twice"),
        ("[shapes, flickr8k]", "shapes", "axes.dataset: must be a list of values, or a mapping"),
        ("[shapes, flickr8k]", "[]", "axes.dataset: must be a list of values, or a mapping"),
        ("text.shift: false", "txt.shift: false", "left-aligned.txt.shift: no axis can set 'txt.shift'"),
        ("text.shift: false", "text.a.b: false", "no axis can set 'text.a.b'"),
        ("{text.shift: false}", "false", "axes.variant.left-aligned: must be a mapping"),
        ("text.shift: false", "text: null", "left-aligned.text: must not be null"),
        ("stage.lr: 1e-3", "stage.lrr: 1e-3", "a stage has no field 'lrr'; did you mean 'lr'?"),
        ("stage.lr: 1e-3", "stage.lr: fast", "axes.variant.two.stage.lr: must be a valid number, not 'fast'"),
        ("stage.lr: 1e-3", "stage.after: three", "there is no 'three' in stages"),
        ("stage.lr: 1e-3", "stage.losses: {rankin: 1}", "there is no loss 'rankin'; did you mean 'ranking'?"),
        (
            "loss.instance.dropout",
            "loss.instanse.dropout",
            "there is no loss 'instanse'; did you mean 'instance'?",
        ),
        ("dim: 256", "dim: 0", "axes.variant.dropout.dim: must be greater than or equal to 1, not 0"),
        ("dim: 256", "seed: 3", "sets 'seed', which the axis"),
        ("seed: [0, 1, 2]", "seed: [0, 1, -2]", "axes.seed[2]: must be greater than or equal to 0, not -2"),
        ("[1, 2]}, {", "[1, 7]}, {", "exclude[0].seed: the axis has no label '7'"),
        (
            "exclude: [{variant",
            "exclude: [{varian",
            "exclude[0].varian: there is no axis 'varian'; did you mean",
        ),
        ("exclude: [{", "exclude: [{}, 3, {", "must be a list of mappings of axes to labels"),
    ],
)
def test_a_fault_is_named_with_its_line(old: str, new: str, said: str, load: Load, example: str) -> None:
    with pytest.raises(RegistryError) as caught:
        load((old, new))
    named = [text for text in caught.value.message.splitlines() if said in text]
    assert named, caught.value.message
    line = int(named[0].split("registry.yaml:")[1].split(":")[0])
    # A key that is absent is reported where its entry begins, at most a few lines above.
    assert _line(example, old) - 3 <= line <= _line(example, old) + 4


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "stages: {one: {epochs: 80",
            "stages: {onne: {epochs: 80",
            "stages.onne: there is no 'onne' in stages; did",
        ),
        (
            "stages: {one: {epochs: 80",
            "stages: {one: {epochz: 80",
            "laptop.stages.one.epochz: unknown key; did you",
        ),
        (
            "stages: {one: {epochs: 80",
            "stages: {one: {epochs: x",
            "laptop.stages.one.epochs: must be a valid integer",
        ),
        (
            "stages: {one: {epochs: 80",
            "stages: {one: {like: two",
            "laptop.stages.one.like: a profile patches keys",
        ),
        (
            "stages: {one: {epochs: 80",
            "stagez: {one: {epochs: 80",
            "laptop.stagez: a profile patches encoders",
        ),
        (
            "stages: {one: {epochs: 80",
            "datasets: {one: {epochs: 80",
            "laptop.datasets: a profile patches encoders",
        ),
        (
            "stages: {one: {epochs: 80",
            "stages: {one: {after: two",
            "goes in a circle: one after two after one",
        ),
        ("{dual-path: {dim: 512}}", "{dual-path: {dataset: shapes}}", "the dataset chooses the profile"),
        ("{dual-path: {dim: 512}}", "{dual-path: 512}", "experiments.dual-path: must be a mapping, not 512"),
    ],
)
def test_a_fault_of_a_profile_is_named_there(old: str, new: str, said: str, load: Load, example: str) -> None:
    with pytest.raises(RegistryError) as caught:
        load((old, new))
    named = [text for text in caught.value.message.splitlines() if said in text]
    assert named, caught.value.message
    if "circle" not in said:
        assert f"registry.yaml:{_line(example, old)}: profiles.laptop" in named[0]


def test_all_faults_of_a_registry_at_once(load: Load) -> None:
    with pytest.raises(RegistryError) as caught:
        load(("epochs: 240", "epochs: no"), ("dim: 2048", "dim: 0"), ("dim: 256", "din: 256"))
    keys = [text.split(": ")[1] for text in caught.value.message.splitlines()]
    # An entry that is inherited from has its fault once.
    assert keys == [
        "stages.one.epochs",
        "experiments.dual-path.dim",
        "matrices.ablations.axes.variant.dropout.din",
    ]


@pytest.mark.parametrize("name", ["../x", "A", "a b", ".a", "a/b", "x" * 65])
@pytest.mark.parametrize("section", ["datasets", "losses"])
def test_names_are_safe(section: str, name: str, load: Load) -> None:
    with pytest.raises(RegistryError, match="is no name"):
        load((f"{section}:\n", f"{section}:\n  {name!r}: {{use: x}}\n"))


def test_a_loss_name_has_no_dot(load: Load) -> None:
    with pytest.raises(RegistryError, match="takes no dot"):
        load(("  ranking: {use", "  a.b: {use"))


@pytest.mark.parametrize(
    "text", ["", "3", "[1]", "a", "version: 1\ndatasets: 3", "version: 1\nprofiles: {a: 3}"]
)
def test_what_is_no_registry(text: str, tmp_path: Path) -> None:
    file = tmp_path / "registry.yaml"
    file.write_text(text)
    with pytest.raises(RegistryError, match="must be a mapping"):
        Registry.load(file)


def test_the_smallest_registry(tmp_path: Path) -> None:
    file = tmp_path / "registry.yaml"
    file.write_text("version: 1\n")
    registry = Registry.load(file)
    assert (dict(registry.datasets), dict(registry.matrices), registry.default_profile) == ({}, {}, None)
