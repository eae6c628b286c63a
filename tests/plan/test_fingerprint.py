"""Whatever can change a number changes the fingerprint; nothing else does."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.plan import File, Part, RunSpec, canonical, digest, records
from harness.registry import Group, Stage

IMAGE = Part(name="image", use="pixels", revision=1, params={"backbone": "small", "size": 32}, title="Small")
STAGE = Stage(name="one", losses={"instance": 1.0}, epochs=10, groups={"a.*": Group(lr=0.1), "b.*": Group()})
RUN = RunSpec(
    dataset=Part(name="shapes", use="shapes", revision=1, params={"images": 64}),
    protocol="passport",
    image=IMAGE,
    text=Part(name="words", use="words", revision=1, params={"layers": 50}),
    losses=((Part(name="instance", use="instance", revision=1, params={"dropout": 0.5}), 1.0),),
    stage=STAGE,
    dim=8,
    seed=0,
)

OTHER: dict[str, Any] = {
    "dataset": replace(RUN.dataset, params={"images": 65}),
    "protocol": "another",
    "image": replace(IMAGE, use="other"),
    "text": replace(RUN.text, revision=2),
    "losses": ((RUN.losses[0][0], 2.0),),
    "stage": STAGE.model_copy(update={"epochs": 11}),
    "dim": 9,
    "seed": 1,
    "limit": 5,
    "parent": "0123456789abcdef",
    "precision": "bf16-mixed",
}

STAGE_FIELDS: dict[str, Any] = {
    "epochs": 11,
    "freeze": ("image.*",),
    "batch": 33,
    "optimizer": "adamw",
    "lr": 0.02,
    "momentum": 0.8,
    "nesterov": False,
    "weight_decay": 0.1,
    "schedule": "cosine",
    "decay_at": (3,),
    "decay_by": 0.5,
    "warmup": 0.1,
    "groups": {"a.*": Group(lr=0.2), "b.*": Group()},
    "views": 2,
    "evaluate_every": 2,
    "patience": 3,
    "clip": 1.0,
}


@pytest.mark.parametrize("field", [field.name for field in fields(RunSpec)])
def test_every_field_of_a_run_counts(field: str) -> None:
    assert replace(RUN, **{field: OTHER[field]}).fingerprint != RUN.fingerprint


@pytest.mark.parametrize("field", sorted(set(Stage.model_fields) - {"name", "after", "losses", "settings"}))
def test_every_field_of_a_stage_counts(field: str) -> None:
    stage = STAGE.model_copy(update={field: STAGE_FIELDS[field]})
    assert replace(RUN, stage=stage).fingerprint != RUN.fingerprint


@pytest.mark.parametrize("path", ["dataset", "image", "text"])
@pytest.mark.parametrize("change", [{"use": "z"}, {"revision": 9}, {"params": {"z": 1}}, {"params": {}}])
def test_use_revision_and_parameters_of_a_part_count(path: str, change: dict[str, Any]) -> None:
    assert replace(RUN, **{path: replace(getattr(RUN, path), **change)}).fingerprint != RUN.fingerprint


def test_what_is_in_a_group_and_their_order_count() -> None:
    for groups in (
        {"b.*": Group(), "a.*": Group(lr=0.1)},  # the first glob that matches wins
        {"a.*": Group(lr=0.1, weight_decay=0.0), "b.*": Group()},
        {"a.*": Group(lr=0.1)},
    ):
        stage = STAGE.model_copy(update={"groups": groups})
        assert replace(RUN, stage=stage).fingerprint != RUN.fingerprint


def test_the_name_of_a_loss_counts_since_globs_speak_of_it() -> None:
    part, weight = RUN.losses[0]
    assert replace(RUN, losses=((replace(part, name="other"), weight),)).fingerprint != RUN.fingerprint


def test_the_core_itself_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = RUN.fingerprint
    monkeypatch.setattr(records, "NUMBERS", records.NUMBERS + 1)
    assert replace(RUN).fingerprint != before


def test_names_titles_and_orders_that_change_nothing() -> None:
    stage = Stage(**{**dict(STAGE), "name": "uno", "after": "zero", "freeze": ("b", "a")})
    turned = STAGE.model_copy(update={"freeze": ("a", "b")})
    assert replace(RUN, stage=stage).fingerprint == replace(RUN, stage=turned).fingerprint
    for path in ("dataset", "image", "text"):
        part = replace(getattr(RUN, path), name="another", title="Another")
        assert replace(RUN, **{path: part}).fingerprint == RUN.fingerprint
    image = replace(IMAGE, params={"size": 32.0, "backbone": "small"})
    assert replace(RUN, image=image).fingerprint == RUN.fingerprint


def test_the_content_of_a_file_counts_and_its_path_does_not() -> None:
    def run(value: str, path: str, sha256: str) -> str:
        files = {value: File(path=Path(path), sha256=sha256)}
        text = replace(RUN.text, params={"vectors": value, "list": [value]}, files=files)
        return replace(RUN, text=text).fingerprint

    assert run("file:a", "/x/a", "1") == run("file:${R}/b", "/y/b", "1")
    assert run("file:a", "/x/a", "1") != run("file:a", "/x/a", "2")


def test_a_fingerprint_is_the_same_on_every_machine() -> None:
    # Of this very text; it may change only together with NUMBERS or the fields of a run.
    assert RUN.fingerprint == digest(json.loads(canonical(_key(RUN))))
    assert len(RUN.fingerprint) == 16
    assert int(RUN.fingerprint, 16) >= 0


def _key(run: RunSpec) -> dict[str, Any]:
    """What a fingerprint is taken of, written out by hand."""
    return {
        "numbers": records.NUMBERS,
        "dataset": {"use": "shapes", "revision": 1, "params": {"images": 64}},
        "protocol": "passport",
        "image": {"use": "pixels", "revision": 1, "params": {"backbone": "small", "size": 32}},
        "text": {"use": "words", "revision": 1, "params": {"layers": 50}},
        "losses": {"instance": [{"use": "instance", "revision": 1, "params": {"dropout": 0.5}}, 1]},
        "stage": {
            "epochs": 10, "batch": 32, "optimizer": "sgd", "lr": 0.01, "momentum": 0.9, "nesterov": True,
            "weight_decay": 0, "schedule": "constant", "decay_at": [], "decay_by": 0.1, "warmup": 0.3, "views": 1,
            "evaluate_every": 1, "patience": None, "clip": None, "freeze": [],
            "groups": [["a.*", {"lr": 0.1, "weight_decay": 1}], ["b.*", {"lr": 1, "weight_decay": 1}]],
        },
        "dim": 8,
        "seed": 0,
        "limit": None,
        "parent": None,
    }  # fmt: skip


def test_a_run_is_plain_json_with_its_names() -> None:
    plain = json.loads(json.dumps(RUN.as_dict()))
    assert plain["image"]["title"] == "Small"
    assert plain["stage"]["name"] == "one"
    assert plain["losses"][0]["weight"] == 1.0


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(_VALUES)
def test_canonical_text_is_json_of_the_same_value(value: Any) -> None:
    text = canonical(value)
    assert json.loads(text) == value
    assert canonical(json.loads(text)) == text
    assert text.isascii()


@given(st.dictionaries(st.text(max_size=3), _VALUES, max_size=4), st.randoms())
def test_the_order_of_keys_does_not_matter(value: dict[str, Any], random: Any) -> None:
    pairs = list(value.items())
    random.shuffle(pairs)
    assert canonical(dict(pairs)) == canonical(value)


@given(st.integers(-(2**53) + 1, 2**53 - 1))
def test_a_whole_float_is_its_number(number: int) -> None:
    assert canonical(float(number)) == canonical(number)


@given(_VALUES, _VALUES)
def test_other_values_are_spelled_otherwise(one: Any, two: Any) -> None:
    assert (canonical(one) == canonical(two)) == _same(one, two)


def _same(one: Any, two: Any) -> bool:
    """Equality as JSON has it: true is no number."""
    if isinstance(one, bool) or isinstance(two, bool):
        return one is two
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(_same, one, two))
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(_same(one[key], two[key]) for key in one)
    return bool(one == two)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_what_is_no_number(value: Any) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical(value)


@pytest.mark.parametrize("value", [{1: 2}, {"a": {None: 1}}, {"a": object()}, {1, 2}])
def test_what_json_has_not(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical(value)
