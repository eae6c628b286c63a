"""The JSON Schema of a registry takes what the harness takes, and refuses what an editor can know to be wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from harness.registry import COMPONENT_KINDS, Registry, Stage, installed
from harness.registry.document import read_document
from harness.registry.schema import registry_schema

Invoke = Callable[..., tuple[int, str, str]]
MINE = """\
version: 1
extends: default
encoders: {words: {like: words, width: 0.5}, own: {use: tfidf, title: Own}}
losses: {mine: {override: true, use: infonce}}
stages: {mine: {like: one, after: null, lr: 1e-4, losses: {mine: {weight: 1, temperature: 0.1}}}}
profiles: {tiny: {stages: {mine: {epochs: 2}}, losses: {mine: {temperature: 1}}}}
matrices:
  mine: {like: ablations, exclude: [{seed: 0, variant: [mine]}], axes: {variant: {mine: {stage.lr: 1, image.x: 2}}}}
"""


@pytest.fixture(scope="module")
def schema() -> Any:
    """The schema with the components that the installed registry uses, without torch."""
    registry = Registry.load(installed())
    used = {
        section: {
            registry.component(section, name, None).use: None for name in registry.names(section)
        }
        for section in COMPONENT_KINDS
    }  # fmt: skip
    used["losses"]["infonce"] = {"temperature": {"type": "number"}}
    found = registry_schema(used)
    Draft7Validator.check_schema(found)
    return Draft7Validator(found)


def content(file: Path) -> Any:
    return json.loads(json.dumps(read_document(file).data))


def faults(schema: Any, file: Path) -> set[str]:
    """Return the keys that a validator marks."""
    return {".".join(map(str, error.absolute_path)) for error in schema.iter_errors(content(file))}


def test_our_registry_and_one_over_it_are_valid(schema: Any, tmp_path: Path, example: str) -> None:
    assert faults(schema, installed()) == set()
    for text in (MINE, example.replace("text-cnn", "tfidf").replace("bow", "tfidf")):
        file = tmp_path / "registry.yaml"
        file.write_text(text, encoding="utf-8")
        assert faults(schema, file) == set()


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("version: 1", "version: 2", "version"),
        ("extends: default", "extend: default", ""),
        ("use: tfidf", "use: tdidf", "encoders.own.use"),
        ("use: infonce", "use: infonce, temperatur: 1", "losses.mine"),
        ("use: infonce", "use: infonce, temperature: warm", "losses.mine.temperature"),
        ("own: {use: tfidf,", "own: {", "encoders.own"),
        ("override: true", "override: false", "losses.mine.override"),
        ("lr: 1e-4", "lr: 0", "stages.mine.lr"),
        ("lr: 1e-4", "lrr: 1", "stages.mine"),
        ("like: one, after", "after", "stages.mine"),
        ("weight: 1", "weight: -1", "stages.mine.losses.mine"),
        ("epochs: 2", "epoch: 2", "profiles.tiny.stages.mine"),
        ("{epochs: 2}", "{like: one}", "profiles.tiny.stages.mine"),
        ("{tiny: {stages", "{tiny: {stage", "profiles.tiny"),
        ("stage.lr: 1", "stage.lrr: 1", "matrices.mine.axes.variant"),
        ("stage.lr: 1", "imagex: 1", "matrices.mine.axes.variant"),
        ("[{seed: 0, variant: [mine]}]", "[{}]", "matrices.mine.exclude.0"),
        ("own: {use", "Own: {use", "encoders"),
        ("losses: {mine: {o", "losses: {mi.ne: {o", "losses"),
    ],
)
def test_a_fault_is_marked_where_it_stands(schema: Any, tmp_path: Path, old: str, new: str, key: str) -> None:
    assert old in MINE
    file = tmp_path / "registry.yaml"
    file.write_text(MINE.replace(old, new), encoding="utf-8")
    assert key in faults(schema, file)


def test_every_field_of_a_stage_is_there_with_its_default_and_its_meaning(schema: Any) -> None:
    shown = schema.schema["properties"]["stages"]["additionalProperties"]["properties"]
    fields = {name: field for name, field in Stage.model_fields.items() if name not in ("name", "settings")}
    assert list(shown) == [*fields, "like", "override"]
    for name, field in fields.items():
        assert shown[name]["description"], name
        if not field.is_required() and name != "groups":
            default = field.get_default()
            assert shown[name]["default"] == (list(default) if isinstance(default, tuple) else default)


def test_the_command_knows_installed_components_and_their_parameters(invoke: Invoke, tmp_path: Path) -> None:
    code, out, err = invoke("schema")
    assert (code, err) == (0, "")
    found = json.loads(out)
    own = found["properties"]["encoders"]["additionalProperties"]
    assert own["properties"]["use"]["enum"] == ["constant", "frozen", "pixels", "stored", "words"]
    parameters = {
        case["if"]["properties"]["use"]["const"]: case["then"]["properties"] for case in own["allOf"]
    }
    assert parameters["words"]["fault"] == {"type": "string"}
    assert "dim" not in parameters["words"], "the harness gives it"
    assert parameters["stored"]["stored_size"] == {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    assert faults(Draft7Validator(found), tmp_path / "registry" / "registry.yaml") == set()

    file = tmp_path / "registry.schema.json"
    code, out, err = invoke("schema", "--to", str(file))
    assert (code, out) == (0, "")
    assert "# yaml-language-server: $schema=registry.schema.json" in err
    assert json.loads(file.read_text(encoding="utf-8")) == found
