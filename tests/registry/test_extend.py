"""A registry of one's own over another: what it adds, changes and replaces, and what it is told."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import RegistryError
from harness.registry import Registry, entry_names, file_path, installed

Own = Callable[..., Registry]


@pytest.fixture
def own(tmp_path: Path, example: str) -> Own:
    """Load a registry that extends the example; further files come with their names."""

    def load(text: str, extends: str = "base/registry.yaml", **files: str) -> Registry:
        for name, content in {"base/registry": example, **files}.items():
            file = tmp_path / f"{name}.yaml"
            file.parent.mkdir(exist_ok=True)
            file.write_text(content, encoding="utf-8")
        file = tmp_path / "mine.yaml"
        file.write_text(f"version: 1\nextends: {extends}\n{text}", encoding="utf-8")
        return Registry.load(file)

    return load


def test_entries_are_added_and_the_others_are_there(own: Own, tmp_path: Path) -> None:
    registry = own(
        "losses: {mine: {use: hinge}}\n"
        "stages: {mine: {like: one, losses: {mine: 1}}}\n"
        "matrices: {mine: {experiment: dual-path, axes: {stage: [one, mine]}}}"
    )
    assert registry.path == tmp_path / "mine.yaml"
    assert registry.names("losses") == ("instance", "ranking", "mine")
    assert list(registry.matrices) == ["ablations", "mine"]
    assert registry.stage("mine", "laptop").losses == {"mine": 1}
    assert registry.stage("mine", "laptop").batch == 128
    assert registry.default_profile == "laptop"
    assert registry.at(("stages", "mine", "losses")) == f"{tmp_path / 'mine.yaml'}:4: stages.mine.losses"
    base = tmp_path / "base" / "registry.yaml"
    assert re.fullmatch(rf"{base}:\d+: stages\.one\.freeze", registry.at(("stages", "one", "freeze")))


def test_an_empty_file_over_ours_changes_nothing(own: Own) -> None:
    ours, mine = Registry.load(installed()), own("", extends="default")
    assert mine.matrices == ours.matrices
    assert mine.datasets == ours.datasets
    for profile in (None, *ours.names("profiles")):
        for section in ("encoders", "losses", "evaluators"):
            for name in ours.names(section):
                assert mine.component(section, name, profile) == ours.component(section, name, profile)
        for name in ours.names("stages"):
            assert mine.stage(name, profile) == ours.stage(name, profile)


def test_like_its_own_name_changes_keys_of_an_entry_and_of_those_that_are_like_it(own: Own) -> None:
    registry = own(
        "encoders: {words: {like: words, width: 0.75}}\n"
        "stages: {one: {like: one, lr: 0.5}}\n"
        "datasets: {shapes: {like: shapes, images: 10}}"
    )
    assert registry.component("encoders", "words", None).params == {"layers": 50, "width": 0.75}
    # Its keys replace what the profile below patches, as those of any entry do that is like another.
    words = registry.component("encoders", "words", "laptop")
    assert (words.params, words.title) == ({"layers": 50, "width": 0.75}, "Quarter")
    assert registry.component("encoders", "narrow", "laptop").params == {"layers": 50, "width": 0.5}
    assert (registry.stage("two", "laptop").lr, registry.stage("two", "laptop").batch) == (0.5, 128)
    assert registry.datasets["shapes"].params == {"images": 10}
    assert registry.names("encoders") == ("image", "narrow", "bag", "words")


def test_a_profile_of_ones_own_patches_over_that(own: Own) -> None:
    registry = own(
        "encoders: {words: {like: words, width: 0.75}, new: {use: bow}}\n"
        "profiles:\n"
        "  laptop: {encoders: {words: {width: 1}, image: {pool: max}, new: {size: 3}}}\n"
        "  huge: {stages: {one: {batch: 4096}}}"
    )
    assert registry.component("encoders", "words", "laptop").params == {"layers": 50, "width": 1}
    assert registry.component("encoders", "image", "laptop").params == {"backbone": "small", "pool": "max"}
    assert registry.component("encoders", "new", "laptop").params == {"size": 3}
    assert registry.stage("one", "huge").batch == 4096
    assert registry.stage("one", "laptop").batch == 128


def test_override_replaces_an_entry_with_its_patches(own: Own) -> None:
    registry = own(
        "default_profile: tiny\n"
        "encoders: {words: {override: true, use: bow, size: 2}}\n"
        "profiles: {laptop: {encoders: {image: {override: true, pool: max}}}}"
    )
    assert registry.component("encoders", "words", "laptop").params == {"size": 2}
    assert registry.component("encoders", "image", "laptop").params == {"backbone": "resnet50", "pool": "max"}
    assert registry.default_profile == "tiny"


def test_three_files_in_a_row(own: Own) -> None:
    middle = "version: 1\nextends: base/registry.yaml\nencoders: {words: {like: words, layers: 10, a: 1}}\n"
    registry = own("encoders: {words: {like: words, a: 2}}", extends="middle.yaml", middle=middle)
    assert registry.component("encoders", "words", "laptop").params == {"layers": 10, "width": 0.25, "a": 2}


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (
            "losses: {instance: {use: instance}}",
            [r"mine\.yaml:3: losses\.instance: stands in \S+registry\.yaml:\d+ already; like: instance changes"],
        ),
        ("matrices: {ablations: {axes: {}}}", [r"mine\.yaml:3: matrices\.ablations: stands in \S+:\d+ already"]),
        (
            "losses:\n  instanze: {override: true, use: x}",
            [r":4: losses\.instanze\.override: there is nothing to replace: .* 'instanze'; did you mean 'instance'"],
        ),
        ("losses: {instance: {override: yes, use: x}}", [r"losses\.instance\.override: must be true"]),
        (
            "losses: {instance: {override: true, like: instance}}",
            [r"override: replaces what like: instance takes its keys from"],
        ),
        (
            "profiles: {laptop: {encoders: {words: {title: T, width: 1, new: 2}}}}",
            [
                r"encoders\.words\.title: stands in \S+registry\.yaml:\d+ already; override: true",
                r"encoders\.words\.width: stands in",
            ],
        ),
        ("profiles: {tiny: {encoders: {words: {override: true}}}}", [r"there is nothing to replace"]),
    ],
)  # fmt: skip
def test_nothing_is_replaced_in_silence(own: Own, text: str, messages: list[str]) -> None:
    with pytest.raises(RegistryError) as caught:
        own(text)
    for message in messages:
        assert re.search(message, caught.value.message), caught.value.message
    assert len([line for line in caught.value.message.splitlines() if "stands in" in line]) in (
        0,
        len(messages),
    )


@pytest.mark.parametrize(
    ("extends", "message"),
    [
        ("nowhere.yaml", r"mine\.yaml:2: extends: 'nowhere.yaml' names \S+/nowhere\.yaml, which is not a file"),
        ("[a, b]", r"mine\.yaml:2: extends: must be the path of a registry, or 'default'"),
        ('"${HARNESS_NO_SUCH}/a"', r"mine\.yaml:2: extends: .*HARNESS_NO_SUCH"),
        ("mine.yaml", r"mine\.yaml:2: extends: goes in a circle: \S+mine\.yaml extends \S+mine\.yaml"),
        ("./base/../mine.yaml", r"goes in a circle"),
        ("turn.yaml", r"turn\.yaml:2: extends: goes in a circle: \S+mine\.yaml extends \S+turn\.yaml extends \S+mine"),
    ],
)  # fmt: skip
def test_what_cannot_be_extended_is_named(own: Own, extends: str, message: str) -> None:
    with pytest.raises(RegistryError, match=message):
        own("", extends=extends, turn="version: 1\nextends: mine.yaml\n")


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("version: 1\nlosses: {a: {}, a: {}}\n", r"base\.yaml:2: losses\.a: stands twice"),
        ("version: 1\nlozzes: {}\n", r"base\.yaml:2: lozzes: unknown key; did you mean 'losses'"),
        ("version: 2\n", r"base\.yaml:1: version: must be 1"),
    ],
)
def test_a_fault_below_names_the_file_below_and_who_extends_it(own: Own, base: str, message: str) -> None:
    with pytest.raises(RegistryError, match=message) as caught:
        own("", extends="base.yaml", base=base)
    assert re.fullmatch(r"\S+mine\.yaml:2 extends this file\.", caught.value.hint)


def test_a_fault_of_an_entry_is_told_where_its_key_was_written(own: Own) -> None:
    with pytest.raises(RegistryError) as caught:
        own(
            "stages:\n  one: {like: one, batch: 0}\n  three: {like: two, epoch: 1}\nlosses: {ranking: {like: x}}"
        )
    lines = caught.value.message.splitlines()
    assert all("mine.yaml" in line for line in lines)
    assert any(re.search(r":6: losses\.ranking: stands in", line) for line in lines)
    with pytest.raises(RegistryError) as caught:
        own(
            "losses:\n  instance: {override: true, use: x}\nstages:\n  one: {like: one, batch: 0, decay_by: 2}"
        )
    assert re.findall(r"yaml:(\d+): ([\w.]+)", caught.value.message) == [
        ("6", "stages.one.batch"), ("6", "stages.one.decay_by")
    ]  # fmt: skip
    # A key of the file below that no longer fits is told at its own line.
    with pytest.raises(
        RegistryError, match=r"base/registry\.yaml:\d+: stages\.two\.losses\.ranking: there is no"
    ):
        own(
            "losses: {other: {use: x}}\nstages: {two: {like: two, lr: 0.1}}",
            extends="middle.yaml",
            middle="version: 1\nextends: base/registry.yaml\n",
            **{"base/registry": "version: 1\nstages: {two: {losses: {ranking: 1}, epochs: 1}}\n"},
        )


def test_a_circle_through_two_files_is_found(own: Own) -> None:
    with pytest.raises(RegistryError, match="circle: image like narrow like words like words like image"):
        own(
            "encoders: {words: {like: words, a: 1}, image: {override: true, like: narrow}}",
            **{
                "base/registry": "version: 1\nencoders:\n  image: {use: timm}\n"
                "  words: {like: image}\n  narrow: {like: words}\n"
            },
        )


def test_relative_files_stay_those_of_the_file_that_names_them(own: Own, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "words.txt").write_text("a")
    base = "version: 1\nencoders: {words: {use: x, vectors: 'file:words.txt', roots: ['file:${ROOT}/x', 'file:/y']}}"
    params = own("", **{"base/registry": base}).component("encoders", "words", None).params
    assert file_path(params["vectors"], tmp_path) == tmp_path / "base" / "words.txt"
    assert params["vectors"] == "file:base/words.txt"
    assert params["roots"] == ("file:${ROOT}/x", "file:/y")


MATRIX = """\
matrices:
  mine:
    like: ablations
    summary: with mine
    axes:
      dataset: [shapes]
      variant: {mine: {dim: 7}}
      seed: [0]
    exclude: [{variant: mine, seed: 0}]
