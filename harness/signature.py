"""The parameters of a component, and whether a value of registry.yaml fits them."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Collection, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

_SEQUENCES = (Sequence, Collection, Iterable)
_MAPPINGS = (dict, Mapping, MutableMapping)


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A keyword-only parameter: its annotation, `Any` where it has none that can be read, and whether it has no
    default.
    """

    annotation: Any
    required: bool


def parameters(target: Any) -> dict[str, Parameter]:
    """Read the parameters of a class or function, in order.

    Raises:
        TypeError: if a parameter is not keyword-only.
        ValueError: if the signature cannot be read.
    """
    function = inspect.unwrap(target.__init__ if inspect.isclass(target) else target)
    scope = getattr(function, "__globals__", {})
    found = {}
    for parameter in inspect.signature(target).parameters.values():
        # A class without a constructor of its own inherits (*args, **kwargs), from torch.nn.Module for one.
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.kind is not parameter.KEYWORD_ONLY:
            raise TypeError(f"parameter {parameter.name!r} must be keyword-only: put a * before it")
        found[parameter.name] = Parameter(
            annotation=_annotation(parameter, scope), required=parameter.default is parameter.empty
        )
    return found


def _annotation(parameter: inspect.Parameter, scope: dict[str, Any]) -> Any:
    if parameter.annotation is parameter.empty:
        return Any
    holder = SimpleNamespace(__annotations__={"it": parameter.annotation})
    try:
        return typing.get_type_hints(holder, globalns=scope)["it"]
    except (NameError, AttributeError, TypeError, SyntaxError):
        return Any  # a name that exists for the type checker only cannot be checked here


class Mismatch(Exception):  # noqa: N818 - says what was expected; it is caught where the parameter is named
    """Say what was expected."""


def convert(value: Any, annotation: Any) -> Any:
    """Return the value in the type that the annotation asks for.

    A whole number is taken for `float`, text for `Path`, a sequence for `list`, `tuple` and `Sequence`. A
    boolean is no number. A value of any other class must be of that class; a type variable takes everything.

    Raises:
        Mismatch: says what was expected.
    """
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return convert(value, typing.get_args(annotation)[0])
    if origin is Literal:
        choices = typing.get_args(annotation)
        if any(type(value) is type(choice) and value == choice for choice in choices):
            return value
        raise Mismatch(f"one of {', '.join(map(repr, choices))}")
    if origin in (typing.Union, types.UnionType):
        return _union(value, annotation)
    kind = origin or annotation
    if kind in (*_SEQUENCES, list, tuple, set, frozenset):
        return _sequence(value, annotation, kind)
    if kind in _MAPPINGS:
        return _mapping(value, annotation)
    return _scalar(value, annotation)


def _scalar(value: Any, annotation: Any) -> Any:
    if annotation is None or annotation is type(None):
        right = value is None
    elif annotation is float:
        if isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        right = isinstance(value, float)
    elif annotation is int:
        right = isinstance(value, int) and not isinstance(value, bool)
    elif annotation is Path:
        if isinstance(value, str):
            return Path(value)
        right = isinstance(value, Path)
    else:
        right = annotation is Any or not isinstance(annotation, type) or isinstance(value, annotation)
    if not right:
        raise Mismatch(spell(annotation))
    return value


def _union(value: Any, annotation: Any) -> Any:
    arms = typing.get_args(annotation)
    # `int | float` keeps 1 a whole number, `str | Path` keeps text.
    if type(value) in arms:
        return value
    for arm in arms:
        try:
            return convert(value, arm)
        except Mismatch:
            continue
    raise Mismatch(spell(annotation))


def _sequence(value: Any, annotation: Any, kind: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise Mismatch(spell(annotation))
    arguments = typing.get_args(annotation)
    try:
        if typing.get_origin(annotation) is tuple and arguments[-1:] != (Ellipsis,):
            if len(arguments) != len(value):
                raise Mismatch("")
            items = [convert(item, argument) for item, argument in zip(value, arguments, strict=True)]
        else:
            items = [convert(item, arguments[0]) if arguments else item for item in value]
    except Mismatch:
        raise Mismatch(spell(annotation)) from None
    return kind(items) if kind in (list, set, frozenset) else tuple(items)


def _mapping(value: Any, annotation: Any) -> Any:
    if not isinstance(value, Mapping):
        raise Mismatch(spell(annotation))
    arguments = typing.get_args(annotation)
    if not arguments:
        return dict(value)
    try:
        return {convert(key, arguments[0]): convert(item, arguments[1]) for key, item in value.items()}
    except Mismatch:
        raise Mismatch(spell(annotation)) from None


def spell(annotation: Any) -> str:
    """Return an annotation as a person would write it, such as ``int | None``."""
    if annotation is type(None):
        return "null"
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(spell(arm) for arm in typing.get_args(annotation))
    if origin is Literal:
        return f"one of {', '.join(map(repr, typing.get_args(annotation)))}"
    if origin is None and isinstance(annotation, type):
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("collections.abc.", "")


_PLAIN: Mapping[Any, str] = {bool: "boolean", int: "integer", float: "number", str: "string", Path: "string"}


def schema(annotation: Any) -> dict[str, Any]:
    """Return the JSON Schema of the values that `convert` takes for an annotation; an empty one takes everything."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return schema(arguments[0])
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [schema(arm) for arm in arguments]}
    kind = origin or annotation
    if kind in (*_SEQUENCES, list, tuple, set, frozenset):
        items = [schema(argument) for argument in arguments if argument is not Ellipsis]
        alike = bool(items) and all(item == items[0] for item in items)
        return {"type": "array", **({"items": items[0]} if alike else {})}
    if kind in _MAPPINGS:
        return {"type": "object", "additionalProperties": schema(arguments[1]) if len(arguments) == 2 else {}}
    if annotation is None or annotation is type(None):
        return {"type": "null"}
    return {"type": _PLAIN[annotation]} if annotation in _PLAIN else {}
