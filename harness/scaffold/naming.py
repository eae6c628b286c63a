"""What a plugin is called, in all the places that call it something."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass

from harness.catalog import Catalog
from harness.errors import InputError, RegistryError
from harness.registry.document import read_value
from harness.registry.entries import SECTIONS
from harness.registry.extend import entry_names, installed
from harness.specs import Kind

PREFIX = "retrieval-harness-"
LONGEST = 24
"""Characters of a name: with more, lines of the generated code grow too long."""
# As PEP 508 has names of distributions, of ASCII alone.
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Names:
    """The names of a plugin.

    Attributes:
        name: of the plugin and its component, normalised (PEP 503).
        distribution: what pip installs.
        package: what Python imports.
        cls: the class.
    """

    name: str
    distribution: str
    package: str
    cls: str


def names_of(name: str, kind: Kind, catalog: Catalog | None = None) -> Names:
    """Derive all names from one.

    Args:
        name: letters, digits, ``-``, ``_`` and ``.``, beginning and ending with a letter or digit; with or without
            ``retrieval-harness-`` before it.
        catalog: what is installed; a name that is taken there is refused.

    Raises:
        InputError: if the name is malformed, too long, no text in YAML, or taken.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot name a plugin",
            hint="A name is of letters, digits, '-', '_' and '.', and begins and ends with a letter or digit: my-loss",
        )
    short = re.sub(r"[-_.]+", "-", name).lower().removeprefix(PREFIX)
    if len(short) > LONGEST:
        raise InputError(
            f"{short!r} has {len(short)} characters, more than {LONGEST}", hint="Shorten the name."
        )
    _check_text(short)
    distribution = PREFIX + short
    if catalog is not None:
        _check_free(short, distribution, kind, catalog)
    words = "".join(word.capitalize() for word in short.split("-"))
    plain = words[0].isalpha() and not keyword.iskeyword(words)
    return Names(
        name=short,
        distribution=distribution,
        package="harness_" + short.replace("-", "_"),
        cls=words if plain else kind.capitalize() + words,
    )


def _check_text(name: str) -> None:
    """Refuse a name that a registry would read as a number or another value."""
    try:
        text = read_value(name, "the name") == name
    except RegistryError:
        text = False
    if not text:
        raise InputError(
            f"{name!r} is a number or another value in YAML, and names nothing there",
            hint=f"Begin with a word: my-{name}",
        )


def _check_free(name: str, distribution: str, kind: Kind, catalog: Catalog) -> None:
    taken = catalog.components.get((kind, name))
    if taken is not None:
        raise InputError(
            f"{taken.distribution} {taken.version} declares {kind} {name!r} already",
            hint="Take another name: two plugins that declare one component cannot be loaded together.",
        )
    for plugin in catalog.plugins:
        if plugin.name == name or plugin.distribution.lower() == distribution:
            raise InputError(
                f"a plugin {plugin.name!r} of {plugin.distribution} {plugin.version} is installed",
                hint="Take another name, or add the component to that plugin's hooks.",
            )
    for section in SECTIONS:
        if name in entry_names(installed(), section):
            raise InputError(
                f"{name!r} stands among the {section} of the harness's registry.yaml already",
                hint="Take another name: the package brings a registry that extends it.",
            )
