"""A registry that extends another: their documents as one, every key with the file and line that it comes from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import RegistryError, nearest
from harness.registry.check import check_shape
from harness.registry.document import HIDDEN, Document, KeyPath, Place, Problems, read_document
from harness.registry.entries import SECTIONS, visible
from harness.registry.values import FILE, expand

DEFAULT = "default"
"""What `extends` calls the registry that comes with the harness."""
NAME = "registry.yaml"
NAMED = tuple(section for section in SECTIONS if section != "profiles")


def installed() -> Path:
    """Return the registry.yaml that comes with the harness.

    Raises:
        RegistryError: if it is missing.
    """
    package = Path(__file__).resolve().parents[1]
    # In a wheel the file lies inside the package, in a source tree beside it.
    for folder in (package, package.parent):
        if (folder / NAME).is_file():
            return folder / NAME
    raise RegistryError(f"the harness in {package} came without its {NAME}", hint="Install it again.")


def read_registry(file: Path) -> Document:
    """Read a file over those that it extends; the shape of each is checked.

    Raises:
        RegistryError: if one cannot be read; they extend each other in a circle; or an entry stands in two of them
            and does not say how it is meant.
    """
    return _read(file, ())


def entry_names(file: Path, section: str) -> tuple[str, ...]:
    """Return the names of a section's entries, those of the files below first, without checking what they hold.

    Raises:
        RegistryError: as `read_registry` does.
    """
    return tuple(visible(read_registry(file).data.get(section, {})))


def _read(file: Path, above: tuple[Path, ...]) -> Document:
    document, problems = read_document(file), Problems(file)
    check_shape(document, problems)
    problems.check()
    if "extends" not in document.data:
        return document
    said = document.place(("extends",))
    base = _base(document.data["extends"], file, said)
    chain = (*above, file)
    if base.resolve() in {each.resolve() for each in chain}:
        circle = " extends ".join(str(each) for each in (*chain, base))
        raise RegistryError(f"{said}: extends: goes in a circle: {circle}")
    try:
        under = _read(base, chain)
    except RegistryError as error:
        raise RegistryError(error.message, hint=error.hint or f"{said} extends this file.") from error
    over = _Over(under, document)
    over.problems.check()
    return over.document()


def _base(value: Any, file: Path, said: Place) -> Path:
    if not isinstance(value, str) or not value:
        raise RegistryError(f"{said}: extends: must be the path of a registry, or {DEFAULT!r}, not {value!r}")
    if value == DEFAULT:
        return installed()
    try:
        path = Path(os.path.normpath(file.parent / Path(expand(value)).expanduser()))
    except (RegistryError, RuntimeError) as error:
        raise RegistryError(f"{said}: extends: {error}") from error
    if not path.is_file():
        raise RegistryError(
            f"{said}: extends: {value!r} names {path}, which is not a file",
            hint=f"A path is below the folder of {file.name}; {DEFAULT!r} is the registry of the harness.",
        )
    return path


class _Over:
    """One document laid over another."""

    def __init__(self, under: Document, own: Document) -> None:
        self.under, self.own = under, own
        self.problems = Problems(own.file)
        moved = _moved(under.data, under.file.parent, own.file.parent)
        self.data: dict[str, Any] = {
            key: dict(value) if isinstance(value, dict) else value for key, value in moved.items()
        }
        self.data["profiles"] = {
            profile: {section: dict(patches) for section, patches in sections.items()}
            for profile, sections in moved.get("profiles", {}).items()
        }
        self.places: dict[KeyPath, Place] = dict(under.places)
        for section in NAMED:
            for name, entry in own.data.get(section, {}).items():
                self._entry(section, name, dict(entry))
        for profile, sections in own.data.get("profiles", {}).items():
            self.data["profiles"].setdefault(profile, {})
            self._place(("profiles", profile))
            for section, patches in sections.items():
                for name, patch in patches.items():
                    self._patch(profile, section, name, dict(patch))
        if "default_profile" in own.data:
            self._set(("default_profile",), own.data["default_profile"])

    def document(self) -> Document:
        """Return both as one."""
        return Document(self.own.file, self.data, self.places)

    def _entry(self, section: str, name: str, entry: dict[str, Any]) -> None:
        """Add an entry, lay it over that of its name, or put it in its place."""
        at: KeyPath = (section, name)
        known = self.data.setdefault(section, {})
        replaces = self._override(entry, at, known.get(name), known)
        if replaces:
            self._forget(at)
            for profile, sections in self.data["profiles"].items():
                if sections.get(section, {}).pop(name, None) is not None:
                    self._forget(("profiles", profile, section, name))
        elif name in known and entry.get("like") == name:
            entry["like"] = self._hide(section, name)
        elif name in known:
            self._note(
                at,
                f"stands in {self.under.place(at)} already; like: {name} changes keys of it, override: true "
                "replaces it",
            )
            return
        self._set(at, entry)

    def _patch(self, profile: str, section: str, name: str, patch: dict[str, Any]) -> None:
        """Add the keys of a profile's patch to those that the file below has for the same entry."""
        at: KeyPath = ("profiles", profile, section, name)
        patches = self.data["profiles"][profile].setdefault(section, {})
        if self._override(patch, at, patches.get(name), patches):
            self._forget(at)
            patches.pop(name)
        for key in patch:
            if key in patches.get(name, {}):
                self._note(
                    (*at, key),
                    f"stands in {self.under.place((*at, key))} already; override: true replaces the patch there",
                )
        patches[name] = {**patches.get(name, {}), **patch}
        self._place(at)

    def _override(self, entry: dict[str, Any], at: KeyPath, known: Any, names: Mapping[str, Any]) -> bool:
        """Take `override` out of an entry; tell whether it replaces the one below."""
        key = (*at, "override")
        if "override" not in entry:
            return False
        if entry.pop("override") is not True:
            self._note(key, "must be true, or be left out")
        elif known is None:
            self._note(
                key,
                f"there is nothing to replace: {self.under.file} has no {at[-1]!r}{nearest(str(at[-1]), names)}",
            )
        elif entry.get("like") == at[-1]:
            self._note(key, f"replaces what like: {at[-1]} takes its keys from; leave one of them out")
        else:
            return True
        return False

    def _hide(self, section: str, name: str) -> str:
        """Give an entry, and the patches that profiles have for it, a name that only its successor knows."""
        hidden = f"{name}{HIDDEN}"
        while hidden in self.data[section]:
            hidden += HIDDEN
        self.data[section][hidden] = self.data[section].pop(name)
        self._rename((section,), name, hidden)
        for profile, sections in self.data["profiles"].items():
            if name in sections.get(section, {}):
                sections[section][hidden] = sections[section].pop(name)
                self._rename(("profiles", profile, section), name, hidden)
        return hidden

    def _rename(self, above: KeyPath, name: str, hidden: str) -> None:
        old = (*above, name)
        for key in [key for key in self.places if key[: len(old)] == old]:
            self.places[(*above, hidden, *key[len(old) :])] = self.places.pop(key)

    def _set(self, at: KeyPath, value: Any) -> None:
        if len(at) == 1:
            self.data[str(at[0])] = value
        else:
            self.data[str(at[0])][at[1]] = value
        self._place(at)

    def _place(self, at: KeyPath) -> None:
        """Take over the places of a key and of all below it."""
        self.places |= {key: place for key, place in self.own.places.items() if key[: len(at)] == at}

    def _forget(self, at: KeyPath) -> None:
        self.places = {key: place for key, place in self.places.items() if key[: len(at)] != at}

    def _note(self, key: KeyPath, message: str) -> None:
        self.problems.add(self.own.place(key), key, message)


def _moved(value: Any, old: Path, new: Path) -> Any:
    """Return a document's content with relative ``file:`` paths as they read from another folder."""
    if old == new:
        return value
    if isinstance(value, Mapping):
        return {key: _moved(item, old, new) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_moved(item, old, new) for item in value)
    if isinstance(value, str) and value.startswith(FILE):
        path = value.removeprefix(FILE)
        if not (path.startswith(("${", "~")) or os.path.isabs(path)):
            return f"{FILE}{os.path.relpath(old / path, new)}"
    return value