"""


def test_a_matrix_gains_labels_and_rules_and_loses_rules_that_apply_to_nothing(
    own: Own, tmp_path: Path
) -> None:
    registry = own(MATRIX)
    mine, base = registry.matrices["mine"], registry.matrices["ablations"]
    assert (mine.experiment, mine.summary) == ("dual-path", "with mine")
    assert list(mine.axes["variant"]) == [*base.axes["variant"], "mine"]
    assert (list(mine.axes["dataset"]), list(mine.axes["seed"])) == (["shapes"], ["0"])
    assert mine.exclude == (
        {"variant": ("mine",), "seed": ("0",)},
        {"dataset": ("shapes",), "variant": ("two",)},
    )
    assert len(base.exclude) == 2
    key = registry.origin("mine", "variant", "two", "stage.lr")
    assert re.fullmatch(rf"{tmp_path}/base/registry\.yaml:\d+: \S+", registry.at(key))
    assert registry.at(registry.origin("mine", "variant", "mine", "dim")).startswith(
        f"{tmp_path}/mine.yaml:9: "
    )
    assert registry.at(registry.origin("mine", "seed", "0", "seed")).startswith(f"{tmp_path}/mine.yaml:10: ")


def test_a_matrix_below_can_gain_labels(own: Own) -> None:
    registry = own("matrices: {ablations: {like: ablations, axes: {variant: {mine: {dim: 7}}}}}")
    assert list(registry.matrices) == ["ablations"]
    assert list(registry.matrices["ablations"].axes) == ["dataset", "variant", "seed"]
    assert list(registry.matrices["ablations"].axes["variant"])[-2:] == ["dropout", "mine"]
    assert len(registry.matrices["ablations"].exclude) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MATRIX.replace("mine: {dim", "full: {dim").replace("variant: mine", "variant: full"),
         r"mine\.yaml:9: matrices\.mine\.axes\.variant\.full: stands in \S+registry\.yaml:\d+ already; a label can"),
        (MATRIX.replace("like: ablations", "like: ablation"), r"mine\.yaml:5: .*there is no 'ablation'.*did you mean"),
        (MATRIX.replace("like: ablations", "like: mine"), r"mine\.yaml:5: matrices\.mine\.like: goes in a circle"),
        (MATRIX.replace("dim: 7", "dmi: 7"), r"mine\.yaml:9: .*no axis can set 'dmi'; did you mean 'dim'"),
        (MATRIX.replace("[shapes]", "[shape]"), r"mine\.yaml:8: .*there is no 'shape' in datasets"),
        (MATRIX.replace("seed: 0}", "sed: 0}"), r"mine\.yaml:11: .*there is no axis 'sed'"),
    ],
)  # fmt: skip
def test_a_fault_of_a_matrix_that_is_like_another(own: Own, text: str, message: str) -> None:
    with pytest.raises(RegistryError, match=message):
        own(text)


def test_names_are_read_without_checking_the_rest(tmp_path: Path, own: Own) -> None:
    with pytest.raises(RegistryError):
        own("stages: {mine: {like: one, epoch: 3}}\nencoders: {words: {like: words}}")
    assert entry_names(tmp_path / "mine.yaml", "stages") == ("one", "two", "mine")
    assert entry_names(tmp_path / "mine.yaml", "encoders") == ("image", "narrow", "bag", "words")
