"""docs/hooks.md, from the docstrings of what a plugin author meets: hooks, declarations, protocols, errors."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from types import ModuleType
from typing import Any, get_args

NOTE = "<!-- Written by `uv run python .ci/texts.py --write` from docstrings. Do not edit. -->"
SECTIONS = ("Args", "Attributes", "Returns", "Raises")
TITLES = {"datasets": "Datasets", "encoders": "Encoders", "losses": "Losses", "evaluators": "Evaluators"}
WIDTH = 140
"""Of lines of prose."""
LONGEST = 100
"""Of a signature on one line."""


def render() -> str:
    """Return the page."""
    from harness import api, errors, hookspecs, protocols, specs

    blocks = [
        "# Hooks, declarations, protocols",
        NOTE,
        _wrapped(
            "Everything here is imported from `harness.api`, and a plugin needs nothing else of the harness; its tests "
            "may use `harness.testing`. [writing-a-plugin.md](writing-a-plugin.md) shows how it goes together."
        ),
        "## Hooks",
        prose(hookspecs.__doc__),
        _wrapped(
            f"The group of a plugin's entry point is `{hookspecs.ENTRY_POINT_GROUP}` (`ENTRY_POINT_GROUP`); it names "
            "a module or an object whose functions are marked with `hookimpl`."
        ),
    ]
    for name, hook in vars(hookspecs).items():
        if name.startswith("harness_"):
            blocks += [fence(f"@hookimpl\ndef {name}{_signature(hook)}"), prose(hook.__doc__)]
    blocks += ["## Declarations", prose(specs.__doc__)]
    blocks += _class("`Spec`, what all of them have", specs.Spec)
    for name, thing in _own(specs, api):
        blocks += _class(f"`{name}`", thing)
    blocks += ["## What a component is given", prose(protocols.__doc__)]
    for part, title in TITLES.items():
        module = getattr(protocols, part)
        blocks += [f"## {title}", prose(module.__doc__)]
        if part == "datasets":
            blocks.append(f"`SPLITS` is {', '.join(f'`{name}`' for name in protocols.SPLITS)}.")
        if part == "evaluators":
            blocks.append(
                fence("Policy = Literal[" + ", ".join(f'"{p}"' for p in get_args(api.Policy)) + "]")
            )
        for name, thing in _own(module, api):
            if inspect.isclass(thing):
                blocks += _class(f"`{name}`", thing)
            else:
                blocks += [f"### `{name}`", fence(f"{name}{_signature(thing)}"), prose(thing.__doc__)]
    blocks += ["## Errors and names", prose(errors.__doc__)]
    for name, thing in [*_own(errors, api), ("valid_name", api.valid_name)]:
        if inspect.isfunction(thing):
            blocks += [fence(f"{name}{_signature(thing)}"), prose(thing.__doc__)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _own(module: ModuleType, api: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield what a module defines and plugins import, in the order of its file."""
    for name, thing in vars(module).items():
        if (
            name in api.__all__
            and getattr(thing, "__module__", "") == module.__name__
            and name != "valid_name"
        ):
            yield name, thing


def _class(title: str, thing: type) -> list[str]:
    blocks = [f"### {title}"]
    if hasattr(thing, "__dataclass_fields__"):
        blocks.append(fence(f"{thing.__name__}{_signature(thing)}"))
    blocks.append(prose(thing.__doc__))
    for name, member in vars(thing).items():
        public = not name.startswith("_") or name == "__call__"
        # Of a property and a cached property, the function behind them.
        told = member.fget if isinstance(member, property) else getattr(member, "func", member)
        if not public or not inspect.isfunction(told) or not told.__doc__:
            continue
        if told is member:
            blocks.append(fence(f"def {name}{_signature(member)}"))
        else:
            blocks.append(fence(f"{name}: {inspect.signature(told).return_annotation}"))
        blocks.append(prose(told.__doc__))
    return blocks


def _signature(thing: Any) -> str:
    """Return parameters and what is returned, annotated as in the source; long ones go on a line each."""
    signature, parts, starred = inspect.signature(thing), [], False
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            parts, starred = [*parts, "*"], True
        told = parameter.name
        if parameter.annotation is not parameter.empty:
            told += f": {parameter.annotation}"
        if parameter.default is not parameter.empty:
            default = repr(parameter.default).replace("'", '"').replace("<factory>", "{}")
            told += f" = {default}" if ":" in told else f"={default}"
        parts.append(told)
    returned = signature.return_annotation
    after = "" if returned in (signature.empty, None, "None") else f" -> {returned}"
    line = f"({', '.join(parts)}){after}"
    return line if len(line) <= LONGEST else "(" + "".join(f"\n    {part}," for part in parts) + f"\n){after}"


def fence(code: str) -> str:
    """Return a block of Python."""
    return f"```python\n{code}\n```"


def prose(docstring: str | None) -> str:
    """Return a docstring as markdown: its sections as lists, what is indented as it stands."""
    blocks: list[str] = []
    section = ""
    for paragraph in inspect.cleandoc(docstring or "").split("\n\n"):
        lines = paragraph.split("\n")
        if lines[0].rstrip(":") in SECTIONS and lines[0].endswith(":"):
            section = lines.pop(0).rstrip(":")
            blocks.append(_list(section, textwrap.dedent("\n".join(lines))))
        elif any(line.startswith(("|-", "`-")) for line in lines):
            blocks.append("\n".join(f"    {line}" for line in lines))  # a drawn tree
        elif all(line.startswith("    ") for line in lines):
            blocks.append(paragraph)
        else:
            blocks.append(_wrapped(" ".join(lines)))
    return "\n\n".join(blocks)


def _list(section: str, text: str) -> str:
    if section == "Returns":
        return _wrapped(f"Returns: {' '.join(text.split())}")
    entries = re.findall(r"^([\w, ]+): (.+(?:\n +.+)*)", text, re.M)
    lead = "Raises " if section == "Raises" else ""
    return "\n".join(_wrapped(f"- {lead}`{name}`: {' '.join(said.split())}", "  ") for name, said in entries)


def _wrapped(text: str, indent: str = "") -> str:
    lines = textwrap.wrap(
        _inline(text), WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines)


def _inline(text: str) -> str:
    """Return text whose code has single backticks, and that markdown reads as it is meant."""
    parts = re.split(r"(``[^`]+``|`[^`]+`)", text)
    return "".join(
        f"`{part.strip('`')}`" if part.startswith("`") else re.sub(r"([*<_])", r"\\\1", part)
        for part in parts
    )
