"""Checks a whole document, and notes everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.errors import nearest
from harness.registry.axes import REFERENCES
from harness.registry.document import HIDDEN, Document, KeyPath, Problems
from harness.registry.entries import PATCHED, SECTIONS, Entries, visible
from harness.registry.records import COMPONENT_KINDS
from harness.specs import valid_name

VERSION = 1
TOP = ("version", "extends", "default_profile", *SECTIONS)


def check_shape(document: Document, problems: Problems) -> None:
    """Check that sections are mappings of named mappings; nothing else can be looked at before they are."""
    shape = _Shape(document, problems)
    data = document.data
    if not isinstance(data, Mapping):
        shape.note((), f"must be a mapping with the keys {', '.join(TOP)}")
        return
    for key in data:
        if key not in TOP:
            shape.note((key,), f"unknown key{nearest(key, TOP)}")
    if data.get("version") != VERSION or isinstance(data.get("version"), bool):
        shape.note(("version",), f"must be {VERSION}, the version that this harness reads")
    for section in SECTIONS:
        shape.named(data.get(section, {}), (section,))
    for profile, patches in shape.mappings(data.get("profiles", {})):
        for section, entries in patches.items():
            at: KeyPath = ("profiles", profile, section)
            if section in PATCHED:
                shape.named(entries, at)
            else:
                shape.note(at, f"a profile patches {', '.join(PATCHED)}{nearest(section, PATCHED)}")


class _Shape:
    def __init__(self, document: Document, problems: Problems) -> None:
        self.document, self.problems = document, problems

    def note(self, key: KeyPath, message: str) -> None:
        self.problems.add(self.document.place(key), key, message)

    def named(self, value: Any, at: KeyPath) -> None:
        if not isinstance(value, Mapping):
            self.note(at, f"must be a mapping of names, not {value!r}")
            return
        for name, entry in value.items():
            if not valid_name(name):
                self.note((*at, name), "is no name: 1-64 of a-z, 0-9, '.', '_', '-'")
            elif "." in name and at == ("losses",):
                self.note((*at, name), "the name of a loss is part of parameter names and takes no dot")
            if not isinstance(entry, Mapping):
                self.note((*at, name), f"must be a mapping, not {entry!r}")

    @staticmethod
    def mappings(value: Any) -> Iterable[tuple[str, Mapping[str, Any]]]:
        pairs = value.items() if isinstance(value, Mapping) else ()
        return [(name, entry) for name, entry in pairs if isinstance(entry, Mapping)]


def check_links(entries: Entries, problems: Problems) -> None:
    """Check everything that merging relies on: `like` and the names that profiles patch."""
    document = entries.document

    def note(key: KeyPath, message: str) -> None:
        problems.add(document.place(key), key, message)

    for section in (*COMPONENT_KINDS, "stages", "experiments"):
        check_likes(document, section, entries.every[section], problems)
    for profile, patches in entries.sections["profiles"].items():
        for section, patched in patches.items():
            for name, patch in visible(patched).items():
                at = ("profiles", profile, section, name)
                if name not in entries.sections[section]:
                    note(at, f"there is no {name!r} in {section}{nearest(name, entries.sections[section])}")
                if "like" in patch:
                    note((*at, "like"), "a profile patches keys; it takes no like")
                if section == "experiments" and "dataset" in patch:
                    note((*at, "dataset"), "the dataset chooses the profile; a profile cannot choose it")
    profiles = entries.sections["profiles"]
    default = document.data.get("default_profile")
    if default is not None and default not in profiles:
        note(("default_profile",), f"there is no {default!r} in profiles{nearest(str(default), profiles)}")


def check_likes(
    document: Document, section: str, names: Mapping[str, Mapping[str, Any]], problems: Problems
) -> None:
    """Check that every `like` of a section leads to an entry, and none in a circle."""
    links: dict[str, tuple[str, KeyPath]] = {}
    for name, entry in names.items():
        at: KeyPath = (section, name, "like")
        if "like" not in entry:
            continue
        if isinstance(entry["like"], str) and entry["like"] in names:
            links[name] = (entry["like"], at)
        else:
            valid = visible(names)
            problems.add(
                document.place(at),
                at,
                f"there is no {entry['like']!r} in {section}{nearest(str(entry['like']), valid)}",
            )
    check_circles(document, problems, "like", links)


def check_entries(entries: Entries, problems: Problems) -> None:
    """Validate every entry under every profile, and every name that it refers to."""
    for profile in (None, *entries.sections["profiles"]):
        for section in COMPONENT_KINDS:
            for name in entries.sections[section]:
                _component(entries, problems, section, name, profile)
        links: dict[str, tuple[str, KeyPath]] = {}
        for name in entries.sections["stages"]:
            if after := _stage(entries, problems, name, profile):
                links[name] = (after, entries.merged("stages", name, profile).origins["after"])
        check_circles(entries.document, problems, "after", links)
        for name in entries.sections["experiments"]:
            _experiment(entries, problems, name, profile)


def check_circles(
    document: Document, problems: Problems, link: str, links: Mapping[str, tuple[str, KeyPath]]
) -> None:
    """Note each circle of `like` or `after` once.

    Args:
        links: of each name the name that it leads to, and the key that says so.
    """
    for name, (_, at) in links.items():
        chain = [name]
        while chain[-1] in links and links[chain[-1]][0] not in chain:
            chain.append(links[chain[-1]][0])
        if chain[-1] in links and links[chain[-1]][0] == name == min(chain):
            told = f" {link} ".join(each.partition(HIDDEN)[0] for each in [*chain, name])
            problems.add(document.place(at), at, f"goes in a circle: {told}")


def _refer(entries: Entries, problems: Problems, section: str, name: str | None, at: KeyPath) -> None:
    valid = entries.sections[section]
    if name is not None and name not in valid:
        problems.add(
            entries.document.place(at), at, f"there is no {name!r} in {section}{nearest(name, valid)}"
        )


def _component(entries: Entries, problems: Problems, section: str, name: str, profile: str | None) -> None:
    component = entries.component(section, name, profile, problems)
    if component is not None and component.profile is not None:
        origin = entries.merged(section, name, profile).origins["profile"]
        _refer(entries, problems, "profiles", component.profile, origin)


def _stage(entries: Entries, problems: Problems, name: str, profile: str | None) -> str | None:
    """Check a stage; return the stage that it comes after, if there is such a one."""
    entries.stage(name, profile, problems, {})
    merged = entries.merged("stages", name, profile)
    losses, after = merged.values.get("losses"), merged.values.get("after")
    for loss in losses if isinstance(losses, Mapping) else ():
        _refer(entries, problems, "losses", loss, (*merged.origins["losses"], loss))
    if not isinstance(after, str):
        return None
    _refer(entries, problems, "stages", after, merged.origins["after"])
    return after if after in entries.sections["stages"] else None


def _experiment(entries: Entries, problems: Problems, name: str, profile: str | None) -> None:
    entries.experiment(name, profile, problems)
    merged = entries.merged("experiments", name, profile)
    for field, section in REFERENCES.items():
        value = merged.values.get(field)
        if isinstance(value, str):
            _refer(entries, problems, section, value, merged.origins[field])
        for position, item in enumerate(value if isinstance(value, tuple) else ()):
            _refer(entries, problems, section, str(item), (*merged.origins[field], position))
