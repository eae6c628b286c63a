"""The entries of a document, each with what it inherits, as validated records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from harness.errors import nearest
from harness.registry.document import HIDDEN, Document, KeyPath, Problems
from harness.registry.records import COMPONENT_KINDS, Component, Experiment, Group, Stage

R = TypeVar("R", bound=BaseModel)

SECTIONS = (*COMPONENT_KINDS, "stages", "experiments", "matrices", "profiles")
PATCHED = ("encoders", "losses", "evaluators", "stages", "experiments")
"""Sections whose entries a profile patches."""


@dataclass(frozen=True)
class Merged:
    """The keys of an entry with their values, and where each was written."""

    values: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, KeyPath] = field(default_factory=dict)

    def set(self, key: str, value: Any, at: KeyPath) -> Merged:
        """Return it with one key set."""
        return Merged({**self.values, key: value}, {**self.origins, key: at})


class Entries:
    """Reads the entries of a document whose shape was checked.

    Attributes:
        every: by section and name, those among them that another of their name is like.
        sections: those that can be named.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self.every: Mapping[str, Mapping[str, Any]] = {
            section: document.data.get(section, {}) for section in SECTIONS
        }
        self.sections: Mapping[str, Mapping[str, Any]] = {
            section: visible(entries) for section, entries in self.every.items()
        }

    def merged(self, section: str, name: str, profile: str | None) -> Merged:
        """Merge an entry from the bottom up: what `like` names, its own keys, the profile's patch.

        The patch of an entry reaches the entries that are like it, and gives way to their own keys. Where the
        component changes (`use`), the parameters of the one before are dropped.
        """
        own = self.every[section][name]
        merged = self.merged(section, own["like"], profile) if "like" in own else Merged()
        layers: list[tuple[Mapping[str, Any], KeyPath]] = [(own, (section, name))]
        if profile is not None and section in PATCHED:
            patch = self.every["profiles"][profile].get(section, {}).get(name, {})
            layers.append((patch, ("profiles", profile, section, name)))
        for layer, at in layers:
            used = merged.values.get("use")
            if section in COMPONENT_KINDS and used is not None and layer.get("use", used) != used:
                merged = Merged()
            for key, value in layer.items():
                if key != "like":
                    merged = merged.set(key, value, (*at, key))
        return merged

    def component(self, section: str, name: str, profile: str | None, problems: Problems) -> Component | None:
        """Validate an entry of datasets, encoders, losses or evaluators."""
        merged = self.merged(section, name, profile)
        reserved = {"use", "title", "profile"} if section == "datasets" else {"use", "title"}
        params = {key: value for key, value in merged.values.items() if key not in reserved}
        fields = {key: value for key, value in merged.values.items() if key in reserved}
        kept = Merged(fields, merged.origins)
        return self.record(Component, kept, (section, name), problems, name=name, params=params)

    def stage(
        self, name: str, profile: str | None, problems: Problems, changes: Mapping[str, tuple[Any, KeyPath]]
    ) -> Stage | None:
        """Validate a stage, with the fields that an axis changes and where it does so."""
        merged = self.merged("stages", name, profile)
        for key, (value, at) in changes.items():
            merged = merged.set(key, value, at)
        return self.record(Stage, merged, ("stages", name), problems, name=name)

    def experiment(self, name: str, profile: str | None, problems: Problems) -> Experiment | None:
        """Validate an experiment."""
        merged = self.merged("experiments", name, profile)
        return self.record(Experiment, merged, ("experiments", name), problems, name=name)

    def record(
        self, model: type[R], merged: Merged, at: KeyPath, problems: Problems, **given: Any
    ) -> R | None:
        """Validate the keys of an entry; note every problem, each where the key was written."""
        known = set(model.model_fields) - set(given)
        for key in merged.values:
            if key not in known:
                origin = merged.origins[key]
                problems.add(self.document.place(origin), origin, f"unknown key{nearest(key, known)}")
        try:
            return model.model_validate({**{k: v for k, v in merged.values.items() if k in known}, **given})
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                place: KeyPath = (*at, *detail["loc"])
                if detail["loc"] and detail["loc"][0] in merged.origins:
                    place = (*merged.origins[str(detail["loc"][0])], *detail["loc"][1:])
                if detail["type"] == "missing":
                    place = place[:-1]
                problems.add(self.document.place(place), place, explain(detail))
            return None


def visible(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that can be named."""
    return {name: entry for name, entry in entries.items() if HIDDEN not in name}


def explain(detail: ErrorDetails) -> str:
    """Say in the words of a registry what pydantic found."""
    value = detail.get("input")
    match detail["type"]:
        case "missing":
            return f"lacks the key {str(detail['loc'][-1])!r}"
        case "extra_forbidden":
            return f"unknown key{nearest(str(detail['loc'][-1]), Group.model_fields)}"
        case "literal_error":
            choices = str(detail["ctx"]["expected"])
            valid = [choice.strip("' ") for choice in choices.replace(" or ", ", ").split(",")]
            return f"must be {choices}, not {value!r}{nearest(str(value), valid).partition('; valid')[0]}"
        case "value_error":
            return detail["msg"].removeprefix("Value error, ")
        case "too_short":
            return "must not be empty"
        case "model_type":
            return f"must be a mapping, not {value!r}"
    message = (
        detail["msg"]
        .replace("Input should", "must")
        .replace("tuple", "list")
        .replace("dictionary", "mapping")
    )
    return f"{message[0].lower()}{message[1:]}, not {value!r}"
