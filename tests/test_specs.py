"""Specs refuse what cannot be a name or a target."""

from __future__ import annotations

import dataclasses

import pytest

from harness.specs import DatasetSpec, EncoderSpec, EvaluatorSpec, LossSpec, Scale, valid_name


@pytest.mark.parametrize("name", ["a", "dual-path", "flickr8k", "resnet_50.v2", "0", "x" * 64])
def test_names(name: str) -> None:
    assert valid_name(name)
    assert LossSpec(name=name, target="a.b:C", summary="").name == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../x",
        "a..b",
        ".hidden",
        "-x",
        "A",
        "a/b",
        "a b",
        "a\n",
        "nul\0",
        "x" * 65,
        "é",
        "C:",
        "a\\b",
        "\u202ea",
    ],
)
def test_what_is_no_name(name: str) -> None:
    assert not valid_name(name)
    with pytest.raises(ValueError, match="is not 1-64 of"):
        LossSpec(name=name, target="a.b:C", summary="")


@pytest.mark.parametrize(
    "target", ["a.b", "a.b:", ":C", "a b:C", "a.b:C.d", "a..b:C", "a/b:C", "1a:C", "a:C\n"]
)
def test_what_is_no_target(target: str) -> None:
    with pytest.raises(ValueError, match=r"is not 'package\.module:attribute'"):
        LossSpec(name="x", target=target, summary="")


@pytest.mark.parametrize("revision", [0, -1])
def test_revisions_count_from_one(revision: int) -> None:
    with pytest.raises(ValueError, match="revision"):
        LossSpec(name="x", target="a:C", summary="", revision=revision)


def test_a_gallery_is_named_like_a_target() -> None:
    assert EvaluatorSpec(name="x", target="a:C", summary="", metrics=(), gallery="a.b:make").gallery
    with pytest.raises(ValueError, match=r"gallery 'a\.b' of 'x' is not 'package\.module:function'"):
        EvaluatorSpec(name="x", target="a:C", summary="", metrics=(), gallery="a.b")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"better": "up"}, "better is 'up', not 'higher', 'lower' or 'neither'"),
        ({"better": "higher", "chance": "random"}, "chance is 'random', not a number or 'gallery'"),
        (
            {"better": "higher", "best": 0.0, "worst": 1.0},
            r"worst, chance and best are \[1.0, 0.0\], which is no",
        ),
        (
            {"better": "lower", "best": 1.0, "chance": 0.5},
            r"\[0.5, 1.0\], which is no order where lower is better",
        ),
    ],
)
def test_a_scale_that_contradicts_itself(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Scale(**fields)  # type: ignore[arg-type]


def test_scales() -> None:
    assert Scale(better="lower", best=0.0, worst=1.0, chance=0.5).chance == 0.5
    assert Scale(better="higher", best=1.0, worst=0.0, chance="gallery").chance == "gallery"
    assert Scale(better="neither").best is None


def test_specs_are_frozen_and_keyword_only() -> None:
    spec = LossSpec(name="x", target="a:C", summary="")
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.name = "y"  # type: ignore[misc]
    for cls in (DatasetSpec, EncoderSpec, EvaluatorSpec, LossSpec, Scale):
        assert all(field.kw_only for field in dataclasses.fields(cls))
