"""Part + catalog -> live component, its parameters checked against its signature."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.catalog import Catalog, Entry
from harness.errors import HarnessError, InputError, ParameterError, PluginError, RunError, nearest
from harness.plan import Part, Plan
from harness.registry import FILE, expand, file_path
from harness.signature import Mismatch, Parameter, convert, parameters
from harness.specs import DatasetSpec, Kind

HARNESS_VALUES = ("dim", "classes", "captions", "seed", "train_features", "remember")
"""What encoders and losses get from the harness, if they name it; no registry entry sets it."""
EVALUATOR_VALUES = ("source",)
"""What evaluators get: the folder that the dataset was prepared from, a `Path`, or ``None`` if it is generated."""

_GIVEN: Mapping[Kind, tuple[str, ...]] = {
    "encoder": HARNESS_VALUES,
    "loss": HARNESS_VALUES,
    "evaluator": EVALUATOR_VALUES,
}
_METHODS: Mapping[Kind, tuple[str, ...]] = {
    "dataset": ("annotations",),
    "encoder": ("prepare", "__call__"),
    "loss": ("__call__",),
    "evaluator": ("evaluate",),
}


def build(part: Part, kind: Kind, catalog: Catalog, **harness_values: Any) -> Any:
    """Build the component of a part.

    Args:
        harness_values: of `HARNESS_VALUES` or `EVALUATOR_VALUES`; the component gets those that it names.

    Raises:
        InputError: if no plugin declares the component.
        PluginError: if the component cannot be imported or breaks its contract.
        ParameterError: lists every parameter that is unknown, missing or of a wrong type.
        RunError: if its constructor raises anything but a HarnessError.
    """
    entry = catalog.find(kind, part.use)
    name = _name(part, kind, entry)
    target = _import(entry, name)
    signature = _signature(target, name)
    arguments = _arguments(part, kind, signature, name)
    arguments |= {key: value for key, value in harness_values.items() if key in signature}
    missing = [key for key, parameter in signature.items() if parameter.required and key not in arguments]
    if missing:
        raise ParameterError(f"{name}: needs {', '.join(map(repr, missing))}")
    with _blamed(RunError, f"{name}: cannot be built with {arguments!r:.300}"):
        component = target(**arguments)
    methods = _METHODS[kind]
    if isinstance(entry.spec, DatasetSpec) and entry.spec.embedded:
        methods = (*methods, "pixels")
    lacking = [method for method in methods if not callable(getattr(component, method, None))]
    if lacking:
        raise PluginError(f"{name}: {entry.spec.target} has no {', '.join(lacking)}; see harness.protocols")
    return component


def check(part: Part, kind: Kind, catalog: Catalog) -> None:
    """Check the parameters of a part without building it.

    Raises:
        InputError: as `build` does.
    """
    entry = catalog.find(kind, part.use)
    name = _name(part, kind, entry)
    signature = _signature(_import(entry, name), name)
    given = {*_arguments(part, kind, signature, name), *_GIVEN.get(kind, ())}
    missing = [key for key, parameter in signature.items() if parameter.required and key not in given]
    if missing:
        raise ParameterError(f"{name}: needs {', '.join(map(repr, missing))}")


def settable(entry: Entry, kind: Kind) -> dict[str, Parameter]:
    """Return the parameters of a component that a registry may set.

    Raises:
        PluginError: if the component cannot be imported, or its signature cannot be read.
    """
    name = f"{kind} {entry.spec.name!r} of {entry.distribution} {entry.version}"
    signature = _signature(_import(entry, name), name)
    return {key: found for key, found in signature.items() if key not in _GIVEN.get(kind, ())}


def check_all(plan: Plan, catalog: Catalog) -> None:
    """Check the parameters of every part of a plan, before anything starts.

    Raises:
        InputError: lists every problem of all parts.
    """
    problems: dict[str, str] = {}
    for kind, part in _parts(plan):
        try:
            check(part, kind, catalog)
        except InputError as error:
            problems.setdefault(error.message, error.hint)
    if problems:
        hints = [hint for hint in dict.fromkeys(problems.values()) if hint]
        raise InputError("\n".join(problems), hint="\n".join(hints))


def _parts(plan: Plan) -> Iterator[tuple[Kind, Part]]:
    for run in plan.runs:
        yield "dataset", run.dataset
        yield "encoder", run.image
        yield "encoder", run.text
        for part, _ in run.losses:
            yield "loss", part
    for cell in plan.cells:
        for part in cell.evaluators:
            yield "evaluator", part


def _name(part: Part, kind: Kind, entry: Entry) -> str:
    used = "" if part.use == part.name else f" (use: {part.use})"
    return f"{kind} {part.name!r}{used} of {entry.distribution} {entry.version}"


@contextlib.contextmanager
def _blamed(error: type[HarnessError], what: str) -> Iterator[None]:
    """Name the plugin in whatever its code raises, and keep what it prints off stdout."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except (HarnessError, KeyboardInterrupt):
        raise
    except (Exception, SystemExit) as cause:
        raise error(f"{what}: {type(cause).__name__}: {cause}") from cause


def _import(entry: Entry, name: str) -> Any:
    module, _, attribute = entry.spec.target.partition(":")
    with _blamed(PluginError, f"{name}: cannot import {entry.spec.target}"):
        target = getattr(importlib.import_module(module), attribute)
    if not callable(target):
        raise PluginError(f"{name}: {entry.spec.target} is not callable")
    return target


def _signature(target: Any, name: str) -> dict[str, Parameter]:
    try:
        return parameters(target)
    except (TypeError, ValueError) as error:
        raise PluginError(f"{name}: {error}") from error


def _arguments(part: Part, kind: Kind, signature: Mapping[str, Parameter], name: str) -> dict[str, Any]:
    given = _GIVEN.get(kind, ())
    settable = {key: parameter for key, parameter in signature.items() if key not in given}
    arguments, problems = {}, []
    for key, value in part.params.items():
        if key in given:
            problems.append(f"{name}: parameter {key!r} is given by the harness and cannot be set here")
        elif key not in settable:
            problems.append(f"{name}: takes no parameter {key!r}{nearest(key, settable)}")
        else:
            try:
                arguments[key] = convert(_expanded(value, part), settable[key].annotation)
            except Mismatch as mismatch:
                problems.append(f"{name}: parameter {key!r} is {value!r}, not {mismatch}")
            except InputError as error:
                problems.append(f"{name}: parameter {key!r}: {error.message}")
    if problems:
        raise ParameterError("\n".join(problems))
    return arguments


def _expanded(value: Any, part: Part) -> Any:
    if isinstance(value, str):
        if value in part.files:
            path = part.files[value].path
            return str(file_path(f"{FILE}{path}", path.parent))
        return str(file_path(value, Path.cwd())) if value.startswith(FILE) else expand(value)
    if isinstance(value, Mapping):
        return {key: _expanded(item, part) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_expanded(item, part) for item in value)
    return value
