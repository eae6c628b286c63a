"""The JSON Schema of a registry, for editors: it follows from the records, and knows the installed components.

It says what one file may hold. That names are known, that axes do not set a field twice and the like is said by
`harness plan`, which sees all files.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

from harness.registry.axes import STAGE_FIELDS, Whole
from harness.registry.check import VERSION
from harness.registry.entries import PATCHED
from harness.registry.extend import DEFAULT
from harness.registry.records import COMPONENT_KINDS, Component, Entry, Experiment, Matrix, Stage

DRAFT = "http://json-schema.org/draft-07/schema#"
"""The one that editors know best."""
Schema = dict[str, Any]
Parameters = Mapping[str, Schema]
"""Parameter of a component -> its schema."""

_NAME = "^(?!.*\\.\\.)[a-z0-9][a-z0-9._-]{0,63}$"
_LOSS = "^[a-z0-9][a-z0-9_-]{0,63}$"
_LIKE: Schema = {"type": "string", "description": "The entry of this section whose keys are taken over."}
_OVERRIDE: Schema = {
    "const": True,
    "description": "Replaces the entry of this name in the registry that the file extends.",
}
_COMMON = {"like": _LIKE, "override": _OVERRIDE}
_SCALAR: Schema = {"type": ["string", "number", "boolean", "null"]}


def registry_schema(components: Mapping[str, Mapping[str, Parameters | None]]) -> Schema:
    """Return the schema of a registry file.

    Args:
        components: by section the installed components, each with its parameters, ``None`` where they are not known.
    """
    patches = {section: _named(_patch(section), section) for section in PATCHED}
    sections = {
        section: _named(_component(section, components.get(section, {})), section)
        for section in COMPONENT_KINDS
    }
    return {
        "$schema": DRAFT,
        "title": "registry.yaml of harness",
        "type": "object",
        "required": ["version"],
        "additionalProperties": False,
        "properties": {
            "version": {"const": VERSION},
            "extends": {
                "type": "string",
                "description": f"Path of the registry that this file adds to, or {DEFAULT}: that of the harness.",
                "examples": [DEFAULT],
            },
            "default_profile": {
                "type": "string",
                "description": "The profile of prepared datasets that are not listed.",
            },
            **sections,
            "stages": _named(_whole(_fields(Stage), ["losses", "epochs"]), "stages"),
            "experiments": _named(_whole(_fields(Experiment), _required(Experiment)), "experiments"),
            "matrices": _named(_object({**_matrix(), **_COMMON}), "matrices"),
            "profiles": _named(_object(patches), "profiles"),
        },
        "definitions": Stage.model_json_schema(ref_template="#/definitions/{model}")["$defs"],
    }


def descriptions(record: type[Entry]) -> dict[str, str]:
    """Return what the docstring of a record says of each field."""
    text = inspect.cleandoc(record.__doc__ or "").partition("Args:\n")[2]
    found = re.findall(r"^ {4}(\w+): (.+(?:\n {5,}.+)*)", text, re.M)
    return {name: re.sub(r"\s+", " ", said).replace("`", "") for name, said in found}


def _fields(record: type[Entry]) -> dict[str, Schema]:
    """Return the fields of a record as a file spells them."""
    told = descriptions(record)
    found: dict[str, Schema] = {}
    for name, schema in record.model_json_schema(ref_template="#/definitions/{model}")["properties"].items():
        if name not in ("name", "settings"):
            kept = {key: value for key, value in schema.items() if key != "title"}
            found[name] = {**kept, **({"description": told[name]} if name in told else {})}
    if record is Stage:
        weight = found["losses"]["additionalProperties"]
        settings = {"type": "object", "properties": {"weight": weight}}
        found["losses"]["additionalProperties"] = {"anyOf": [weight, settings]}
    return {**found, **_COMMON}


def _required(record: type[Entry]) -> list[str]:
    return [name for name, field in record.model_fields.items() if field.is_required() and name != "name"]


def _object(properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "properties": dict(properties), "additionalProperties": False}


def _whole(properties: Mapping[str, Schema], required: list[str]) -> Schema:
    """Return an entry that has what it needs, or takes it from another."""
    return {**_object(properties), "anyOf": [{"required": ["like"]}, {"required": required}]}


def _named(entry: Schema, section: str) -> Schema:
    pattern = _LOSS if section == "losses" else _NAME
    return {"type": "object", "propertyNames": {"pattern": pattern}, "additionalProperties": entry}


def _component(section: str, installed: Mapping[str, Parameters | None]) -> Schema:
    told = descriptions(Component)
    reserved = ("use", "title", "profile") if section == "datasets" else ("use", "title")
    own: dict[str, Schema] = {
        **{name: {"type": "string", "description": told[name]} for name in reserved},
        **_COMMON,
    }
    if installed:
        own["use"] = {"enum": sorted(installed), "description": told["use"]}
    cases = [
        {
            "if": {"properties": {"use": {"const": name}}, "required": ["use"]},
            "then": _object({**{key: {} for key in own}, **params}),
        }
        for name, params in sorted(installed.items())
        if params is not None
    ]
    entry: Schema = {
        "type": "object",
        "properties": own,
        "anyOf": [{"required": ["like"]}, {"required": ["use"]}],
    }
    return {**entry, "allOf": cases} if cases else entry


def _patch(section: str) -> Schema:
    if section in COMPONENT_KINDS:
        return {"type": "object", "properties": {"override": _OVERRIDE}}
    fields = _fields(Stage if section == "stages" else Experiment)
    dropped = ("like", "dataset") if section == "experiments" else ("like",)
    return _object({name: schema for name, schema in fields.items() if name not in dropped})


def _matrix() -> dict[str, Schema]:
    plain = {name: schema for name, schema in _fields(Matrix).items() if name not in ("axes", "exclude")}
    told = descriptions(Matrix)
    fields = "|".join(Whole.model_fields)
    settable = rf"^({fields}|(image|text)\.[A-Za-z_]\w*|loss\.[^.]+\.[A-Za-z_]\w*|stage\.({'|'.join(STAGE_FIELDS)}))$"
    labels = {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {"type": "object", "propertyNames": {"pattern": settable}},
    }
    label = {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR}]}
    return {
        **plain,
        "axes": {
            "type": "object",
            "description": told["axes"],
            "additionalProperties": {"anyOf": [{"type": "array", "minItems": 1}, labels]},
        },
        "exclude": {
            "type": "array",
            "description": told["exclude"],
            "items": {"type": "object", "minProperties": 1, "additionalProperties": label},
        },
    }
