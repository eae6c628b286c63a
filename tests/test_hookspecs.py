"""The hooks: typed, prefixed, one of each kind; a plugin that implements them is accepted."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterable

import pluggy
import pytest

from harness import hookspecs
from harness.specs import DatasetSpec, EncoderSpec, EvaluatorSpec, Kind, LossSpec

HOOKS = {
    "harness_datasets": DatasetSpec,
    "harness_encoders": EncoderSpec,
    "harness_losses": LossSpec,
    "harness_evaluators": EvaluatorSpec,
}


def declared() -> dict[str, typing.Any]:
    return {
        name: value
        for name, value in vars(hookspecs).items()
        if inspect.isfunction(value) and hasattr(value, f"{hookspecs.PROJECT}_spec")
    }


def test_there_is_one_hook_a_kind() -> None:
    assert set(declared()) == set(HOOKS)
    assert len(typing.get_args(Kind)) == len(HOOKS)


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_takes_nothing_and_returns_its_specs(name: str) -> None:
    hook = declared()[name]
    assert not inspect.signature(hook).parameters
    assert typing.get_type_hints(hook)["return"] == Iterable[HOOKS[name]]
    assert hook.__doc__


def test_pluggy_accepts_them_and_an_implementation() -> None:
    class Plugin:
        @staticmethod
        @hookspecs.hookimpl
        def harness_losses() -> list[LossSpec]:
            return [LossSpec(name="x", target="a:B", summary="one")]

    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(Plugin())
    manager.check_pending()
    assert [spec.name for specs in manager.hook.harness_losses() for spec in specs] == ["x"]
