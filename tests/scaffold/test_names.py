"""What may name a plugin, and what follows from a name."""

from __future__ import annotations

import pytest

from harness.catalog import Catalog
from harness.errors import InputError
from harness.scaffold import Names, names_of
from harness.scaffold.naming import LONGEST


def test_all_names_follow_from_one() -> None:
    expected = Names(
        name="soft-hinge",
        distribution="retrieval-harness-soft-hinge",
        package="harness_soft_hinge",
        cls="SoftHinge",
    )
    for name in ("soft-hinge", "Soft_Hinge", "soft.-_hinge", "retrieval-harness-soft-hinge"):
        assert names_of(name, "loss") == expected


def test_a_class_begins_with_a_letter() -> None:
    assert names_of("3d-loss", "loss").cls == "Loss3dLoss"
    assert names_of("class", "evaluator").package == "harness_class"
    assert names_of("none", "loss").cls == "LossNone"


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "/abs",
        "-x",
        "x-",
        "_x",
        "x y",
        "x\n",
        "x\0",
        "é",
        "x;rm",
        "$name",
        "x" * 300,
        # Values of YAML.
        *("123", "1e3", "0x10", "null", "true", "~"),
    ],
)
def test_what_cannot_name_a_plugin_is_refused(name: str) -> None:
    with pytest.raises(InputError) as caught:
        names_of(name, "loss")
    assert caught.value.hint


def test_the_longest_name_is_taken() -> None:
    assert names_of("x" * LONGEST, "loss").name == "x" * LONGEST
    with pytest.raises(InputError, match=f"{LONGEST + 1} characters"):
        names_of("x" * (LONGEST + 1), "loss")


def test_a_name_that_is_taken_is_refused(toy_catalog: Catalog) -> None:
    with pytest.raises(InputError, match=r"acme-toy 1\.0 declares loss 'contrast' already"):
        names_of("contrast", "loss", toy_catalog)
    with pytest.raises(InputError, match="a plugin 'toy' of acme-toy"):
        names_of("toy", "loss", toy_catalog)
    assert names_of("contrast", "evaluator", toy_catalog).name == "contrast"
    for name in ("smoke", "cca-words", "bag"):  # of our registry, which the package's extends
        with pytest.raises(InputError, match=r"of the harness's registry\.yaml already"):
            names_of(name, "loss", toy_catalog)
