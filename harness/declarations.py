"""What one plugin declares, called alone and checked: hooks by their names, specs by the types of their fields."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint
from itertools import islice
from types import ModuleType
from typing import Any

import pluggy

from harness import hookspecs
from harness.errors import nearest
from harness.hookspecs import PROJECT
from harness.specs import DatasetSpec, EncoderSpec, EvaluatorSpec, Kind, LossSpec, Scale, Spec

_HOOKS: Mapping[str, tuple[Kind, type[Spec]]] = {
    "harness_datasets": ("dataset", DatasetSpec),
    "harness_encoders": ("encoder", EncoderSpec),
    "harness_losses": ("loss", LossSpec),
    "harness_evaluators": ("evaluator", EvaluatorSpec),
}
_MOST = 1000  # components of one hook: a generator without an end must not hang `harness list`


class FaultError(Exception):
    """A plugin breaks its contract in a way that needs no traceback."""


def declared(point: EntryPoint) -> list[tuple[Kind, Spec]]:
    """Load a plugin, which is somebody else's code, and return what its hooks declare, by kind.

    Raises:
        FaultError: says how it breaks the contract.
        BaseException: whatever it raises by itself.
    """
    # What a plugin prints would spoil `--json`.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        plugin = point.load()
        manager = pluggy.PluginManager(PROJECT)
        manager.add_hookspecs(hookspecs)
        _check_names(plugin)
        try:
            manager.register(plugin, name=point.name)
            manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise FaultError(" ".join(str(error).split())) from error
        callers = manager.get_hookcallers(plugin) or []
        if not callers:
            raise FaultError(f"implements none of the hooks {', '.join(_HOOKS)}")
        return [item for name in _HOOKS for item in _call(manager, name)]


def _check_names(plugin: Any) -> None:
    """Refuse a hook that pluggy would pass over in silence: misspelt, or without its marker."""
    for name in dir(plugin):
        if not name.startswith("harness_") or isinstance(value := getattr(plugin, name), ModuleType):
            continue
        if name not in _HOOKS:
            raise FaultError(f"{name!r} is no hook{nearest(name, _HOOKS)}")
        if not hasattr(value, f"{PROJECT}_impl"):
            raise FaultError(f"{name!r} lacks the decorator @hookimpl of harness.api")


def _call(manager: pluggy.PluginManager, hook: str) -> list[tuple[Kind, Spec]]:
    kind, expected = _HOOKS[hook]
    caller = getattr(manager.hook, hook)
    if not caller.get_hookimpls():
        return []
    results = caller()
    if not results:  # pluggy drops None
        raise FaultError(f"{hook} returned None, not an iterable of {expected.__name__}")
    if isinstance(results[0], str | bytes | Mapping) or not isinstance(results[0], Iterable):
        raise FaultError(f"{hook} returned {_type(results[0])}, not an iterable of {expected.__name__}")
    specs = list(islice(results[0], _MOST + 1))
    if len(specs) > _MOST:
        raise FaultError(f"{hook} returned more than {_MOST} components")
    for spec in specs:
        _check_spec(hook, spec, expected)
    return [(kind, spec) for spec in specs]


def _check_spec(hook: str, spec: Any, expected: type[Spec]) -> None:
    if not isinstance(spec, expected):
        raise FaultError(f"{hook} returned {_type(spec)} where {expected.__name__} belongs")
    right = (
        isinstance(spec.summary, str)
        and isinstance(spec.reference, str)
        and type(spec.revision) is int
        and isinstance(spec.sample, Mapping)
    )
    if isinstance(spec, DatasetSpec):
        right = right and isinstance(spec.embedded, bool) and isinstance(spec.example, str)
    if isinstance(spec, EncoderSpec):
        right = right and spec.modality in ("image", "text")
    if isinstance(spec, EvaluatorSpec):
        right = right and isinstance(spec.metrics, tuple) and all(isinstance(m, str) for m in spec.metrics)
        right = right and isinstance(spec.scales, Mapping) and isinstance(spec.gallery, str)
        right = right and all(isinstance(k, str) and isinstance(v, Scale) for k, v in spec.scales.items())
    if not right:
        raise FaultError(f"{hook} returned a {expected.__name__} with a field of a wrong type: {spec!r:.300}")


def _type(value: Any) -> str:
    return f"a value of type {type(value).__name__}"
